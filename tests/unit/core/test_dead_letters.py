# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""What a flush leaves: EventErrors of rejected records, and which outputs have what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from elworkers.core.contracts import Assignment, Destination, Output, Positions, Record, RejectedRecord, Sink
from elworkers.core.deliveries import DeliveryLog
from elworkers.core.errors import RetryableError
from elworkers.core.event_retention import EventRetention
from elworkers.core.metrics import Counters
from elworkers.core.outputs import Outputs
from elworkers.core.pipeline import CarryOver, Pipeline
from elworkers.core.repeats import Repeats
from elworkers.core.write_marks import WriteMarks

PARTITION = Assignment("topic", 0)


class Given:
    """A source that is not asked."""

    exhausted = durable = idle = False

    def __init__(self, replayable: bool) -> None:
        self.replayable = replayable

    def poll(self, limit: int, timeout_s: float) -> list[Record]:
        raise AssertionError

    def commit(self, positions: Positions) -> None:
        raise AssertionError

    def close(self) -> None:
        raise AssertionError


@dataclass
class Strict:
    """A sink that rejects what is longer than `most`, or what `refuse` names."""

    most: int = 1_000
    refuse: tuple[bytes, ...] = ()
    fails: bool = False
    written: list[list[bytes]] = field(default_factory=list)
    stored: list[bytes] = field(default_factory=list)
    final: list[Positions] = field(default_factory=list)
    pending: list[Record] = field(default_factory=list)

    def write(self, records: Sequence[Record]) -> None:
        self.written.append([record.value for record in records])
        self.pending += records

    def flush(self) -> list[RejectedRecord]:
        if self.fails:
            raise RetryableError("away")
        pending, self.pending = self.pending, []
        wrong = [one for one in pending if len(one.value) > self.most or one.value in self.refuse]
        self.stored += [one.value for one in pending if one not in wrong]
        return [RejectedRecord(one, f"not {one.value!r}", too_large=len(one.value) > self.most) for one in wrong]

    def commit_transaction(self, positions: Positions) -> None:
        self.final.append(positions)

    def close(self) -> None:
        pass


class Database(Strict):
    """The same, which keeps positions."""

    def resume_at(self, positions: Positions) -> Positions:
        return positions


class Topic(Strict):
    """The same, which says where records go to."""

    def destination(self, record: Record) -> Destination:
        return Destination("k:1/errors")


def record(value: bytes, offset: int = 0, **others: Any) -> Record:
    return Record(value, origin=PARTITION, offset=offset, event={"value": value}, **others)


def error_of(rejected: RejectedRecord) -> Record:
    return record(b"error: " + rejected.record.value, rejected.record.offset, valid=False)


class Made:
    """Outputs of a pipeline, and what they count: at once, and once the batch is committed."""

    def __init__(
        self,
        *outputs: Output,
        errors: Sink | None = None,
        replayable: bool = True,
        repeats: Repeats | None = None,
        **others: Any,
    ) -> None:
        others.setdefault("make_event_error", error_of)
        self.carry_over, self.metrics, self.counts = CarryOver(DeliveryLog(repeats)), Counters(), Counters()
        made = Pipeline(Given(replayable), [], outputs, dead_letter_sink=errors, **others)
        self.outputs = Outputs(made, self.carry_over, self.metrics, self.counts)

    def flush(self, *records: Record) -> list[dict[str, Any]]:
        """What is logged of a batch."""
        with capture_logs() as logs:
            self.outputs.write([*records])
            self.outputs.flush()
        return [dict(line) for line in logs]


def everything(sink: Sink, accepts: Callable[[Record], bool] = lambda _: True) -> Output:
    return Output(sink, accepts)


def test_a_rejected_record_becomes_one_event_error_however_many_outputs_reject_it() -> None:
    first, second, errors = Strict(refuse=(b"x", b"y")), Strict(refuse=(b"x",)), Strict()
    made = Made(everything(first), everything(second), errors=errors)
    logs = made.flush(record(b"x", 0), record(b"a", 1), record(b"y", 2))
    assert (first.stored, second.stored) == ([b"a"], [b"a", b"y"])
    assert errors.written == [[b"error: x", b"error: y"]]
    assert errors.stored == [b"error: x", b"error: y"]
    assert [(line["event"], line["code"], line["count"], line["first"], line["log_level"]) for line in logs] == [
        ("records refused by the store", "records_rejected", 2, "not b'x'", "warning"),
        ("records refused by the store", "records_rejected", 1, "not b'x'", "warning"),
    ]
    assert made.metrics.summary()["records_refused"] == 3
    assert made.carry_over.errors == []


def test_records_behind_one_that_is_reported_are_reported_too() -> None:
    errors = Strict()
    made = Made(everything(Strict(refuse=(b"x",))), everything(Strict(refuse=(b"x", b"y"))), errors=errors)
    made.flush(record(b"x", 0), record(b"x", 0), record(b"y", 1))
    assert errors.stored == [b"error: x", b"error: y"]


