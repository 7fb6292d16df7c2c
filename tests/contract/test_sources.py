# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""What `contracts.Source` promises, asked of every source."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
from contract import sources
from structlog.testing import capture_logs
from waiting import wait_for

from elworkers.core.contracts import Assignment, Record, Source
from elworkers.core.errors import RetryableError
from elworkers.devstack import Stack

FOREIGN = {Assignment("elsewhere", 0, "other", 1): 99}
DEADLINE_S = 60.0


@pytest.fixture(params=["udp", "udp6", "spooled", "file", "stdin", "merged", "kafka", "kafka-zookeeper"])
def harness(request: pytest.FixtureRequest) -> Iterator[sources.SourceHarness]:
    """Each implementation in turn; only what it needs is started."""
    if request.param == "kafka":
        made: sources.SourceHarness = sources.Kafka(request.getfixturevalue("kafka"))
    elif request.param == "kafka-zookeeper":
        made = sources.Kafka(request.getfixturevalue("kafka"), request.getfixturevalue("zookeeper"))
    else:
        kinds = {
            "udp": sources.Udp,
            "udp6": sources.Udp6,
            "spooled": sources.Spooled,
            "file": sources.File,
            "stdin": sources.Stdin,
            "merged": sources.Merged,
        }
        made = kinds[request.param]()
    yield made
    made.close()


def read(source: Source, count: int, limit: int = 1000) -> list[Record]:
    """`count` records, however many polls it takes; each poll is checked against its limit."""
    found: list[Record] = []

    def enough() -> bool:
        records = source.poll(limit, 0.5)
        assert len(records) <= limit
        found.extend(records)
        return len(found) >= count

    wait_for(enough, DEADLINE_S, f"{count} records")
    return found


def lines(count: int, begin: int = 0) -> list[bytes]:
    """Numbered lines."""
    return [b"line %d" % number for number in range(begin, begin + count)]


def test_polls_hold_to_their_limit_and_keep_the_order(harness: sources.SourceHarness) -> None:
    source = harness.make()
    harness.feed(lines(100))
    assert [record.value for record in read(source, 100, limit=7)] == lines(100)
    source.close()


def test_a_poll_returns_as_soon_as_there_is_something(harness: sources.SourceHarness) -> None:
    source = harness.make()
    harness.feed(lines(1))
    # One that waits its time out is ended by the test's.
    assert [record.value for record in source.poll(1000, 3600)] == lines(1)
    source.close()


def test_an_empty_poll_ends_at_its_timeout_and_not_before(harness: sources.SourceHarness) -> None:
    source = harness.make()
    begin = time.monotonic()
    assert source.poll(1000, 0.3) == []
    assert time.monotonic() - begin >= 0.29
    assert not source.exhausted
    source.close()


def test_a_poll_without_a_timeout_takes_what_is_there(harness: sources.SourceHarness) -> None:
    source = harness.make()
    assert source.poll(1000, 0.0) == []
    harness.feed(lines(20))
    found: list[Record] = []

    def enough() -> bool:
        found.extend(source.poll(1000, 0.0))
        return len(found) == 20

    wait_for(enough, DEADLINE_S, "20 records without waiting in poll")
    source.close()


@pytest.mark.parametrize(
    "value",
    [
        b"\x00 and \x00\x00",
        b"\xff\xfe no UTF-8 \xc3",
        b"blanks at the end \t ",
        b"a carriage\rreturn inside",
        "Grüße 🦆".encode(),
        b"%7B%22" + b"x" * 60_000,
    ],
    ids=["nul", "not-utf-8", "blanks", "carriage-return", "utf-8", "60-kilobytes"],
)
def test_every_byte_comes_through(harness: sources.SourceHarness, value: bytes) -> None:
    source = harness.make()
    harness.feed([b"before", value, b"after"])
    assert [record.value for record in read(source, 3)] == [b"before", value, b"after"]
    source.close()


