# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""`eventlogging-backfill` on topics of a Kafka in memory, and whatever a process can meet or die of there."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from outputs import capsule, schemas

from elworkers.backfill import command, topic
from elworkers.backfill.pipelines import PipelineFactory
from elworkers.backfill.plan import plan
from elworkers.backfill.state import State
from elworkers.connectors.kafka import drivers
from elworkers.connectors.kafka.memory.broker import Log, MemoryBroker
from elworkers.core import log
from elworkers.core.contracts import TopicPartition
from elworkers.core.errors import EX_CONFIG, EX_DATAERR, EX_TEMPFAIL, RetryableError
from elworkers.core.metrics import Counters
from elworkers.core.pipeline import CarryOver, Pipeline
from elworkers.roles.build import PipelineBuilder

TOPIC = "raw"
NOON_MS = 1_469_793_600_000
MINUTE_MS = 60_000


@pytest.fixture(autouse=True)
def _process_as_before() -> Iterator[None]:
    """A command configures the whole process."""
    mask = os.umask(0o022)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    os.umask(mask)
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> MemoryBroker:
    broker = MemoryBroker(default_partitions=2)
    monkeypatch.setattr(drivers, "driver", lambda *_: drivers.in_memory(broker))
    monkeypatch.setattr(log, "configure", lambda *_args, **_kwargs: None)
    return broker


class Job:
    """Two partitions with an event each minute from noon on, some of them torn, and commands on them."""

    def __init__(self, broker: MemoryBroker, folder: Path) -> None:
        self.broker = broker
        self.out = folder / "out"
        self.state = folder / "state"
        self._common = [f"--schemas={schemas(folder / 'schemas', 'Once')}", f"--state={self.state}"]
        broker.get_or_create(TOPIC, 2)
        for number in range(20):
            line = b"torn" if number % 7 == 3 else capsule("Once", number)
            self.partition(number % 2).append(NOON_MS + number * MINUTE_MS, None, line)

    def partition(self, number: int) -> Log:
        return self.broker.log(TopicPartition(TOPIC, number))

    def argv(self, *more: str, output: str = "") -> list[str]:
        return ["%j", f"kafka:///k1:9092?topic={TOPIC}", output or f"file://{self.out}", *self._common, *more]

    def run(self, *more: str, output: str = "") -> int:
        return command.main(self.argv(*more, output=output))

    def stored(self) -> list[int]:
        return sorted(json.loads(line)["seqId"] for line in self.out.read_bytes().splitlines())

    def errors(self) -> int:
        return len(self.broker.values("eventlogging_EventError"))

    def process(self, output: str) -> Pipeline:
        """The pipeline of a process that has just started."""
        made = plan(self.argv(output=output))
        state = State(made.state, made.identity)
        return PipelineFactory(made, state, PipelineBuilder(Counters()), lambda *_: None).build(CarryOver())


VALID = [number for number in range(20) if number % 7 != 3]


@pytest.fixture
def job(broker: MemoryBroker, tmp_path: Path) -> Job:
    return Job(broker, tmp_path)


def step(pipeline: Pipeline, limit: int, commits: bool) -> None:
    """One batch, in the order of the loop."""
    records = pipeline.source.poll(limit, 1.0)
    for stage in pipeline.stages:
        records = stage(records)
    for sink, accepts in pipeline.outputs:
        sink.write([record for record in records if accepts(record)])
        assert sink.flush() == []
    if commits:
        ends = {record.origin: record.offset + 1 for record in records if record.origin is not None}
        for sink, _ in pipeline.outputs:
            sink.commit_transaction(ends)
        pipeline.source.commit(ends)


def test_all_of_a_topic_is_stored_once_however_often_it_is_run(job: Job) -> None:
    for _ in range(2):
        assert job.run() == EX_DATAERR
        assert (job.stored(), job.errors()) == (VALID, 3)


def test_without_anything_invalid_it_ends_with_0(job: Job) -> None:
    end = NOON_MS // 1000 + 3 * 60
    assert job.run(f"--to={end}") == 0
    assert job.stored() == [0, 1, 2]


@pytest.mark.parametrize("middle_s", [0, 60, 61, 330, 1140, 1141])
def test_two_ranges_that_meet_have_each_message_once(job: Job, middle_s: int) -> None:
    middle = NOON_MS // 1000 + middle_s
    job.run(f"--to={middle}", "--batch-size=3")
    job.state.unlink()
    job.run(f"--from={middle}", "--batch-size=3")
    assert (job.stored(), job.errors()) == (VALID, 3)


def test_what_comes_after_its_start_is_not_read(job: Job) -> None:
    job.run()
    job.broker.append(TopicPartition(TOPIC, 0), capsule("Once", 99))
    job.run()
    assert job.stored() == VALID


@pytest.mark.parametrize("processes", [[(5, False)], [(5, True), (9, False)], [(20, False)]])
def test_a_kill_before_a_commit_doubles_nothing_in_a_topic(job: Job, processes: list[tuple[int, bool]]) -> None:
    output = "kafka:///k1:9092?topic=valid_{schema}"
    killed = job.process(output)
    for limit, commits in processes:
        step(killed, limit, commits)
    last = job.process(output)
    while not last.source.exhausted:
        step(last, 4, commits=True)
    last.close()
    found = Counter(json.loads(value or b"")["seqId"] for value in job.broker.values("valid_Once"))
    assert found == dict.fromkeys(VALID, 1)
    assert job.errors() == 3


