# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""The loop: what is flushed and committed, in which order, and what a failure leaves."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest
from structlog.testing import capture_logs

from elworkers.core import loop
from elworkers.core.backoff import Backoff
from elworkers.core.contracts import Assignment, Output, Positions, Record, RejectedRecord, Source
from elworkers.core.errors import RetryableError
from elworkers.core.event_retention import EventRetention
from elworkers.core.metrics import Counters
from elworkers.core.pipeline import Batch, CarryOver, Pipeline
from elworkers.core.stop import Stop
from elworkers.core.worker_state import State

PARTITION = Assignment("topic", 0)


@dataclass
class Listed:
    """A source of a list, one record a poll; `journal` shares what happened with the sinks."""

    values: list[bytes]
    journal: list[str]
    replayable: bool = True
    durable: bool = False
    idle: bool = False
    asks: bool = False
    flush: Callable[[], None] = lambda: None
    committed: list[Positions] = field(default_factory=list)
    closed: bool = False
    at: int = 0

    @property
    def exhausted(self) -> bool:
        return self.at >= len(self.values)

    def flush_by(self, flush: Callable[[], None]) -> None:
        self.flush = flush

    def poll(self, limit: int, timeout_s: float) -> list[Record]:
        assert limit > 0
        if self.asks and self.at:
            self.flush()
        record = Record(self.values[self.at], origin=PARTITION if self.replayable else None, offset=self.at)
        self.at += 1
        return [record]

    def commit(self, positions: Positions) -> None:
        self.journal.append("commit")
        self.committed.append(dict(positions))

    def close(self) -> None:
        self.closed = True


@dataclass
class RecordingSink:
    """A sink that keeps what was flushed, refuses `refuse`, and fails while `failures` lasts."""

    journal: list[str]
    stored: list[bytes] = field(default_factory=list)
    refuse: bytes = b"refuse me"
    failures: int = 0
    pending: list[Record] = field(default_factory=list)

    def write(self, records: Sequence[Record]) -> None:
        self.journal.append("write")
        self.pending += records

    def flush(self) -> list[RejectedRecord]:
        self.journal.append("flush")
        if self.failures:
            self.failures -= 1
            raise RetryableError("away")
        pending, self.pending = self.pending, []
        self.stored += [record.value for record in pending if record.value != self.refuse]
        return [RejectedRecord(record, "no") for record in pending if record.value == self.refuse]

    def commit_transaction(self, positions: Positions) -> None:
        self.journal.append("settle")

    def close(self) -> None:
        self.pending = []


class Shown:
    """Remembers every state."""

    def __init__(self) -> None:
        self.states: list[State] = []
        self.reasons: list[str] = []
        self.count = 0

    def report(self, state: State) -> None:
        self.states.append(state)

    def read(self, records: int) -> None:
        self.count += records

    def trouble(self, reason: str) -> None:
        self.reasons.append(reason)


def accept_all(_record: Record) -> bool:
    return True


def run(build: Callable[[Source | None], Pipeline]) -> tuple[Counters, Shown]:
    metrics, reporter = Counters(), Shown()
    loop.run(build, Stop(), metrics, reporter)
    return metrics, reporter


def test_offsets_are_committed_only_after_everything_is_flushed() -> None:
    journal: list[str] = []
    source, sink = Listed([b"a", b"b"], journal), RecordingSink(journal)
    run(lambda _: Pipeline(source, [], [Output(sink, accept_all)], Batch(records=2, seconds=60)))
    assert journal == ["write", "write", "flush", "settle", "commit", "flush", "settle", "commit"]
    assert source.committed[0] == {PARTITION: 2}
    assert sink.stored == [b"a", b"b"]
    assert source.closed


def test_a_batch_without_an_age_is_flushed_after_every_poll() -> None:
    journal: list[str] = []
    source, sink = Listed([b"a", b"b"], journal), RecordingSink(journal)
    run(lambda _: Pipeline(source, [], [Output(sink, accept_all)]))
    assert [dict(positions) for positions in source.committed[:2]] == [{PARTITION: 1}, {PARTITION: 2}]


class AtOnce(Listed):
    """The same, all in one poll."""

    def poll(self, limit: int, timeout_s: float) -> list[Record]:
        return [record for _ in self.values for record in super(AtOnce, self).poll(limit, timeout_s)]


