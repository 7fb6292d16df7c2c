# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""The runs of an importer: when they come, what a failure does, and how they end."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from memorycluster import MemoryCluster

from elworkers.connectors.registry import check_storage
from elworkers.core.errors import UnfinishedError
from elworkers.core.metrics import Counters
from elworkers.core.stop import Stop
from elworkers.core.worker_state import State
from elworkers.importer.compression import json_lines
from elworkers.importer.hour_bucketer import HourBucketer
from elworkers.importer.hours import HOUR_MS
from elworkers.importer.importer import Importer
from elworkers.importer.pending_range import RollPolicy
from elworkers.importer.plan import ImportPlan
from elworkers.importer.scheduler import Schedule, Scheduler
from elworkers.importer.staging import StagingFiles
from elworkers.importer.store import Store
from elworkers.importer.topic_selection import TopicSelection

TOPIC = "eventlogging_Test"
DAY_MS = 24 * HOUR_MS


class Board:
    """What a worker has shown."""

    def __init__(self, seen: Callable[[State], None] = lambda _: None) -> None:
        self.states: list[State] = []
        self.records = 0
        self.troubles: list[str] = []
        self._seen = seen

    def report(self, state: State) -> None:
        self.states.append(state)
        self._seen(state)

    def read(self, records: int) -> None:
        self.records += records

    def trouble(self, reason: str) -> None:
        self.troubles.append(reason)


class Runs:
    """A scheduler of an importer from a cluster in memory into a local folder."""

    def __init__(self, folder: Path) -> None:
        self.cluster = MemoryCluster()
        self.metrics, self.stop, self.board = Counters(), Stop(), Board()
        self.base = folder / "base"
        self._staging = folder / "staging"
        self._made: list[Scheduler] = []

    def add(self, count: int) -> None:
        now = int(time.time())
        self.cluster.add(TOPIC, [json.dumps({"number": n, "timestamp": now}).encode() for n in range(count)])

    def importer(self) -> Importer:
        bucketer = HourBucketer(self.metrics, "timestamp", DAY_MS, HOUR_MS)
        plan = ImportPlan(
            TopicSelection(re.compile(".*"), None), bucketer, json_lines("none"), RollPolicy(1 << 30, 0.0, 0)
        )
        return Importer(Store(check_storage(f"file://{self.base}")), StagingFiles(self._staging), plan, self.metrics)

    def scheduler(self, every_s: float = 3600.0, longest_s: float = 60.0) -> Scheduler:
        made = Scheduler(
            self.importer,
            self.cluster.reader,  # type: ignore[arg-type]
            Schedule(every_s, longest_s),
            self.stop,
            self.metrics,
            self.board,
        )
        self._made.append(made)
        return made

    def count(self) -> int:
        return sum(len(path.read_bytes().splitlines()) for path in self.base.glob("Test/**/*.json"))

    def close(self) -> None:
        for one in self._made:
            one.close()


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[Runs]:
    made = Runs(tmp_path)
    yield made
    made.close()


def test_a_single_run_imports_everything(runs: Runs) -> None:
    runs.add(7)
    runs.scheduler().once(None)
    assert runs.count() == 7
    assert runs.board.records == 7
    assert set(runs.board.states) == {State.RUNNING}


def test_a_single_run_tries_again_with_another_reader(runs: Runs) -> None:
    runs.add(7)
    runs.cluster.broker.away = {"ranges"}

    def seen(state: State) -> None:
        if state is State.WAITING:
            runs.cluster.broker.away = set()

    runs.board = Board(seen)
    runs.scheduler().once(None)
    assert runs.count() == 7
    assert runs.board.troubles == ["Kafka: ranges: the broker is away", ""]
    assert [reader.closed for reader in runs.cluster.readers] == [True, False]
    assert runs.metrics.summary()["restarts"] == 1


def test_a_single_run_says_what_is_left_when_its_time_is_over(runs: Runs) -> None:
    runs.add(7)
    with pytest.raises(UnfinishedError, match="7 messages are not imported yet"):
        runs.scheduler(longest_s=0.0).once(None)
    assert runs.count() == 0


def test_a_single_run_that_is_never_answered_says_why(runs: Runs) -> None:
    runs.cluster.broker.away = {"partitions"}
    with pytest.raises(UnfinishedError, match="Kafka: partitions: the broker is away"):
        runs.scheduler(longest_s=0.0).once(None)


def test_a_stop_ends_the_waiting_of_a_single_run(runs: Runs) -> None:
    runs.cluster.broker.away = {"partitions"}
    runs.board = Board(lambda state: runs.stop.request() if state is State.WAITING else None)
    with pytest.raises(UnfinishedError):
        runs.scheduler(longest_s=3600.0).once(None)
    assert len(runs.cluster.readers) == 1


def test_runs_come_one_after_another_until_the_stop(runs: Runs) -> None:
    runs.add(3)
    rounds = 0

    def seen(_: State) -> None:
        nonlocal rounds
        if runs.count() == 3 and rounds == 0:
            rounds = 1
            runs.add(2)
        elif runs.count() == 5:
            runs.stop.request()

    runs.board = Board(seen)
    runs.scheduler(every_s=0.0).for_ever()
    assert runs.count() == 5
    # Nothing has failed, so that one reader has done it all.
    assert len(runs.cluster.readers) == 1


def test_a_run_that_fails_for_ever_is_tried_for_ever(runs: Runs) -> None:
    runs.add(3)
    runs.cluster.broker.away = {"topic_ids"}

    def seen(state: State) -> None:
        if state is State.WAITING:
            runs.cluster.broker.away = set()
        elif runs.count() == 3:
            runs.stop.request()

    runs.board = Board(seen)
    runs.scheduler(every_s=0.0).for_ever()
    assert runs.count() == 3
    assert State.WAITING in runs.board.states
    assert runs.board.troubles[-1] == ""
