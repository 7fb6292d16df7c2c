# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""What becomes of an event whose function does what it should, fails, gives something else, or does not come back."""

from __future__ import annotations

import datetime
import json
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elworkers.core.budget import Budget
from elworkers.core.capabilities import OffsetStore
from elworkers.core.contracts import Assignment, Destination, Event, Positions, Record, RejectedRecord
from elworkers.core.errors import ConfigurationError, RetryableError
from elworkers.core.metrics import Counters
from elworkers.events.json_text import read_object
from elworkers.functions.applied import Functions
from elworkers.functions.circuit_breaker import CircuitBreaker
from elworkers.functions.loading import Function
from elworkers.functions.sink import through
from elworkers.functions.stage import FunctionStage

PLACE = Assignment("t", 0, "k:1")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


def record(schema: str = "S", value: object = 1, offset: int = 0) -> Record:
    event = {"schema": schema, "revision": 1, "event": {"a": value}}
    return Record(json.dumps(event).encode(), origin=PLACE, offset=offset, key=b"k")


def maps(call: Callable[[Any], Any]) -> Function:
    return Function("m:f", call, decides=False)


def filters(call: Callable[[Any], Any]) -> Function:
    return Function("m:f", call, decides=True)


def functions(*some: Function, seconds: float = 1.0, metrics: Counters | None = None) -> Functions:
    metrics = metrics or Counters()
    return Functions(some, CircuitBreaker(Budget(seconds, signal.ITIMER_REAL), metrics), metrics)


def stage(*some: Function, seconds: float = 1.0, metrics: Counters | None = None) -> FunctionStage:
    metrics = metrics or Counters()
    return FunctionStage({(PLACE.cluster, PLACE.topic): functions(*some, seconds=seconds, metrics=metrics)}, metrics)


def doubled(event: Event) -> Event:
    event["event"]["a"] *= 2
    return event


def test_a_map_gives_another_event_of_the_same_place_and_leaves_the_first_as_it_was() -> None:
    first = record(offset=7)
    (made,) = stage(maps(doubled))([first])
    assert (made.event, json.loads(made.value)) == ({"schema": "S", "revision": 1, "event": {"a": 2}}, made.event)
    assert (made.origin, made.offset, made.key, made.valid) == (PLACE, 7, b"k", True)
    assert json.loads(first.value)["event"] == {"a": 1}


def test_what_is_left_out_is_counted_by_schema() -> None:
    metrics = Counters()
    records = [record("A"), record("B"), record("B"), Record(b"no event", origin=PLACE)]
    made = stage(filters(lambda event: event["schema"] == "A"), metrics=metrics)(records)
    assert [one.value for one in made] == [records[0].value, b"no event"]
    assert stage(maps(lambda _: None))(records[:1]) == []
    assert metrics.totals == {("events_left_out", (("schema", "B"),)): 2}


def test_a_filter_decides_and_changes_nothing() -> None:
    first = record()
    assert stage(filters(lambda event: event.clear() or 1))([first]) == [first]


def test_functions_take_events_one_after_the_other() -> None:
    many = filters(lambda event: event["event"]["a"] > 1)
    assert [one.event for one in stage(maps(doubled), many, maps(doubled))([record()])] == [
        {"schema": "S", "revision": 1, "event": {"a": 4}}
    ]
    assert stage(many, maps(doubled))([record()]) == []


@settings(max_examples=50)
@given(st.dictionaries(st.text(), JSON))
def test_an_event_that_is_given_back_is_the_same_event(event: Event) -> None:
    try:
        value = json.dumps(event).encode()
        expected = read_object(value)
    except Exception:  # noqa: BLE001 - no event that could come
        return
    (made,) = stage(maps(lambda one: one))([Record(value, origin=PLACE)])
    assert made.valid
    assert (made.event, read_object(made.value)) == (expected, expected)


def ends() -> None:
    sys.exit("the end")


