# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""What `connectors.kafka.transactional` promises, asked of every driver that has transactions."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from contract import kafka_drivers
from contract.kafka_drivers import DEADLINE_S, Member, TransactionalHarness
from waiting import wait_for

from elworkers.connectors.kafka.drivers import driver, in_memory
from elworkers.connectors.kafka.memory.broker import MemoryBroker
from elworkers.connectors.kafka.transactional import GroupMetadata, TransactionalProducer, has_transactions
from elworkers.core.contracts import Record
from elworkers.core.errors import RetryableError


@pytest.fixture(params=["memory", "confluent@3.9", "confluent@4"])
def harness(request: pytest.FixtureRequest) -> Iterator[TransactionalHarness]:
    """Each driver with transactions in turn; only what it needs is started."""
    made: TransactionalHarness
    if request.param == "memory":
        made = kafka_drivers.Memory()
    else:
        broker = request.getfixturevalue("kafka" if request.param == "confluent@3.9" else "kafka44")
        made = kafka_drivers.Confluent(broker)
    yield made
    made.close()


def test_pykafka_has_none_and_says_so() -> None:
    assert not has_transactions(driver(client="pykafka"))
    assert has_transactions(in_memory(MemoryBroker()))
    assert has_transactions(driver(client="confluent"))


def write(harness: TransactionalHarness, producer: TransactionalProducer, *values: bytes) -> None:
    """Write to partition 1 in a transaction that stays open."""
    producer.begin()
    producer.produce([Record(value) for value in values], lambda _: (harness.topic, b"one"))
    assert producer.flush() == []


def metadata(member: Member) -> GroupMetadata:
    consumer = member.consumer
    return consumer.group_metadata()  # type: ignore[attr-defined, no-any-return] - `harness` has these only


def test_records_are_seen_when_their_transaction_is_committed_and_never_those_of_an_aborted_one(
    harness: TransactionalHarness,
) -> None:
    member, producer = harness.join(), harness.transactional_producer()
    write(harness, producer, b"aborted")
    producer.abort()
    write(harness, producer, b"committed")
    harness.feed(b"behind")
    assert member.poll() == 0
    producer.commit()
    assert member.read(2) == [b"committed", b"behind"]
    producer.abort()
    reader = harness.driver.reader(harness.hosts)
    ranges = reader.ranges(harness.partitions)
    assert [one[3] for fetched in reader.read(ranges) for one in fetched.messages] == [b"committed", b"behind"]


def test_who_asks_for_uncommitted_records_gets_all(harness: TransactionalHarness) -> None:
    member = harness.join(options="&transactions=read_uncommitted")
    producer = harness.transactional_producer()
    write(harness, producer, b"aborted")
    producer.abort()
    write(harness, producer, b"open")
    assert member.read(2) == [b"aborted", b"open"]
    reader = harness.driver.reader(harness.hosts, reads_uncommitted=True)
    ranges = reader.ranges(harness.partitions)
    assert [one[3] for fetched in reader.read(ranges) for one in fetched.messages] == [b"aborted", b"open"]


def test_offsets_are_committed_with_the_transaction_and_not_with_an_aborted_one(harness: TransactionalHarness) -> None:
    harness.feed(b"in")
    member, producer = harness.join(), harness.transactional_producer()
    member.read(1)
    write(harness, producer, b"out")
    producer.send_offsets(member.ends, metadata(member))
    producer.abort()
    assert harness.committed()[harness.partitions[1]] == 0
    write(harness, producer, b"out")
    producer.send_offsets(member.ends, metadata(member))
    assert harness.committed()[harness.partitions[1]] == 0
    producer.commit()
    assert harness.committed()[harness.partitions[1]] == 1


def test_a_member_that_the_group_has_given_up_sends_no_offsets(harness: TransactionalHarness) -> None:
    harness.feed(b"in")
    first, producer = harness.join(), harness.transactional_producer()
    first.read(1)
    write(harness, producer, b"out")
    second = harness.join()
    harness.pass_session()
    assert second.read(1) == [b"in"]
    with pytest.raises(RetryableError, match="has moved on"):
        producer.send_offsets(first.ends, metadata(first))
    producer.abort()
    assert harness.committed()[harness.partitions[1]] == 0