def parsed(records: list[Record]) -> list[Record]:
    for record in records:
        record.event = {"value": record.value}
    return records


def test_stages_are_given_chunks_and_a_batch_is_flushed_once() -> None:
    journal: list[str] = []
    sizes: list[int] = []

    def stage(records: list[Record]) -> list[Record]:
        sizes.append(len(records))
        return records

    source, sink = AtOnce([b"%d" % number for number in range(600)], journal), RecordingSink(journal)
    run(lambda _: Pipeline(source, [stage], [Output(sink, accept_all)], Batch(records=600)))
    assert sizes == [250, 250, 100]
    assert journal[: len(sizes) + 3] == ["write"] * len(sizes) + ["flush", "settle", "commit"]
    assert sink.stored == source.values
    assert source.committed[0] == {PARTITION: 600}


def test_records_that_hold_no_events_go_through_the_stages_as_they_were_polled() -> None:
    sizes: list[int] = []

    def stage(records: list[Record]) -> list[Record]:
        sizes.append(len(records))
        return records

    source, outputs = AtOnce([b"%d" % number for number in range(600)], []), [Output(RecordingSink([]), accept_all)]
    run(lambda _: Pipeline(source, [stage], outputs, Batch(records=600), retention=EventRetention.ROUTING_FIELDS))
    assert sizes == [600]


@pytest.mark.parametrize("replayable", [True, False])
@pytest.mark.parametrize("retention", EventRetention)
def test_events_are_dropped_only_where_they_are_not_needed_again(retention: EventRetention, replayable: bool) -> None:
    seen: list[object] = []

    def accepts(record: Record) -> bool:
        seen.append(record.event)
        return True

    staged: list[Record] = []

    def stage(records: list[Record]) -> list[Record]:
        staged.extend(parsed(records))
        return records

    outputs = [Output(RecordingSink([]), accepts), Output(RecordingSink([]), accepts)]
    source = Listed([b"a"], [], replayable=replayable)
    run(lambda _: Pipeline(source, [stage], outputs, retention=retention))
    assert seen == [{"value": b"a"}] * 2, "every output still has it"
    dropped = replayable and retention is not EventRetention.UNTIL_FLUSHED
    assert [record.event for record in staged] == [None if dropped else {"value": b"a"}]


def test_a_source_can_ask_for_a_flush() -> None:
    journal: list[str] = []
    source, sink = Listed([b"a", b"b"], journal, asks=True), RecordingSink(journal)
    run(lambda _: Pipeline(source, [], [Output(sink, accept_all)], Batch(records=100, seconds=60)))
    assert journal[:4] == ["write", "flush", "settle", "commit"]
    assert source.committed[0] == {PARTITION: 1}, "what the poll that asks gives is not in it"


def test_a_flush_that_fails_in_a_poll_is_not_the_sources_fault() -> None:
    journal: list[str] = []
    source, sink = Listed([b"a", b"b"], journal, replayable=False, asks=True), RecordingSink(journal, failures=1)
    carried_over: list[Source | None] = []

    def build(carry_over: CarryOver) -> Pipeline:
        carried_over.append(carry_over.source)
        return Pipeline(source, [], [Output(sink, accept_all)], Batch(records=100, seconds=60))

    run(build)
    assert carried_over == [None, source]
    assert sink.stored == [b"a", b"b"], "what it had given was written again"


def test_what_fails_to_be_flushed_is_not_committed_and_everything_is_built_anew() -> None:
    journal: list[str] = []
    sink = RecordingSink(journal, failures=1)
    sources: list[Listed] = []

    def build(_: CarryOver) -> Pipeline:
        sources.append(Listed([b"a"], journal))
        return Pipeline(sources[-1], [], [Output(sink, accept_all)])

    metrics, reporter = run(build)
    assert [source.committed for source in sources] == [[], [{PARTITION: 1}, {}]]
    assert sink.stored == [b"a"]
    assert metrics.totals["restarts", ()] == 1
    assert State.WAITING in reporter.states


def test_what_is_not_replayable_is_carried_over_a_failure_and_staged_once() -> None:
    journal: list[str] = []
    source = Listed([b"a", b"b"], journal, replayable=False)
    sink = RecordingSink(journal, failures=2)
    staged: list[bytes] = []

    def stage(records: list[Record]) -> list[Record]:
        staged.extend(record.value for record in records)
        return [Record(record.value.upper()) for record in records]

    run(lambda carry_over: Pipeline(carry_over.source or source, [stage], [Output(sink, accept_all)]))
    assert sink.stored == [b"A", b"B"]
    assert staged == [b"a", b"b"]