def raises(error: BaseException) -> Callable[[Any], Any]:
    def call(_: Any) -> Any:
        raise error

    return call


class SilentError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (raises(ValueError("no such page")), "function m:f failed: ValueError: no such page"),
        (raises(RetryableError("x")), "RetryableError: x"),
        (raises(ConfigurationError("x")), "ConfigurationError: x"),
        (raises(SilentError()), "SilentError"),
        (raises(MemoryError()), "failed: MemoryError"),
        (raises(KeyboardInterrupt()), "failed: KeyboardInterrupt"),
        (lambda _: ends(), "failed: SystemExit: the end"),
        (lambda _: 1 / 0, "failed: ZeroDivisionError: division by zero"),
        (lambda: 1, "takes 0 positional arguments but 1 was given"),
        (lambda _: True, "gave bool; expected an event, which is a dict, or None"),
        (lambda event: [event], "gave list; expected an event"),
        (lambda event: {**event, "x": {1}}, "set is not JSON serializable"),
        (lambda event: {**event, "x": datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)}, "datetime"),
        (lambda event: {**event, "x": float("nan")}, "not JSON compliant"),
        (lambda event: {**event, "x": "\ud800"}, "surrogates not allowed"),
        (lambda event: event.update(x=event) or event, "Circular reference"),
    ],
)
def test_what_a_function_does_wrong_is_an_eventerror_of_its_event_alone(call: Callable[..., Any], said: str) -> None:
    metrics = Counters()
    chosen = maps(lambda event: call(event) if event["schema"] == "Bad" and callable(call) else event)
    if call.__code__.co_argcount == 0:
        chosen = maps(call)
        made = stage(chosen, metrics=metrics)([record("Bad", offset=3)])
    else:
        made = stage(chosen, metrics=metrics)([record("Good"), record("Bad", offset=3), record("Good")])
        assert [one.valid for one in made] == [True, False, True]
        made = made[1:2]
    (failed,) = made
    assert failed.event is not None
    told = failed.event["event"]
    assert (told["code"], told["schema"], failed.offset) == ("processor", "Bad", 3)
    assert said in told["message"]
    assert told["rawEvent"] == record("Bad").value.decode()
    assert metrics.summary() == {"events_invalid": 1}


def test_integers_of_any_size_stay_what_they_are() -> None:
    (made,) = stage(maps(lambda event: {**event, "x": 2**80, "y": (1, 2)}))([record()])
    assert made.event is not None
    assert (made.event["x"], made.event["y"]) == (2**80, [1, 2])
    assert json.loads(made.value)["x"] == 2**80


def spins(_: Event) -> None:
    while True:
        pass


@pytest.mark.parametrize("call", [lambda _: time.sleep(60), spins])
def test_a_function_that_does_not_come_back_holds_up_nobody(call: Callable[[Event], Any]) -> None:
    metrics = Counters()
    called: list[str] = []

    def one(event: Event) -> Any:
        called.append(event["schema"])
        return call(event) if event["schema"] == "Slow" else event

    chosen = maps(one)
    slow = [record("Slow") for _ in range(50)]
    made = stage(chosen, seconds=0.04, metrics=metrics)([record("Good"), *slow, record("Good")])
    assert [one.valid for one in made] == [True, *[False] * 50, True]
    assert {one.event["event"]["code"] for one in made[1:51] if one.event} == {"timeout"}
    # Five of them take their time; then nobody calls it for that schema.
    assert called == ["Good", *["Slow"] * 5, "Good"]
    assert list(metrics.aside) == ["function m:f for schema Slow"]