def test_a_partition_waits_for_a_transaction_that_has_its_offsets(harness: TransactionalHarness) -> None:
    harness.feed(b"in")
    first, producer = harness.join(), harness.transactional_producer()
    first.read(1)
    write(harness, producer, b"out")
    producer.send_offsets(first.ends, metadata(first))
    first.consumer.close()
    second = harness.join()
    second.holds(0)
    producer.commit()
    second.holds(0, 1)
    assert second.read(1) == [b"out"]


def test_a_commit_without_an_answer_is_in_doubt_and_can_be_repeated(harness: TransactionalHarness) -> None:
    member, producer = harness.join(), harness.transactional_producer()
    for done in (True, False):
        write(harness, producer, b"out")
        harness.fail_commit(done=done)
        with pytest.raises(RetryableError):
            producer.commit()
        assert producer.in_doubt
        with pytest.raises(RetryableError, match="in doubt"):
            producer.abort()
        harness.answer()
        producer.commit()
        assert not producer.in_doubt
    assert member.read(2) == [b"out", b"out"]
    assert member.poll() == 0


def test_a_newer_producer_fences_an_older_one_of_its_id_and_ends_what_that_has_open(
    harness: TransactionalHarness,
) -> None:
    member, old = harness.join(), harness.transactional_producer("id")
    write(harness, old, b"old")
    new = harness.transactional_producer("id")
    write(harness, new, b"new")
    new.commit()
    for call in (old.commit, old.abort, lambda: old.send_offsets({}, metadata(member))):
        with pytest.raises(RetryableError, match="fenced"):
            call()
    assert not old.in_doubt
    assert member.read(1) == [b"new"]


def test_a_transaction_that_nobody_ends_is_aborted(harness: TransactionalHarness) -> None:
    member, producer = harness.join(), harness.transactional_producer(short=True)
    write(harness, producer, b"out")
    harness.feed(b"behind")
    assert member.poll() == 0
    harness.pass_transaction()
    assert member.read(1) == [b"behind"]
    with pytest.raises(RetryableError, match="aborted"):
        producer.commit()
    assert not producer.in_doubt


def test_what_is_refused_is_told_of_in_the_same_transaction(harness: TransactionalHarness) -> None:
    harness.limit(1_000)
    producer = harness.transactional_producer()
    large = Record(os.urandom(2_000))
    producer.begin()
    producer.produce([Record(b"before"), large, Record(b"behind")], lambda _: (harness.topic, b"one"))
    (refused,) = producer.flush()
    assert refused.record is large
    assert refused.too_large
    producer.produce([Record(b"EventError")], lambda _: (harness.topic, b"one"))
    assert producer.flush() == []
    producer.commit()
    assert harness.join().read(3) == [b"before", b"behind", b"EventError"]


def test_a_commit_goes_past_the_markers_of_transactions(harness: TransactionalHarness) -> None:
    member, producer = harness.join(), harness.transactional_producer()
    write(harness, producer, b"out")
    producer.commit()
    assert member.read(1) == [b"out"]
    assert member.poll() == 0
    member.consumer.commit(member.ends)
    ends = harness.driver.admin(harness.hosts).ends(harness.topic)
    wait_for(lambda: (member.poll(), harness.committed() == ends)[-1], DEADLINE_S, "a commit behind the marker")


def test_so_does_what_a_transaction_has_committed(harness: TransactionalHarness) -> None:
    member, producer = harness.join(), harness.transactional_producer()
    write(harness, producer, b"in")
    producer.commit()
    assert member.read(1) == [b"in"]
    assert member.poll() == 0
    producer.begin()
    producer.send_offsets(member.ends, metadata(member))
    producer.commit()
    member.consumer.note_committed(member.ends)  # type: ignore[attr-defined] - `harness` has these only
    ends = harness.driver.admin(harness.hosts).ends(harness.topic)
    wait_for(lambda: (member.poll(), harness.committed() == ends)[1], DEADLINE_S, "the end")