def test_positions_of_what_is_carried_over_a_failure_are_committed_with_it() -> None:
    class Durable(Listed):
        """As a spool: carried over a failure of the sinks, but with positions."""

        def poll(self, limit: int, timeout_s: float) -> list[Record]:
            (record,) = super().poll(limit, timeout_s)
            record.origin = PARTITION
            return [record]

    journal: list[str] = []
    source, sink = Durable([b"a"], journal, replayable=False), RecordingSink(journal, failures=1)
    run(lambda _: Pipeline(source, [], [Output(sink, accept_all)]))
    assert sink.stored == [b"a"]
    assert source.committed[0] == {PARTITION: 1}


def test_what_a_failing_stage_was_given_is_staged_again() -> None:
    journal: list[str] = []
    source, sink = Listed([b"a"], journal, replayable=False), RecordingSink(journal)
    failures = iter([True])

    def stage(records: list[Record]) -> list[Record]:
        if next(failures, False):
            raise RetryableError("the schema wiki is away")
        return records

    run(lambda carry_over: Pipeline(carry_over.source or source, [stage], [Output(sink, accept_all)]))
    assert sink.stored == [b"a"]


def test_what_a_store_rejects_goes_to_the_dead_letter_sink_before_the_commit() -> None:
    journal: list[str] = []
    source, sink, errors = Listed([b"a", b"refuse me"], journal), RecordingSink(journal), RecordingSink([])
    run(
        lambda _: Pipeline(
            source,
            [],
            [Output(sink, accept_all)],
            Batch(records=2, seconds=60),
            make_event_error=lambda rejected: Record(b"refused: " + rejected.record.value),
            dead_letter_sink=errors,
        )
    )
    assert sink.stored == [b"a"]
    assert errors.stored == [b"refused: refuse me"]


def test_of_what_is_not_replayable_each_rejected_record_is_reported() -> None:
    source, errors = Listed([b"a", b"b"], [], replayable=False), RecordingSink([])
    sinks = [RecordingSink([], refuse=b"a"), RecordingSink([], refuse=b"b")]
    run(
        lambda carry_over: Pipeline(
            carry_over.source or source,
            [],
            [Output(sink, accept_all) for sink in sinks],
            Batch(records=2, seconds=60),
            make_event_error=lambda rejected: Record(b"refused: " + rejected.record.value),
            dead_letter_sink=errors,
        )
    )
    assert errors.stored == [b"refused: a", b"refused: b"]


@pytest.mark.parametrize("replayable", [True, False])
def test_what_an_output_has_it_does_not_get_again_and_nothing_is_counted_twice(replayable: bool) -> None:
    values = [b"a", b"refuse me", b"b"]
    first, second, errors = RecordingSink([]), RecordingSink([], failures=3), RecordingSink([])
    opened: list[Listed] = []

    def build(carry_over: CarryOver) -> Pipeline:
        assert carry_over.counts is not None
        counts = carry_over.counts

        def stage(records: list[Record]) -> list[Record]:
            counts.count("events_valid", len(records), schema="A")
            return records

        if carry_over.source is None:
            opened.append(AtOnce(values, [], replayable=replayable))
        return Pipeline(
            carry_over.source or opened[-1],
            [stage],
            [Output(first, accept_all), Output(second, lambda record: record.value != b"refuse me")],
            Batch(records=3, seconds=60),
            make_event_error=lambda rejected: Record(b"refused: " + rejected.record.value),
            dead_letter_sink=errors,
        )

    metrics, _ = run(build)
    assert first.stored == [b"a", b"b"]
    assert second.stored == [b"a", b"b"]
    assert errors.stored == [b"refused: refuse me"]
    assert metrics.summary()["events_valid"] == 3
    assert metrics.summary()["records_refused"] == 1
    assert metrics.summary()["restarts"] == 3


def test_what_comes_again_in_other_batches_is_known_all_the_same() -> None:
    first, second = RecordingSink([]), RecordingSink([], failures=1)
    sizes = iter([4, 1])

    def build(_: CarryOver) -> Pipeline:
        kind, size = (AtOnce, 4) if next(sizes) == 4 else (Listed, 1)
        outputs = [Output(first, accept_all), Output(second, accept_all)]
        return Pipeline(kind([b"a", b"b", b"c", b"d"], []), [], outputs, Batch(records=size))

    run(build)
    assert first.stored == second.stored == [b"a", b"b", b"c", b"d"]


