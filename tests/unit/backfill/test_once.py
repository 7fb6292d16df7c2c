# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""What was written but not committed is not written again, whenever a process was killed."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from outputs import capsule, schemas

from elworkers.backfill.pipelines import PipelineFactory
from elworkers.backfill.plan import Plan, plan, timestamp
from elworkers.backfill.state import State
from elworkers.core import loop, worker_state
from elworkers.core.errors import RetryableError
from elworkers.core.metrics import Counters
from elworkers.core.pipeline import CarryOver, Pipeline
from elworkers.core.stop import Stop
from elworkers.roles.build import PipelineBuilder

LINES = [b"torn %d" % number if number % 5 == 3 else capsule("Once", number) for number in range(40)]


@pytest.fixture
def job(tmp_path: Path) -> Plan:
    """One file into another."""
    (tmp_path / "in").write_bytes(b"".join(line + b"\n" for line in LINES))
    # Somebody else's.
    (tmp_path / "out").write_bytes(capsule("Once", 0) + b"\n")
    store = schemas(tmp_path / "schemas", "Once")
    return plan(["%j", f"{tmp_path}/in", f"file://{tmp_path}/out", f"--schemas={store}"])


def process(job: Plan) -> Pipeline:
    """The pipeline of a process that has just started."""
    state = State(job.state, job.identity)
    return PipelineFactory(job, state, PipelineBuilder(Counters()), lambda _done, _total: None).build(CarryOver())


def step(pipeline: Pipeline, limit: int, commits: bool = True) -> None:
    """One batch, in the order of the loop."""
    records = pipeline.source.poll(limit, 1.0)
    for stage in pipeline.stages:
        records = stage(records)
    for sink, accepts in pipeline.outputs:
        sink.write([record for record in records if accepts(record)])
    for sink, _ in pipeline.outputs:
        assert sink.flush() == []
    if commits:
        ends = {record.origin: record.offset + 1 for record in records if record.origin is not None}
        for sink, _ in pipeline.outputs:
            sink.commit_transaction(ends)
        pipeline.source.commit(ends)


@pytest.mark.parametrize(
    "processes",
    [
        # The first one is killed before it has committed anything.
        [[(10, False)]],
        [[(10, True), (10, False)]],
        # Its successor has committed a part of what came again when it is killed.
        [[(20, False)], [(5, True)], [(5, True), (20, False)]],
        [[(40, False)], [(40, False)], [(7, True)]],
        # Killed before it has read anything.
        [[(10, False)], [], [(3, True)]],
    ],
)
def test_a_kill_at_any_step_doubles_nothing(job: Plan, tmp_path: Path, processes: list[list[tuple[int, bool]]]) -> None:
    for steps in processes:
        pipeline = process(job)
        for limit, commits in steps:
            step(pipeline, limit, commits)
        pipeline.close()
    last = process(job)
    while not last.source.exhausted:
        step(last, 9)
    last.close()
    out = [json.loads(line)["seqId"] for line in (tmp_path / "out").read_bytes().splitlines()]
    assert out == [0, *(number for number in range(40) if number % 5 != 3)]
    told = [json.loads(line)["event"]["rawEvent"] for line in (tmp_path / "in.rejected").read_bytes().splitlines()]
    assert told == [line.decode() for line in LINES if line.startswith(b"torn")]


class Silent:
    """Nobody looks; implements `worker_state.StateReporter`."""

    def report(self, state: worker_state.State) -> None: ...

    def read(self, records: int) -> None: ...

    def trouble(self, reason: str) -> None: ...


@pytest.mark.parametrize("fails", ["commit", "poll"])
def test_a_failure_within_a_process_doubles_nothing_and_counts_once(job: Plan, tmp_path: Path, fails: str) -> None:
    state, metrics = State(job.state, job.identity), Counters()
    line = PipelineFactory(job, state, PipelineBuilder(metrics, batch_records=6), lambda _done, _total: None)
    left = [2]

    def build(carry_over: CarryOver) -> Pipeline:
        pipeline = line.build(carry_over)
        works = getattr(pipeline.source, fails)

        def sometimes(*given: object) -> object:
            left[0] -= 1
            if left[0] == 0:
                raise RetryableError("once")
            return works(*given)

        setattr(pipeline.source, fails, sometimes)
        return pipeline

    ending = loop.run(build, Stop(), metrics, Silent())
    assert ending == loop.Ending("", "")
    assert left[0] < 0
    out = [json.loads(text)["seqId"] for text in (tmp_path / "out").read_bytes().splitlines()]
    assert out == [0, *(number for number in range(40) if number % 5 != 3)]
    assert len((tmp_path / "in.rejected").read_bytes().splitlines()) == 8
    assert (line.account().read, line.account().stored, line.account().rejected) == (40, 32, 8)
    assert State(job.state, job.identity).counts == state.counts


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("2016-07-29", 1_469_750_400_000),
        ("2016-07-29T12:00", 1_469_793_600_000),
        ("2016-07-29T12:00:00Z", 1_469_793_600_000),
        ("2016-07-29T14:00:00+02:00", 1_469_793_600_000),
        ("1469793600", 1_469_793_600_000),
    ],
)
def test_times_are_utc_unless_they_say(text: str, ms: int) -> None:
    assert timestamp(text) == ms


def test_lines_without_a_time_are_the_same_events_each_time(tmp_path: Path) -> None:
    event = json.loads(capsule("Once", 1))
    del event["timestamp"]
    store = schemas(tmp_path / "schemas", "Once")
    (tmp_path / "in").write_text(json.dumps(event), encoding="utf-8")
    os.utime(tmp_path / "in", (0, 1_400_000_000))
    for out in ("a", "b"):
        words = [f"--schemas={store}", f"--state={tmp_path}/state-{out}"]
        pipeline = process(plan(["%j", f"{tmp_path}/in", f"file://{tmp_path}/{out}", *words]))
        step(pipeline, 9)
        pipeline.close()
    first, second = (json.loads((tmp_path / out).read_bytes()) for out in ("a", "b"))
    assert first == second
    assert first["timestamp"] == 1_400_000_000
