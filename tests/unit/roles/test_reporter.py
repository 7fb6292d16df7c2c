# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""A reporter from its instance files to statsd, without a broker."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from memorycluster import MemoryCluster
from statsd import Statsd

from elworkers.config.arguments import Argument
from elworkers.connectors.kafka import drivers
from elworkers.core.errors import ConfigurationError
from elworkers.core.metrics import Counters
from elworkers.core.stop import Stop
from elworkers.core.worker_state import State
from elworkers.roles import reporter
from elworkers.roles.validate import check_arguments
from elworkers.workers.worker import WorkerId

DEADLINE_LOOKS = 2_000


class States:
    """Has the test look, whenever the reporter shows that it is alive.

    Attributes:
        troubles: what it waited for.
    """

    def __init__(self, look: Callable[[State], bool], stop: Stop) -> None:
        self._look, self._stop = look, stop
        self._left = DEADLINE_LOOKS
        self.troubles: list[str] = []
        self.states: set[State] = set()

    def report(self, state: State) -> None:
        self.states.add(state)
        self._left -= 1
        if self._look(state) or not self._left:
            self._stop.request()

    def read(self, records: int) -> None:
        raise AssertionError("a reporter reads no records")

    def trouble(self, reason: str) -> None:
        self.troubles.append(reason)


class Site:
    """Instance files, a cluster in memory and a statsd."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cluster = MemoryCluster()
        self.statsd = Statsd()

    def consumer(self, name: str, topic: str) -> None:
        path = self.folder / "consumers" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"kafka:///k:9092?topic={topic}\n--sid={name}\nstdout:\n", encoding="utf-8")

    def run(self, look: Callable[[State], bool], *options: str) -> States:
        """Until `look` is true; it is asked at each sign of life."""
        words = [f"--config-dir={self.folder}", f"--port={self.statsd.port}", "--interval=0.01", *options]
        stop = Stop()
        state_reporter = States(look, stop)
        reporter.run(
            check_arguments("reporter", [Argument(word) for word in words], {}),
            WorkerId("reporter", "test", 0),
            stop,
            Counters(),
            state_reporter,
        )
        return state_reporter

    def gauges(self) -> dict[str, int]:
        return self.statsd.read().gauges


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    made = Site(tmp_path)
    monkeypatch.setattr(drivers, "driver", lambda *_: SimpleNamespace(reader=lambda *_, **__: made.cluster.reader()))
    monkeypatch.delenv("EVENTLOGGING_RUN_DIR", raising=False)
    return made


def test_the_lag_of_every_instance_that_there_is_is_told(site: Site) -> None:
    site.consumer("one", "t")
    site.cluster.add("t", [b""] * 5)
    site.cluster.commit("one", "t", {0: 2})
    site.cluster.commit("two", "t", {0: 4})

    def look(_: State) -> bool:
        if "x.lag.one.t" in site.gauges():
            # Another file is found without a restart.
            site.consumer("two", "t")
        return "x.lag.two.t" in site.gauges()

    state_reporter = site.run(look, "--prefix=x")
    assert site.gauges() == {"x.lag.one.t": 3, "x.lag.two.t": 1}
    assert state_reporter.states == {State.RUNNING}
    assert not any(state_reporter.troubles)


def test_a_cluster_that_is_away_is_waited_for(site: Site) -> None:
    site.consumer("one", "t")
    site.cluster.add("t", [b""] * 5)
    site.cluster.commit("one", "t", {0: 2})
    site.cluster.broker.away = {"partitions"}

    def look(state: State) -> bool:
        if state is State.WAITING:
            site.cluster.broker.away = set()
        return "x.lag.one.t" in site.gauges()

    state_reporter = site.run(look, "--prefix=x")
    assert state_reporter.states == {State.WAITING, State.RUNNING}
    assert state_reporter.troubles[0] == "Kafka: partitions: the broker is away"
    assert site.gauges() == {"x.lag.one.t": 3}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--workers=2"], "two would count everything twice"),
        (["--prefix=x", "--statsd-names=original"], "expected one of them"),
        (["--port=0"], "--port"),
    ],
)
def test_what_cannot_work_is_refused(words: list[str], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        check_arguments("reporter", [Argument(word) for word in words], {})