def test_an_event_error_that_is_rejected_is_never_wrapped_into_another() -> None:
    sink, errors = RecordingSink([]), RecordingSink([])
    with capture_logs() as logs:
        metrics, _ = run(
            lambda _: Pipeline(
                Listed([b"refuse me"], []),
                [],
                [Output(sink, accept_all)],
                make_event_error=lambda _: None,
                dead_letter_sink=errors,
            )
        )
    assert errors.stored == []
    assert metrics.summary()["records_refused"] == 1
    assert [entry["reason"] for entry in logs if entry["event"] == "an EventError is refused"] == ["no"]


def test_an_event_error_that_is_too_large_is_cut_until_it_is_taken() -> None:
    class Small(RecordingSink):
        def flush(self) -> list[RejectedRecord]:
            pending, self.pending = self.pending, []
            self.stored += [record.value for record in pending if len(record.value) <= 3]
            return [RejectedRecord(record, "large", too_large=True) for record in pending if len(record.value) > 3]

    def shorter(record: Record) -> Record | None:
        return Record(record.value[:-4], valid=False) if record.value else None

    def stage(records: list[Record]) -> list[Record]:
        return [Record(record.value, valid=False, origin=record.origin, offset=record.offset) for record in records]

    sink = Small([])
    run(lambda _: Pipeline(Listed([b"0123456789"], []), [stage], [Output(sink, accept_all)], shorten=shorter))
    assert sink.stored == [b"01"]


def test_an_output_gets_only_what_it_accepts() -> None:
    journal: list[str] = []
    source, sink = Listed([b"a", b"b"], journal), RecordingSink(journal)
    run(lambda _: Pipeline(source, [], [Output(sink, lambda record: record.value == b"b")]))
    assert sink.stored == [b"b"]


def test_backoff_grows_up_to_its_bound_and_starts_over() -> None:
    backoff = Backoff()
    pauses = [backoff.failed("away") for _ in range(12)]
    assert pauses[0] <= 0.5
    assert max(pauses) <= 30
    assert pauses[-1] >= 15
    backoff.worked()
    assert backoff.failed("away") <= 0.5


def test_the_end_of_an_outage_is_logged_once_with_its_length_and_reported() -> None:
    reasons: list[str] = []
    backoff = Backoff(reasons.append)
    with capture_logs() as logs:
        backoff.worked()
        backoff.failed("the disk is full")
        backoff.failed("the wiki is away")
        backoff.worked()
        backoff.worked()
    (end,) = [entry for entry in logs if entry["event"] == "works again"]
    assert end["reason"] == "the wiki is away"
    assert end["lasted_s"] >= 0
    assert reasons == ["the disk is full", "the wiki is away", ""]


def test_a_failure_without_a_reason_is_told_all_the_same() -> None:
    reasons: list[str] = []
    Backoff(reasons.append).failed("")
    assert reasons == ["no reason given"]


def test_the_loop_reports_why_it_waits_and_that_it_works_again() -> None:
    journal: list[str] = []
    source, sink = Listed([b"a"], journal, replayable=False), RecordingSink(journal)

    def build(_: CarryOver) -> Pipeline:
        journal.append("built")
        if len(journal) == 1:
            raise RetryableError("the database is away")
        return Pipeline(source, [], [Output(sink, accept_all)])

    _, reporter = run(build)
    assert reporter.reasons == ["the database is away", ""]


@dataclass
class Endless(Listed):
    """The same, which ends once something was committed."""

    @property
    def exhausted(self) -> bool:
        return bool(self.committed)

    def poll(self, limit: int, timeout_s: float) -> list[Record]:
        return super().poll(limit, timeout_s) if self.at < len(self.values) else []


def test_after_a_failure_the_first_batch_does_not_wait_until_it_is_old() -> None:
    journal: list[str] = []

    def build(_: CarryOver) -> Pipeline:
        source, sink = Endless([b"a"], journal), RecordingSink(journal)
        journal.append("built")
        if len(journal) == 1:
            raise RetryableError("the database is away")
        return Pipeline(source, [], [Output(sink, accept_all)], Batch(records=100, seconds=3600))

    # Where it waits, the time of the test ends first.
    _, reporter = run(build)
    assert reporter.reasons[-1] == ""