@pytest.mark.parametrize("operation", ["read", "produce"])
def test_an_outage_is_waited_out(job: Job, operation: str) -> None:
    job.broker.fail(operation, times=2)
    assert job.run("--batch-size=4") == EX_DATAERR
    assert (job.stored(), job.errors()) == (VALID, 3)


def test_one_that_is_asked_to_stop_goes_on_where_it_was(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    real = topic.TopicSource.commit

    def stopped(self: topic.TopicSource, positions: object) -> None:
        real(self, positions)  # type: ignore[arg-type]
        os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(topic.TopicSource, "commit", stopped)
        assert job.run("--batch-size=4") == EX_TEMPFAIL
    assert 0 < len(job.stored()) < len(VALID)
    assert job.run() == EX_DATAERR
    assert (job.stored(), job.errors()) == (VALID, 3)


def test_messages_that_expire_before_they_are_read_are_counted(job: Job, capsys: pytest.CaptureFixture[str]) -> None:
    pipeline = job.process(f"file://{job.out}")
    step(pipeline, 4, commits=True)
    pipeline.close()
    # Messages 0, 2, 4 and 6 of the first partition were read.
    job.broker.expire(TopicPartition(TOPIC, 0), 6)
    job.broker.expire(TopicPartition(TOPIC, 1), 1)
    with structlog.testing.capture_logs() as logs:
        assert job.run() == EX_DATAERR
    (reason,) = [entry["reason"] for entry in logs if "has deleted" in entry.get("reason", "")]
    assert f"topic {TOPIC}[0] has deleted 2 messages before they were read" in reason
    assert f"topic {TOPIC}[1] has deleted 1 messages before they were read" in reason
    assert job.stored() == [number for number in VALID if number not in (1, 8)]


def test_a_topic_made_anew_is_another_one(job: Job, capsys: pytest.CaptureFixture[str]) -> None:
    job.run()
    job.broker.delete(TOPIC)
    job.broker.get_or_create(TOPIC, 2)
    assert job.run() == EX_CONFIG
    assert f"topic {TOPIC} was deleted and made again; expected --again" in capsys.readouterr().err
    job.broker.append(TopicPartition(TOPIC, 0), capsule("Once", 99))
    assert job.run("--again") == 0
    assert job.stored() == [*VALID, 99]


def test_a_topic_that_nobody_has_is_an_error(job: Job, capsys: pytest.CaptureFixture[str]) -> None:
    job.broker.delete(TOPIC)
    assert job.run() == EX_CONFIG
    assert f"there is no topic {TOPIC}; expected an existing one" in capsys.readouterr().err


def test_a_partition_without_a_leader_is_waited_for(job: Job) -> None:
    job.broker.set_leader(TopicPartition(TOPIC, 1), has_leader=False)
    pipeline = None
    with pytest.raises(RetryableError, match=rf"{TOPIC}\[1\] cannot be read: "):
        pipeline = job.process(f"file://{job.out}")
    assert pipeline is None
    job.broker.set_leader(TopicPartition(TOPIC, 1), has_leader=True)
    assert job.run() == EX_DATAERR
    assert job.stored() == VALID


def test_a_dry_run_stores_nothing_and_says_what_it_would(job: Job, capsys: pytest.CaptureFixture[str]) -> None:
    job.run(f"--to={NOON_MS // 1000 + 3 * 60}")
    job.broker.append(TopicPartition(TOPIC, 0), capsule("Once", 19))
    job.state.unlink()
    capsys.readouterr()
    assert job.run("--dry-run") == 0
    shown = capsys.readouterr().out.splitlines()
    assert [line.split() for line in shown] == [
        ["SCHEMA", "REVISION", "EVENTS", "STORED", "ALREADY", "DUPLICATES", "TO", "STORE"],
        ["Once", "1", "18", "3", "1", "14"],
        ["lines", "that", "are", "no", "valid", "events:", "3", "(3", "processor)"],
        ["this", "was", "a", "dry", "run;", "events", "to", "store:", "14"],
    ]
    assert job.stored() == [0, 1, 2]
    assert not job.state.exists()


def test_a_dry_run_of_what_cannot_be_looked_up_says_so(job: Job, capsys: pytest.CaptureFixture[str]) -> None:
    assert job.run("--dry-run", output="stdout:") == 0
    assert capsys.readouterr().out.splitlines()[1].split() == ["Once", "1", "17", "?", "0", "17"]


def test_two_at_the_same_time_would_be_in_each_others_way(job: Job, capsys: pytest.CaptureFixture[str]) -> None:
    from elworkers.backfill.state import locked

    with locked(job.state):
        assert job.run() == EX_CONFIG
    assert f"state file {job.state}: is in use by another backfill" in capsys.readouterr().err
    assert not job.out.exists()