def test_event_errors_of_what_was_written_before_are_counted_as_repeated(tmp_path: Path) -> None:
    WriteMarks(tmp_path, lambda _: "group").set(PARTITION, 0, 1)
    told: list[Counter[Destination]] = []
    repeats = Repeats(WriteMarks(tmp_path, lambda _: "group"), told.append)
    repeats.read(PARTITION, 0, 2)
    made = Made(everything(Strict(refuse=(b"x", b"y"))), errors=Topic(), repeats=repeats)
    made.flush(record(b"x", 0), record(b"y", 1))
    assert told == [Counter({Destination(): 1}), Counter({Destination("k:1/errors"): 1})]
    assert made.metrics.summary()["records_repeated"] == 2


def test_what_a_database_has_already_it_leaves_out_and_nothing_is_repeated(tmp_path: Path) -> None:
    WriteMarks(tmp_path, lambda _: "group").set(PARTITION, 0, 1)
    told: list[Counter[Destination]] = []
    repeats = Repeats(WriteMarks(tmp_path, lambda _: "group"), told.append)
    repeats.read(PARTITION, 0, 1)
    Made(everything(Database()), repeats=repeats).flush(record(b"a"))
    assert told == []


def test_what_a_database_rejects_is_counted_with_its_batch() -> None:
    made = Made(everything(Database(refuse=(b"x",))), errors=Strict())
    made.flush(record(b"x"))
    assert (made.metrics.summary().get("records_refused", 0), made.counts.summary()["records_refused"]) == (0, 1)


def test_records_without_an_origin_are_each_one_of_their_own() -> None:
    errors = Strict()
    made = Made(everything(Strict(refuse=(b"x",))), errors=errors, replayable=False)
    made.flush(Record(b"x"), Record(b"x"))
    assert errors.stored == [b"error: x"] * 2


@pytest.mark.parametrize("others", [{"errors": None}, {"errors": Strict(), "make_event_error": None}])
def test_where_nothing_takes_event_errors_what_is_rejected_is_logged(others: dict[str, Any]) -> None:
    made = Made(everything(Strict(refuse=(b"x",))), **others)
    assert [line["code"] for line in made.flush(record(b"x"))] == ["records_rejected"]
    assert made.carry_over.errors == []


def test_an_event_error_that_is_rejected_is_lost_and_those_behind_it_are_not() -> None:
    errors = Strict()
    made = Made(
        everything(Strict(refuse=(b"x", b"y"))),
        errors=errors,
        make_event_error=lambda one: None if one.record.value == b"x" else record(b"error"),
    )
    logs = made.flush(record(b"x", 0), record(b"y", 1))
    assert errors.stored == [b"error"]
    (lost,) = [line for line in logs if line["code"] == "event_errors_lost"]
    assert lost == {
        "event": "an EventError is refused",
        "code": "event_errors_lost",
        "reason": "not b'x'",
        "log_level": "error",
    }


def test_event_errors_that_their_own_sink_rejects_are_lost_and_logged() -> None:
    made = Made(everything(Strict(refuse=(b"x",))), errors=Strict(refuse=(b"error: x",)))
    logs = made.flush(record(b"x"))
    assert logs[-1] == {
        "event": "EventErrors refused",
        "code": "event_errors_lost",
        "count": 1,
        "first": "not b'error: x'",
        "log_level": "error",
    }
    assert made.carry_over.errors == []


def test_only_event_errors_are_cut_and_only_where_they_are_too_large() -> None:
    def shorter(one: Record) -> Record | None:
        return Record(one.value[1:], valid=False) if len(one.value) > 3 else None

    sink = Strict(most=2, refuse=(b"!",))
    made = Made(everything(sink), make_event_error=None, shorten=shorter)
    made.flush(
        record(b"valid", 0),
        record(b"12345", 1, valid=False),
        record(b"!", 2, valid=False),
        record(b"ok", 3, valid=False),
    )
    assert sink.written == [[b"valid", b"12345", b"!", b"ok"], [b"2345"], [b"345"]]
    assert made.metrics.summary()["records_refused"] == 3


def test_after_a_failure_an_output_gets_only_what_it_does_not_have() -> None:
    first, second, third = Strict(), Database(), Strict(fails=True)
    made = Made(everything(first), everything(second), everything(third))
    batch = [record(b"%d" % number, number) for number in range(3)]
    with pytest.raises(RetryableError):
        made.flush(*batch)
    made.outputs.remember({PARTITION: 2})
    third.fails = False
    made.flush(*batch)
    assert first.stored == [b"0", b"1", b"2", b"2"], "up to the position it has all"
    assert second.written[-1] == [b"0", b"1", b"2"], "what it has not committed it does not have"
    assert third.written[-1] == [b"0", b"1", b"2"]


def test_outputs_that_share_a_sink_flush_it_once_and_commit_it_once() -> None:
    sink = Strict()
    made = Made(everything(sink, lambda one: one.valid), everything(sink, lambda one: not one.valid))
    made.flush(record(b"a", 0), record(b"b", 1, valid=False))
    made.outputs.commit_transaction({PARTITION: 2})
    assert (sink.stored, sink.final) == ([b"a", b"b"], [{PARTITION: 2}])


@pytest.mark.parametrize("replayable", [True, False])
@pytest.mark.parametrize("retention", EventRetention)
def test_events_are_held_as_long_as_they_are_needed(retention: EventRetention, replayable: bool) -> None:
    made = Made(everything(Strict()), retention=retention, replayable=replayable)
    one = record(b"a")
    made.flush(one)
    assert (one.event is None) == (replayable and retention is not EventRetention.UNTIL_FLUSHED)
