# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""The loop on a clock of its own: how long it waits for records, when a batch is old, and what it reports meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest

from elworkers.core import loop
from elworkers.core.contracts import Assignment, Output, Positions, Record, RejectedRecord
from elworkers.core.errors import RetryableError
from elworkers.core.event_retention import EventRetention
from elworkers.core.loop import Ending
from elworkers.core.metrics import Counters
from elworkers.core.pipeline import Batch, CarryOver, Pipeline
from elworkers.core.stop import Stop
from elworkers.core.worker_state import State

PARTITION = Assignment("topic", 0)


@dataclass
class Clock:
    now: float = 1_000.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(time, "monotonic", lambda: made.now)
    return made


class Impatient(Stop):
    """Waits for nothing, and remembers how long it was to wait."""

    def __init__(self) -> None:
        super().__init__()
        self.pauses: list[float] = []

    def wait(self, seconds: float) -> bool:
        self.pauses.append(seconds)
        return self.requested


Step = tuple[float, int | RetryableError]
"""The seconds that a poll takes, and how many records it gives, or what it raises."""


@dataclass
class Scripted:
    """A source of a list of polls; `asked` has what it was polled with, `committed` when and what was committed."""

    clock: Clock
    steps: list[Step]
    replayable: bool = True
    durable: bool = False
    idle: bool = False
    damage: str = ""
    at_end: Callable[[], object] | None = None
    asked: list[tuple[int, float]] = field(default_factory=list)
    committed: list[tuple[float, int | None]] = field(default_factory=list)
    closed: int = 0
    offset: int = 0

    @property
    def exhausted(self) -> bool:
        return not self.steps and self.at_end is None

    def poll(self, limit: int, timeout_s: float) -> list[Record]:
        self.asked.append((limit, timeout_s))
        seconds, given = self.steps.pop(0)
        self.clock.now += seconds
        if not self.steps and self.at_end is not None:
            self.at_end()
        if isinstance(given, RetryableError):
            raise given
        first, self.offset = self.offset, self.offset + given
        origin = PARTITION if self.replayable else None
        return [Record(b"%d" % number, origin=origin, offset=number) for number in range(first, self.offset)]

    def commit(self, positions: Positions) -> None:
        self.committed.append((self.clock.now - 1_000.0, positions.get(PARTITION)))

    def close(self) -> None:
        self.closed += 1


@dataclass
class Kept:
    """A sink that keeps what was flushed, and whose flushes fail at first."""

    failures: int = 0
    pending: list[bytes] = field(default_factory=list)
    stored: list[bytes] = field(default_factory=list)

    def write(self, records: Sequence[Record]) -> None:
        self.pending += [record.value for record in records]

    def flush(self) -> list[RejectedRecord]:
        if self.failures:
            self.failures -= 1
            raise RetryableError("the sink is away")
        self.stored += self.pending
        self.pending = []
        return []

    def commit_transaction(self, positions: Positions) -> None:
        pass

    def close(self) -> None:
        self.pending = []


@dataclass
class Reported:
    said: list[State | int | str] = field(default_factory=list)

    def report(self, state: State) -> None:
        self.said.append(state)

    def read(self, records: int) -> None:
        self.said.append(records)

    def trouble(self, reason: str) -> None:
        self.said.append(reason)


class Ran:
    """What a run of the loop has left."""

    def __init__(self, build: Callable[[CarryOver], Pipeline], stop: Impatient | None = None) -> None:
        self.stop, self.metrics, self.reported = stop or Impatient(), Counters(), Reported()
        self.ending = loop.run(build, self.stop, self.metrics, self.reported)


def pipeline(source: Scripted, batch: Batch, sink: Kept | None = None, **others: object) -> Pipeline:
    return Pipeline(source, [], [Output(sink or Kept(), lambda _: True)], batch, **others)  # type: ignore[arg-type]


def test_a_poll_waits_until_the_batch_is_old(clock: Clock) -> None:
    source = Scripted(clock, [(0, 0), (0, 1), (1.75, 2), (0.25, 0), (0, 0), (0, 9), (0, 1), (0, 1)])
    Ran(lambda _: pipeline(source, Batch(10, 2.0)))
    assert source.asked == [(10, 0.5), (10, 0.5), (9, 0.5), (7, 0.25), (10, 0.5), (10, 0.5), (1, 0.5), (10, 0.5)]
    assert source.committed == [(2.0, 3), (2.0, 13), (2.0, 14)]


def test_a_poll_of_an_old_batch_that_goes_on_does_not_wait(clock: Clock) -> None:
    source = Scripted(clock, [(0, 1), (5.0, 1), (0, 0), (0, 0)])
    Ran(lambda _: pipeline(source, Batch(10, 2.0), retention=EventRetention.ROUTING_FIELDS, wants_more=lambda: True))
    assert source.asked == [(10, 0.5), (9, 0.5), (8, 0.0), (10, 0.5)]
    assert source.committed == [(5.0, 2), (5.0, None)]


def test_the_first_batch_is_written_after_five_seconds_and_the_next_ones_as_configured(clock: Clock) -> None:
    source = Scripted(clock, [(0, 1), (4.75, 0), (0.25, 0), (0, 1), (59.75, 0), (0.25, 0), (0, 0)])
    Ran(lambda _: pipeline(source, Batch(10, 60.0)))
    assert source.committed == [(5.0, 1), (65.0, 2), (65.0, None)]