def test_records_say_when_and_where_they_were_read(harness: sources.SourceHarness) -> None:
    before_ms = int(time.time() * 1000)
    source = harness.make()
    harness.feed(lines(10))
    records = read(source, 10)
    after_ms = int(time.time() * 1000)
    assert all(before_ms <= record.timestamp_ms <= after_ms for record in records)
    if harness.positions:
        assert len({record.origin for record in records}) == 1
        assert records[0].origin is not None
        offsets = [record.offset for record in records]
        assert offsets == (list(range(10)) if harness.dense else sorted(set(offsets)))
    else:
        assert {(record.origin, record.offset) for record in records} == {(None, -1)}
    source.close()


def test_positions_of_others_are_passed_over(harness: sources.SourceHarness) -> None:
    source = harness.make()
    source.commit(FOREIGN)
    harness.feed(lines(3))
    assert len(read(source, 3)) == 3
    source.commit(FOREIGN)
    source.close()


def test_closing_twice_does_no_harm(harness: sources.SourceHarness) -> None:
    source = harness.make()
    harness.feed(lines(2))
    assert len(read(source, 2)) == 2
    with capture_logs() as logs:
        source.close()
        source.close()
    assert not [entry for entry in logs if entry["log_level"] in {"warning", "error"}]


class TestWithPositions:
    """Sources that can be asked again."""

    @pytest.fixture(params=["kafka", "kafka-zookeeper"])
    def harness(self, request: pytest.FixtureRequest) -> Iterator[sources.Kafka]:
        """Groups managed by Kafka and by ZooKeeper."""
        zookeeper = request.getfixturevalue("zookeeper") if request.param == "kafka-zookeeper" else None
        made = sources.Kafka(request.getfixturevalue("kafka"), zookeeper)
        yield made
        made.close()

    def test_a_new_source_goes_on_behind_what_was_committed(self, harness: sources.Kafka) -> None:
        first = harness.make()
        harness.feed(lines(20))
        records = read(first, 20)
        sixth = records[5]
        assert sixth.origin is not None
        first.commit({sixth.origin: sixth.offset})
        first.close()
        harness.feed(lines(5, begin=20))
        second = harness.make()
        assert [record.value for record in read(second, 20)] == lines(20, begin=5)
        second.close()

    def test_closing_commits_nothing(self, harness: sources.Kafka) -> None:
        first = harness.make()
        harness.feed(lines(4))
        read(first, 4)
        first.close()
        second = harness.make()
        assert [record.value for record in read(second, 4)] == lines(4)
        second.close()

    def test_a_position_of_an_earlier_claim_is_not_committed(self, harness: sources.Kafka) -> None:
        first = harness.make()
        harness.feed(lines(4))
        records = read(first, 4)
        stale = records[-1].origin
        assert stale is not None
        first.commit({stale._replace(assignment_epoch=stale.assignment_epoch - 1): 4})
        first.close()
        second = harness.make()
        assert [record.value for record in read(second, 4)] == lines(4)
        second.close()


class TestWhenKafkaIsAway:
    """A source says that its broker has gone, and a new one goes on once it is back."""

    @pytest.fixture
    def harness(self, own_stack: Stack) -> Iterator[sources.Kafka]:
        """A group on a broker that may be killed."""
        own_stack.up("kafka")
        made = sources.Kafka(own_stack.env()["KAFKA"])
        yield made
        made.close()

    def test_nothing_is_lost_over_the_death_of_a_broker(self, own_stack: Stack, harness: sources.Kafka) -> None:
        source = harness.make()
        harness.feed(lines(10))
        records = read(source, 10)
        middle = records[4]
        assert middle.origin is not None
        source.commit({middle.origin: middle.offset + 1})
        own_stack.kill("kafka")
        try:
            wait_for(lambda: says_away(lambda: source.poll(10, 0.5)), DEADLINE_S, "an error of poll")
            wait_for(lambda: says_away(lambda: source.commit({middle.origin: 10})), DEADLINE_S, "an error of commit")
            source.close()
            wait_for(lambda: says_away(lambda: harness.make().close()), DEADLINE_S, "an error of a new source")
        finally:
            own_stack.start("kafka")
        again = harness.make()
        harness.feed(lines(2, begin=10))
        assert [record.value for record in read(again, 7)] == lines(7, begin=5)
        again.close()


def says_away(work: Callable[[], object]) -> bool:
    """Whether the far side is said to be away."""
    try:
        work()
    except RetryableError:
        return True
    return False