def test_a_schema_that_was_set_aside_is_tried_again() -> None:
    now, metrics = [0.0], Counters()
    circuit_breaker = CircuitBreaker(Budget(1.0, signal.ITIMER_REAL), metrics, lambda: now[0])
    key = ("m:f", "S")
    for _ in range(4):
        circuit_breaker.record_timeout(key)
    assert not circuit_breaker.is_open(key)
    circuit_breaker.record_timeout(key)
    assert circuit_breaker.is_open(key)
    now[0] = 61.0
    with circuit_breaker.batch():
        assert not circuit_breaker.is_open(key)
    assert metrics.aside == {}
    circuit_breaker.record_timeout(key)
    assert circuit_breaker.is_open(key)
    circuit_breaker.record_success(key)
    assert (circuit_breaker.is_open(key), metrics.aside) == (False, {})


def test_eventerrors_pass_by_the_functions_of_an_input() -> None:
    one = record()
    one.valid = False
    assert stage(filters(lambda _: False))([one]) == [one]


def test_functions_of_another_topic_are_not_called() -> None:
    other = Record(record().value, origin=Assignment("other", 0, "k:1"))
    assert stage(filters(lambda _: False))([other, record()]) == [other]


class Kept:
    """A sink that keeps what it is given, and positions if it is a ledger."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def write(self, records: list[Record]) -> None:
        self.records += records

    def flush(self) -> list[RejectedRecord]:
        return [RejectedRecord(one, "too large") for one in self.records if one.event == {}]

    def commit_transaction(self, positions: Positions) -> None:
        self.settled = positions

    def close(self) -> None:
        self.closed = True


class KeptLedger(Kept):
    def resume_at(self, starts: Positions) -> Positions:
        return {place: offset + 1 for place, offset in starts.items()}


def test_an_output_refuses_what_its_function_fails_for() -> None:
    behind = Kept()
    sink = through(functions(maps(lambda event: event if event["schema"] == "Good" else 1 / 0)), behind)
    sink.write([record("Good"), record("Bad", offset=5)])
    (refused,) = sink.flush()
    assert (refused.record.offset, refused.code) == (5, "processor")
    assert "ZeroDivisionError" in refused.message
    assert [one.offset for one in behind.records] == [0]
    assert sink.flush() == []


def test_functions_of_an_output_take_eventerrors_that_go_there() -> None:
    behind, one = Kept(), record("EventError")
    one.valid = False
    through(functions(maps(doubled)), behind).write([one])
    assert [(made.valid, made.event and made.event["event"]) for made in behind.records] == [(False, {"a": 2})]


def test_no_eventerror_is_lost_where_a_function_fails_for_it() -> None:
    behind, own, read = Kept(), record("EventError"), record("EventError", offset=1)
    own.valid = False
    sink = through(functions(maps(raises(KeyError("action")))), behind)
    sink.write([own, read])
    assert (behind.records, sink.flush()) == ([own, read], [])


def test_an_output_that_keeps_positions_goes_on_keeping_them() -> None:
    assert not isinstance(through(functions(), Kept()), OffsetStore)
    ledger = through(functions(), KeptLedger())
    assert isinstance(ledger, OffsetStore)
    assert ledger.resume_at({PLACE: 1}) == {PLACE: 2}


class KeptByTopic(Kept):
    """One that says where a record would go."""

    def destination(self, record: Record) -> Destination | None:
        return Destination(store=str(record.event and record.event["event"]))


def test_where_an_event_would_go_is_where_its_function_leads_it() -> None:
    metrics = Counters()
    behind = KeptByTopic()
    assert through(functions(maps(doubled)), behind).destination(record("Good")) == Destination(store="{'a': 2}")
    assert through(functions(maps(lambda _: None), metrics=metrics), behind).destination(record("Good")) is None
    assert through(functions(maps(raises(KeyError("x")))), behind).destination(record("Good")) is None
    assert metrics.total("events_left_out") == 0


def test_what_is_asked_of_an_output_goes_to_its_sink() -> None:
    behind = Kept()
    sink = through(functions(), behind)
    assert sink.destination(record("Good")) == Destination()  # type: ignore[attr-defined]
    sink.commit_transaction({PLACE: 3})
    sink.close()
    assert (behind.settled, behind.closed) == ({PLACE: 3}, True)
