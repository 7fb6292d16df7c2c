# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""The time of one event: who is interrupted, and who is not."""

from __future__ import annotations

import json
import re
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FrameType

import pytest

from elworkers.core.budget import Budget
from elworkers.core.contracts import Record
from elworkers.core.errors import EventTimeout
from elworkers.core.metrics import Counters
from elworkers.events.parse import compile_format
from elworkers.schema.store import SchemaStore
from elworkers.schema.validate import Validator
from elworkers.stages.process import ProcessStage

CATASTROPHE = "^(a+)+$"
VICTIM = "a" * 60 + "!"
STAGES = tuple(str(Path("elworkers") / name) for name in ("stages", "events", "schema"))


@pytest.fixture
def ticks() -> list[float]:
    """When the timer of the Budget that is made next has looked, in seconds of processor time; call `watch` for it."""
    return []


def watch(ticks: list[float]) -> None:
    """Have each tick of the Budget that was made last written down."""
    handler = signal.getsignal(signal.SIGPROF)
    assert callable(handler)

    def look(number: int, frame: FrameType | None) -> None:
        ticks.append(time.process_time())
        handler(number, frame)

    signal.signal(signal.SIGPROF, look)


def spin(budget: Budget) -> None:
    """Use processor time until interrupted."""
    budget.current_record = Record(b"")
    while True:
        re.match(CATASTROPHE, "a" * 12 + "!")


def test_an_event_that_takes_too_long_is_interrupted() -> None:
    budget = Budget(0.05)
    with budget.batch(), pytest.raises(EventTimeout):
        spin(budget)


def test_an_interruption_that_is_swallowed_comes_again() -> None:
    budget = Budget(0.05)
    swallowed = 0
    with budget.batch():
        budget.current_record = Record(b"")
        for _ in range(2):
            try:
                while True:
                    re.match(CATASTROPHE, "a" * 12 + "!")
            except EventTimeout:
                swallowed += 1
        budget.current_record = None
    assert swallowed == 2


def test_a_regular_expression_is_interrupted_in_the_middle() -> None:
    budget = Budget(0.05)
    with budget.batch():
        budget.current_record = Record(b"")
        with pytest.raises(EventTimeout):
            re.match(CATASTROPHE, VICTIM)


def test_many_events_that_are_quick_take_as_long_as_they_like(ticks: list[float]) -> None:
    budget = Budget(0.02)
    watch(ticks)
    done = interrupted = 0
    with budget.batch():
        while len(ticks) < 30:
            try:
                budget.current_record = Record(b"")
                re.match(CATASTROPHE, "a" * 8 + "!")
                budget.current_record = None
                done += 1
            except EventTimeout:
                interrupted += 1
    assert interrupted == 0
    assert done > len(ticks)


def test_nothing_is_interrupted_between_events_and_after_the_batch(ticks: list[float]) -> None:
    budget = Budget(0.01)
    watch(ticks)
    interrupted = 0
    with budget.batch():
        budget.current_record = Record(b"")
        budget.current_record = None
        while len(ticks) < 10:
            try:
                re.match(CATASTROPHE, "a" * 12 + "!")
            except EventTimeout:
                interrupted += 1
    assert interrupted == 0
    assert signal.getitimer(signal.ITIMER_PROF) == (0.0, 0.0)
    assert budget.current_record is None


def capsule(schema: str, text: str) -> bytes:
    event = {"event": {"text": text}, "schema": schema, "revision": 1, "wiki": "w", "recvFrom": "h", "timestamp": 1}
    return json.dumps(event).encode()


def test_a_catastrophic_pattern_costs_its_own_event_only(tmp_path: Path) -> None:
    for name, pattern in (("Slow", CATASTROPHE), ("Quick", "^[a-z!]+$")):
        (tmp_path / name).mkdir()
        schema = {"properties": {"text": {"type": "string", "pattern": pattern}}}
        (tmp_path / name / "1.json").write_text(json.dumps(schema), encoding="utf-8")
    metrics = Counters()
    stage = ProcessStage(compile_format("%j"), Validator(SchemaStore([str(tmp_path)])), metrics, Budget(0.1))
    lines = [capsule("Quick", "a"), capsule("Slow", VICTIM), capsule("Quick", "b"), capsule("Slow", "aaa")]
    made = stage([Record(line) for line in lines])
    assert [one.valid for one in made] == [True, False, True, True]
    assert made[1].event is not None
    assert made[1].event["event"]["code"] == "timeout"
    assert made[1].event["event"]["schema"] == "Slow"
    assert metrics.totals["events_invalid", (("code", "timeout"), ("schema", "Slow"))] == 1


class Interrupting:
    """Lets the time of the event at hand run out behind so many lines of code of the stages, once.

    Attributes:
        left: lines to come.
    """

    def __init__(self, budget: Budget, lines: int) -> None:
        self._budget = budget
        self.left = lines

    def __call__(self, frame: FrameType, event: str, _: object) -> Interrupting | None:
        """As `sys.settrace` has it."""
        if not any(part in frame.f_code.co_filename for part in STAGES) or self.left <= 0:
            return None
        if event == "line" and self._budget.current_record is not None:
            self.left -= 1
            if self.left <= 0:
                raise EventTimeout
        return self


def traced(trace: Interrupting, stage: ProcessStage, lines: list[Record]) -> list[Record]:
    """What the stage makes of the lines under a trace function."""

    def run() -> list[Record]:
        sys.settrace(trace)
        return stage(lines)

    # Python takes an exception that a trace function raises at the end of an `except` for one that is still handled,
    # until its thread ends.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(run).result()


def test_an_event_may_run_out_of_time_at_any_line_of_code(tmp_path: Path) -> None:
    for name in ("One", "Two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.json").write_text('{"properties": {"text": {"type": "string"}}}', encoding="utf-8")
    lines = [Record(capsule("One", "a")), Record(capsule("Two", "a"))]
    interrupted, number = True, 0
    while interrupted:
        number += 1
        now, metrics, budget = [0.0], Counters(), Budget(60.0)
        store = SchemaStore([str(tmp_path)], clock=lambda now=now: now[0])  # type: ignore[misc]
        stage = ProcessStage(compile_format("%j"), Validator(store), metrics, budget)
        trace = Interrupting(budget, number)
        made = traced(trace, stage, lines)
        interrupted = trace.left <= 0
        assert sum(not one.valid for one in made) == interrupted
        # Whatever was half done is done now, and nothing is left to the slow way for ever.
        now[0] = 61.0
        assert [one.valid for one in stage(lines)] == [True, True]
        slow = metrics.summary()["events_slow"]
        assert [one.valid for one in stage(lines)] == [True, True]
        assert metrics.summary()["events_slow"] == slow
    assert number > 100
    assert sys.exc_info() == (None, None, None)
