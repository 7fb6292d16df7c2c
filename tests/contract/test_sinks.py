# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""What `contracts.Sink` promises, asked of every sink."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import pytest
from contract import sinks
from waiting import wait_for

from elworkers.core.contracts import Record, RejectedRecord, Sink
from elworkers.core.errors import RetryableError

Make = Callable[[pytest.FixtureRequest], sinks.SinkHarness]

BYTES: Mapping[str, Make] = {
    "file": lambda _: sinks.File(),
    "stdout": lambda _: sinks.Stdout(),
    "udp": lambda _: sinks.Udp(),
    "kafka": lambda request: sinks.Kafka(request.getfixturevalue("stack")),
    "kafka-each": lambda request: sinks.Kafka(request.getfixturevalue("stack"), "&async=False"),
    "kafka-gzip": lambda request: sinks.Kafka(request.getfixturevalue("stack"), "&compression=gzip"),
}
ALL: Mapping[str, Make] = {
    **BYTES,
    "sqlite": lambda _: sinks.Sqlite(),
    "mariadb": lambda request: sinks.Mariadb(request.getfixturevalue("stack")),
}
AT_ONCE = {"kafka-each"}
CHOOSY = {name: ALL[name] for name in ("udp", "kafka", "kafka-each", "kafka-gzip", "sqlite", "mariadb")}
AWAY: Mapping[str, Make] = {
    "file": ALL["file"],
    "udp": ALL["udp"],
    "sqlite": ALL["sqlite"],
    "kafka": lambda request: sinks.Kafka(request.getfixturevalue("own_stack")),
    "mariadb": lambda request: sinks.Mariadb(request.getfixturevalue("own_stack")),
}


@pytest.fixture
def harness(request: pytest.FixtureRequest) -> Iterator[sinks.SinkHarness]:
    """The implementation that the test's parameter makes; only what it needs is started."""
    made = request.param(request)
    yield made
    made.close()


def of(harnesses: Mapping[str, Make]) -> pytest.MarkDecorator:
    """Run a test for each of these implementations."""
    return pytest.mark.parametrize("harness", list(harnesses.values()), ids=list(harnesses), indirect=True)


def flushed(sink: Sink) -> list[RejectedRecord]:
    """Flush and settle; what was refused."""
    refused = sink.flush()
    sink.commit_transaction({})
    return refused


@of({name: make for name, make in ALL.items() if name not in AT_ONCE})
def test_closing_stores_nothing_that_was_not_flushed(harness: sinks.SinkHarness) -> None:
    first = harness.make()
    first.write([harness.record(1), harness.record(2)])
    first.close()
    second = harness.make()
    second.write([harness.record(3)])
    assert flushed(second) == []
    assert harness.stored() == [3]
    second.close()


@of(ALL)
def test_all_is_stored_in_order_behind_a_flush(harness: sinks.SinkHarness) -> None:
    sink = harness.make()
    for begin in (0, 50, 100):
        sink.write([harness.record(number) for number in range(begin, begin + 25)])
        sink.write([harness.record(number) for number in range(begin + 25, begin + 50)])
        assert flushed(sink) == []
        assert harness.stored() == list(range(begin + 50))
    sink.close()


@of(ALL)
def test_flushing_again_stores_nothing_again(harness: sinks.SinkHarness) -> None:
    sink = harness.make()
    sink.write([harness.record(1)])
    assert flushed(sink) == []
    assert flushed(sink) == []
    sink.close()
    assert harness.stored() == [1]


@of(ALL)
def test_a_flush_of_nothing_is_nothing(harness: sinks.SinkHarness) -> None:
    sink = harness.make()
    assert flushed(sink) == []
    sink.write([])
    assert flushed(sink) == []
    sink.write([harness.record(1)])
    assert flushed(sink) == []
    assert harness.stored() == [1]
    sink.close()


@of(ALL)
def test_closing_twice_does_no_harm(harness: sinks.SinkHarness) -> None:
    sink = harness.make()
    sink.write([harness.record(1)])
    assert flushed(sink) == []
    sink.close()
    sink.close()
    assert harness.stored() == [1]


@of(CHOOSY)
def test_what_a_store_never_takes_is_handed_back_and_its_neighbours_are_stored(harness: sinks.SinkHarness) -> None:
    sink = harness.make()
    unwanted = harness.unwanted
    assert unwanted is not None
    sink.write([harness.record(1), unwanted, harness.record(2)])
    refused = flushed(sink)
    assert [refusal.record for refusal in refused] == [unwanted]
    assert refused[0].message
    assert flushed(sink) == []
    assert harness.stored() == [1, 2]
    sink.close()


class Spoiled(Record):
    """A record whose value is what a bug may leave there."""

    def __init__(self) -> None:
        super().__init__(None)  # type: ignore[arg-type]


@of(BYTES)
def test_a_record_that_no_step_can_take_is_refused_alone(harness: sinks.SinkHarness) -> None:
    sink = harness.make()
    spoiled = [Spoiled(), Spoiled()]
    sink.write([spoiled[0], harness.record(1), spoiled[1], harness.record(2)])
    refused = flushed(sink)
    assert [refusal.record for refusal in refused] == spoiled
    assert {refusal.code for refusal in refused} == {"processor"}
    assert harness.stored() == [1, 2]
    sink.close()


@of(BYTES)
def test_every_byte_is_stored(harness: sinks.BytesHarness) -> None:
    values = [
        b"\x00 and \x00\x00",
        b"\xff\xfe no UTF-8 \xc3",
        b" blanks around \t ",
        b"a carriage\rreturn inside",
        "Grüße 🦆".encode(),
        b"x" * 60_000,
    ]
    sink = harness.make()
    sink.write([Record(value) for value in values])
    assert flushed(sink) == []
    assert harness.values() == values
    sink.close()


def attempt(harness: sinks.SinkHarness, sink: Sink) -> bool:
    """Store one more record; whether the sink said that its far side is away."""
    try:
        sink.write([harness.record(0)])
        flushed(sink)
    except RetryableError:
        return True
    return False


@of({name: make for name, make in AWAY.items() if name != "sqlite"})
def test_a_sink_says_that_its_far_side_went_away(harness: sinks.SinkHarness) -> None:
    sink = harness.make()
    sink.write([harness.record(1)])
    assert flushed(sink) == []
    harness.take_away()
    try:
        wait_for(lambda: attempt(harness, sink), 60, "an error of the sink")
    finally:
        harness.bring_back()
    sink.close()
    again = harness.make()
    again.write([harness.record(2)])
    assert flushed(again) == []
    assert harness.stored() == [1, 2]
    again.close()


@of(AWAY)
def test_a_sink_whose_far_side_is_away_from_the_beginning_says_so(harness: sinks.SinkHarness) -> None:
    def refuses() -> bool:
        try:
            sink = harness.make()
        except RetryableError:
            return True
        try:
            return attempt(harness, sink)
        finally:
            sink.close()

    harness.take_away()
    try:
        wait_for(refuses, 60, "an error of a new sink")
    finally:
        harness.bring_back()
    sink = harness.make()
    sink.write([harness.record(1)])
    assert flushed(sink) == []
    assert harness.stored() == [1]
    sink.close()