@pytest.mark.parametrize("replayable", [True, False])
def test_a_source_that_was_opened_before_something_failed_is_closed_or_carried_over(replayable: bool) -> None:
    journal: list[str] = []
    opened: list[Listed] = []

    def build(carry_over: CarryOver) -> Pipeline:
        if carry_over.source is None:
            opened.append(Listed([b"a"], journal, replayable=replayable))
            carry_over.source = opened[-1]
        if len(journal) < 2:
            journal.append("the sink is away")
            raise RetryableError("away")
        return Pipeline(carry_over.source, [], [Output(RecordingSink(journal), accept_all)])

    run(build)
    assert len(opened) == (3 if replayable else 1)
    assert all(source.closed for source in opened)


def test_a_reason_is_logged_once_while_it_lasts() -> None:
    backoff = Backoff()
    with capture_logs() as logs:
        pauses = [backoff.failed("the disk is full") for _ in range(20)]
        backoff.failed("the wiki is away")
    assert [entry["reason"] for entry in logs] == ["the disk is full", "the wiki is away"]
    assert pauses[0] <= 0.5
    assert max(pauses) <= 30.0
    assert pauses[10] > 10
    backoff.worked()
    assert backoff.failed("the disk is full") <= 0.5


@pytest.mark.parametrize(
    ("retention", "records"),
    [(EventRetention.ROUTING_FIELDS, 3), (EventRetention.UNTIL_WRITTEN, 1), (EventRetention.UNTIL_FLUSHED, 1)],
)
def test_a_batch_whose_outputs_want_more_goes_on_while_there_is_something_to_read(
    retention: EventRetention, records: int
) -> None:
    journal: list[str] = []
    source, outputs = Listed([b"a", b"b", b"c"], journal), [Output(RecordingSink(journal), accept_all)]
    run(lambda _: Pipeline(source, [], outputs, Batch(records=100), retention=retention, wants_more=lambda: True))
    assert journal[: records + 3] == ["write"] * records + ["flush", "settle", "commit"]
    assert source.committed[0] == {PARTITION: records}


def test_the_first_batch_is_written_soon_whatever_its_longest_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    journal: list[str] = []

    class Slow(Listed):
        def poll(self, limit: int, timeout_s: float) -> list[Record]:
            now[0] += 4.0
            return super().poll(limit, timeout_s)

    source, sink = Slow([b"%d" % number for number in range(6)], journal), RecordingSink(journal)
    pipeline = Pipeline(source, [], [Output(sink, lambda _: True)], Batch(1_000, 300.0))
    loop.run(lambda _carry_over: pipeline, Stop(), Counters(), Shown())
    # Two within the first five seconds and a bit, all others when the input ends.
    assert [next(iter(one.values())) for one in source.committed] == [3, 6]


def test_an_input_that_cannot_be_damaged_ends_without_damage() -> None:
    pipeline = Pipeline(Listed([b"a"], []), [], [Output(RecordingSink([]), accept_all)])
    assert loop.run(lambda _: pipeline, Stop(), Counters(), Shown()) == loop.Ending("", "")


def test_what_a_database_rejects_is_counted_once_though_it_is_rejected_again() -> None:
    class Database(RecordingSink):
        def resume_at(self, positions: Positions) -> Positions:
            return positions

    outputs = [Output(sink, accept_all) for sink in (Database([]), RecordingSink([], refuse=b"", failures=1))]
    metrics, _ = run(lambda _: Pipeline(Listed([b"refuse me"], []), [], outputs))
    assert metrics.summary()["records_refused"] == 1


def test_a_sink_commits_with_the_positions_behind_what_it_stored() -> None:
    class Positioned(RecordingSink):
        def commit_transaction(self, positions: Positions) -> None:
            final.append((list(self.stored), dict(positions)))

    final: list[tuple[list[bytes], Positions]] = []
    outputs = [Output(Positioned([]), accept_all)]
    run(lambda _: Pipeline(Listed([b"a", b"b", b"c"], []), [], outputs, Batch(records=2, seconds=60)))
    assert final == [([b"a", b"b"], {PARTITION: 2}), ([b"a", b"b", b"c"], {PARTITION: 3})]