def test_after_a_failure_a_batch_is_written_after_a_second(clock: Clock) -> None:
    sink = Kept(failures=1)
    sources = [
        Scripted(clock, [(0, 1)]),
        Scripted(clock, [(0, 1), (0.75, 0), (0.25, 0), (0, 1), (30.0, 0), (29.75, 0), (0.25, 0)]),
    ]
    made = iter(sources)
    ran = Ran(lambda _: pipeline(next(made), Batch(10, 60.0), sink))
    assert [source.committed for source in sources] == [[], [(1.0, 1), (61.0, 2), (61.0, None)]]
    assert len(ran.stop.pauses) == 1
    assert 0.25 <= ran.stop.pauses[0] <= 0.5


def test_when_nothing_comes_for_ten_seconds_an_outage_is_over(clock: Clock) -> None:
    stop = Impatient()
    away = Scripted(clock, [(0, RetryableError("the broker is away"))])
    quiet = Scripted(clock, [(10.0, 0), (0.25, 0), (0, 0)], at_end=stop.request)
    sources = iter([away, quiet])
    assert Ran(lambda _: pipeline(next(sources), Batch(10, 60.0)), stop).reported.said == [
        *(State.STARTING, "the broker is away", State.WAITING, State.STARTING),
        *(State.RUNNING, State.RUNNING, "", State.RUNNING),
    ]


def test_while_a_batch_is_held_nothing_is_known_of_an_outage(clock: Clock) -> None:
    sources = iter([Scripted(clock, [(0, RetryableError("away"))]), Scripted(clock, [(0.5, 1), (0.25, 0), (11, 0)])])
    ran = Ran(lambda _: pipeline(next(sources), Batch(10, 60.0)))
    assert ran.reported.said[-5:] == [State.RUNNING, 1, State.RUNNING, State.RUNNING, ""]


def test_what_is_reported_and_counted(clock: Clock) -> None:
    source = Scripted(clock, [(0, 3), (0, 0), (0, 2)], idle=True)
    ran = Ran(lambda _: pipeline(source, Batch(4, 60.0)))
    assert ran.reported.said == [State.STARTING, State.IDLE, 3, State.IDLE, State.IDLE, 2]
    counted = ran.metrics.summary()
    assert (counted["records_read"], counted["batches_flushed"]) == (5, 1)
    assert not counted.get("restarts")


@pytest.mark.parametrize("damage", ["", "line 7 is cut"])
def test_how_an_input_ends(clock: Clock, damage: str) -> None:
    source = Scripted(clock, [(0, 1)], damage=damage)
    ran = Ran(lambda _: pipeline(source, Batch(), dead_letter_name="errors"))
    assert ran.ending == Ending(damage, "errors")
    assert source.closed == 1


def test_an_input_that_is_asked_to_stop_has_not_ended(clock: Clock) -> None:
    stop = Impatient()
    source = Scripted(clock, [(0, 1)], at_end=stop.request)
    sink = Kept()
    assert Ran(lambda _: pipeline(source, Batch(10, 60.0), sink), stop).ending is None
    assert (sink.stored, source.committed) == ([b"0"], [(0.0, 1)])
    assert len(source.asked) == 1, "what can be read again is left where it is"


def test_a_stop_before_the_first_poll_builds_nothing() -> None:
    stop = Impatient()
    stop.request()

    def build(_: CarryOver) -> Pipeline:
        raise AssertionError

    assert Ran(build, stop).ending is None


@pytest.mark.parametrize(
    ("steps", "polls"),
    [([(0, 1), (0, 1), (0, 1), (0, 0), (0, 1)], 4), ([(0, 1), *[(0.5, 1)] * 9], 5), ([(0, 1), (0, 1)], 2)],
)
def test_a_source_that_cannot_be_asked_again_is_emptied_for_two_seconds(
    clock: Clock, steps: list[Step], polls: int
) -> None:
    stop, sink = Impatient(), Kept()
    source = Scripted(clock, [*steps], replayable=False)

    def take(records: list[Record]) -> list[Record]:
        stop.request()
        return records

    made = pipeline(source, Batch(100, 60.0), sink)
    made.stages = [take]
    Ran(lambda _: made, stop)
    assert source.asked == [(100, 0.5), *((100 - number, 0.05) for number in range(1, polls))]
    assert sink.stored == [b"%d" % number for number in range(source.offset)]


def test_what_no_stage_took_follows_what_was_staged_and_is_one_batch(clock: Clock) -> None:
    failures = iter([False, True, False])
    source, sink = Scripted(clock, [(0, 1), (0, 1), (0, 1)], replayable=False), Kept()

    def stage(records: list[Record]) -> list[Record]:
        if next(failures, False):
            raise RetryableError("the wiki is away")
        return records

    def build(carry_over: CarryOver) -> Pipeline:
        made = pipeline(source, Batch(100, 60.0), sink)
        made.stages = [stage]
        return made

    ran = Ran(build)
    assert sink.stored == [b"0", b"1", b"2"]
    counted = ran.metrics.summary()
    assert (counted["batches_flushed"], counted["records_read"], counted["restarts"]) == (2, 3, 1)
    assert source.asked == [(100, 0.5), (99, 0.5), (100, 0.5)]


@pytest.mark.parametrize("in_commit", [False, True])
def test_a_source_that_fails_itself_is_closed_and_opened_anew(
    clock: Clock, in_commit: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = RetryableError("the socket is gone")

    def commit(_: Positions) -> None:
        raise broken

    first = Scripted(clock, [(0, 1), (0, 0 if in_commit else broken)], replayable=False)
    if in_commit:
        monkeypatch.setattr(first, "commit", commit)
    second = Scripted(clock, [(0, 1)], replayable=False)
    opened, carried = iter([first, second]), []

    def build(carry_over: CarryOver) -> Pipeline:
        carried.append(carry_over.source)
        return pipeline(next(opened), Batch(10, 60.0))

    Ran(build)
    assert carried == [None, None]
    assert (first.closed, second.closed) == (1, 1)
