# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""What `connectors.kafka.driver` promises, asked of every driver."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from contract import kafka_drivers
from contract.kafka_drivers import DEADLINE_S, Member, RecordingListener
from waiting import wait_for

from elworkers.connectors.kafka.batching_producer import partition_of
from elworkers.connectors.kafka.driver import Range
from elworkers.connectors.kafka.errors import OutageError
from elworkers.core.contracts import Record, TopicPartition
from elworkers.core.errors import ConfigurationError, RetryableError

FOREIGN = TopicPartition("elsewhere", 0)


@pytest.fixture(params=["memory", "pykafka", "confluent@3.9", "confluent@4"])
def harness(request: pytest.FixtureRequest) -> Iterator[kafka_drivers.DriverHarness]:
    """Each driver in turn; only what it needs is started."""
    made = harnesses()[request.param](request)
    yield made
    made.close()


def harnesses() -> dict[str, Callable[[pytest.FixtureRequest], kafka_drivers.DriverHarness]]:
    return {
        "memory": lambda _: kafka_drivers.Memory(),
        "pykafka": lambda request: kafka_drivers.Pykafka(request.getfixturevalue("kafka")),
        "confluent@3.9": lambda request: kafka_drivers.Confluent(request.getfixturevalue("kafka")),
        "confluent@4": lambda request: kafka_drivers.Confluent(request.getfixturevalue("kafka44")),
    }


def numbered(count: int, begin: int = 0) -> list[bytes]:
    return [b"%d" % number for number in range(begin, begin + count)]


def says_so(member: Member) -> bool:
    """Whether a poll raises `RetryableError`."""
    try:
        member.poll()
    except RetryableError:
        return True
    return False


class TestConsumer:
    """Members of groups."""

    def test_polls_hold_to_their_limit_and_keep_each_partitions_order(
        self, harness: kafka_drivers.DriverHarness
    ) -> None:
        harness.feed(*numbered(20))
        assert harness.join().read(20, limit=7) == numbered(20)

    def test_messages_carry_key_time_and_every_byte(self, harness: kafka_drivers.DriverHarness) -> None:
        producer = harness.producer()
        producer.produce([Record(b"\x00\xff \n", timestamp_ms=1_469_796_874_000)], lambda _: (harness.topic, b"two"))
        assert producer.flush() == []
        member = harness.join()
        found: list[tuple[int, int, bytes | None, bytes | None]] = []
        wait_for(
            lambda: (found.extend(m for _, some in member.consumer.poll(9, 0.05) for m in some), found)[1],
            DEADLINE_S,
            "the message",
        )
        assert found == [(0, 1_469_796_874_000, b"two", b"\x00\xff \n")]

    def test_partitions_are_told_with_their_starts_in_the_thread_that_polls(
        self, harness: kafka_drivers.DriverHarness
    ) -> None:
        harness.feed(*numbered(3))
        member = harness.join()
        assert member.listener.positions == [], "nothing is told before the first poll"
        member.holds(0, 1)
        assert {partition: at for one in member.listener.positions for partition, at in one.items()} == dict.fromkeys(
            harness.partitions, 0
        )
        assert member.listener.threads == {threading.get_ident()}
        admin = harness.driver.admin(harness.hosts)
        assert member.consumer.topic_id == admin.topic_ids([harness.topic])[harness.topic]

    def test_a_listener_may_have_a_partition_begin_elsewhere(self, harness: kafka_drivers.DriverHarness) -> None:
        harness.feed(*numbered(5))
        listener = RecordingListener()
        listener.overrides = {harness.partitions[1]: 3}
        assert harness.join(listener).read(2) == [b"3", b"4"]
        assert harness.committed()[harness.partitions[1]] == 3

    def test_a_commit_says_whether_it_counted_and_the_next_one_goes_on_there(
        self, harness: kafka_drivers.DriverHarness
    ) -> None:
        harness.feed(*numbered(5))
        first = harness.join()
        first.read(5)
        assert first.consumer.commit({harness.partitions[1]: 2, FOREIGN: 9}) == {
            harness.partitions[1]: True,
            FOREIGN: False,
        }
        assert harness.committed()[harness.partitions[1]] == 2
        first.consumer.close()
        assert harness.join().read(3) == numbered(3, 2)

    def test_closing_commits_nothing(self, harness: kafka_drivers.DriverHarness) -> None:
        harness.feed(*numbered(3))
        first = harness.join()
        first.read(3)
        first.consumer.close()
        assert harness.join().read(3) == numbered(3)

    def test_a_new_group_at_the_latest_loses_nothing_over_a_restart(self, harness: kafka_drivers.DriverHarness) -> None:
        harness.feed(b"old")
        first = harness.join(options="&auto_offset_reset=latest")
        first.holds(0, 1)
        first.consumer.close()
        harness.feed(b"meanwhile")
        assert harness.join(options="&auto_offset_reset=latest").read(1) == [b"meanwhile"]

    def test_before_partitions_leave_what_was_polled_is_flushed_and_nothing_comes_twice(
        self, harness: kafka_drivers.DriverHarness
    ) -> None:
        harness.feed(*numbered(5))
        harness.feed(*numbered(5, 5), key=b"two")
        listener = RecordingListener()
        first = harness.join(listener)
        first.read(10)
        listener.flush = lambda: first.consumer.commit(first.ends)
        with ThreadPoolExecutor(1) as elsewhere:
            joining = elsewhere.submit(harness.join)
            wait_for(
                lambda: (first.poll(), listener.revocations and joining.done())[1],
                DEADLINE_S,
                "a flush and a new member",
            )
        second = joining.result()
        assert not any(lost for _, lost in listener.revocations)
        assert listener.threads == {threading.get_ident()}
        wait_for(
            lambda: (first.poll(), second.poll(), len(second.consumer.assigned()) == 1)[-1], DEADLINE_S, "one each"
        )
        first.holds(0) if second.consumer.assigned() == harness.partitions[1:] else first.holds(1)
        harness.feed(b"after")
        harness.feed(b"behind", key=b"two")
        wait_for(lambda: (first.poll(), second.poll(), len(first.values + second.values) > 11)[-1], DEADLINE_S, "both")
        assert sorted(first.values + second.values) == sorted([*numbered(10), b"after", b"behind"])

    def test_what_leaves_without_waiting_is_told_as_lost_and_its_commit_does_not_count(
        self, harness: kafka_drivers.DriverHarness
    ) -> None:
        harness.feed(*numbered(5))
        harness.feed(*numbered(5, 5), key=b"two")
        first = harness.join()
        first.read(10)
        second = harness.join()
        # The first one neither polls nor commits meanwhile.
        wait_for(lambda: (second.poll(), second.values)[1], DEADLINE_S, "what the first has not committed")
        partition = min(second.ends)
        counted = first.consumer.commit(first.ends)
        assert counted[partition] is False
        assert harness.committed().get(partition, 0) == 0
        assert not first.poll()
        assert [lost for partitions, lost in first.listener.revocations if partition in partitions] == [True]

    def test_a_flush_that_fails_is_raised_by_the_poll(self, harness: kafka_drivers.DriverHarness) -> None:
        harness.feed(*numbered(2))
        harness.feed(*numbered(2, 2), key=b"two")
        listener = RecordingListener()
        first = harness.join(listener)
        first.read(4)

        def fail() -> None:
            raise RetryableError("the sink is away")

        listener.flush = fail
        with ThreadPoolExecutor(1) as elsewhere:
            joining = elsewhere.submit(harness.join)
            wait_for(lambda: says_so(first), DEADLINE_S, "the error")
            first.consumer.close()
            second = joining.result()
        assert sorted(second.read(4), key=str) == numbered(4)

    def test_messages_that_are_gone_are_told_as_a_gap(self, harness: kafka_drivers.DriverHarness) -> None:
        harness.feed(*numbered(6))
        first = harness.join()
        first.read(6)
        first.consumer.commit({harness.partitions[1]: 1})
        first.consumer.close()
        harness.expire(harness.partitions[1], 4)
        second = harness.join()
        assert second.read(2) == [b"4", b"5"]
        assert second.listener.offset_resets == [(harness.partitions[1], 1, 4)]
        assert second.listener.threads == {threading.get_ident()}

    def test_added_partitions_ask_for_another_consumer_which_reads_them_from_their_beginning(
        self, harness: kafka_drivers.DriverHarness
    ) -> None:
        harness.feed(b"before")
        first = harness.join(options="&metadata_max_age_ms=100")
        first.read(1)
        first.consumer.commit(first.ends)
        harness.add_partition()
        wait_for(lambda: says_so(first), DEADLINE_S, "an error that tells of them")
        first.consumer.close()
        key = next(key for key in map(b"%d".__mod__, range(99)) if partition_of(key, 3) == 2)
        harness.feed(b"added", key=key)
        second = harness.join(options="&auto_offset_reset=latest")
        assert second.read(1) == [b"added"]

    def test_a_topic_that_was_made_again_is_another_one(self, harness: kafka_drivers.DriverHarness) -> None:
        harness.feed(*numbered(4))
        first = harness.join(options="&metadata_max_age_ms=100")
        first.read(4)
        first.consumer.commit(first.ends)
        harness.delete()
        harness.driver.admin(harness.hosts).get_or_create(harness.topic, 2)
        harness.feed(*numbered(6, 10))
        wait_for(lambda: says_so(first), DEADLINE_S, "an error that tells of it")
        first.consumer.close()
        second = harness.join()
        assert second.read(6) == numbered(6, 10)
        assert second.consumer.topic_id != first.consumer.topic_id


class TestStableEnds:
    """How far committed records go."""

    def test_they_are_the_ends_where_no_transaction_is_open(self, harness: kafka_drivers.DriverHarness) -> None:
        harness.feed(*numbered(3))
        admin = harness.driver.admin(harness.hosts)
        assert admin.stable_ends(harness.topic) == {harness.partitions[0]: 0, harness.partitions[1]: 3}
        assert admin.stable_ends(f"{harness.topic}_absent") == {}
        member = harness.join()
        member.holds(0, 1)
        assert member.consumer.stable_ends() == admin.stable_ends(harness.topic)

    def test_an_open_transaction_holds_them_back(self, harness: kafka_drivers.DriverHarness) -> None:
        harness.feed(*numbered(3))
        member = harness.join()
        member.holds(0, 1)
        commit = harness.transaction(b"open")
        harness.feed(b"behind")
        admin, written = harness.driver.admin(harness.hosts), harness.partitions[1]
        assert (admin.stable_ends(harness.topic)[written], admin.ends(harness.topic)[written]) == (3, 5)
        assert member.consumer.stable_ends()[written] == 3
        commit()
        # The marker has an offset as well.
        wait_for(lambda: admin.stable_ends(harness.topic)[written] == 6, DEADLINE_S, "the end of the transaction")


class TestProducer:
    """Producers of batches."""

    def test_a_key_is_in_the_same_partition_whichever_driver_writes(self, harness: kafka_drivers.DriverHarness) -> None:
        keys = [b"key %d" % number for number in range(20)]
        producer = harness.producer()
        producer.produce([Record(key) for key in keys], lambda record: (harness.topic, record.value))
        assert producer.flush() == []
        ends = harness.driver.admin(harness.hosts).ends(harness.topic)
        wanted = [sum(partition_of(key, 2) == number for key in keys) for number in range(2)]
        assert [ends[partition] for partition in harness.partitions] == wanted

    def test_what_no_broker_takes_is_refused_alone(self, harness: kafka_drivers.DriverHarness) -> None:
        harness.limit(1_000)
        producer = harness.producer()
        large, small = Record(os.urandom(2_000)), Record(b"small")
        producer.produce([small, large], lambda _: (harness.topic, None))
        (refused,) = producer.flush()
        assert refused.record is large
        assert refused.too_large
        ends = harness.driver.admin(harness.hosts).ends(harness.topic)
        assert sum(ends.values()) == 1

    def test_a_name_that_no_topic_may_have_is_the_events_fault_or_the_operators(
        self, harness: kafka_drivers.DriverHarness
    ) -> None:
        producer, record = harness.producer(), Record(b"x")
        producer.produce([record], lambda _: ("no spaces", None), derived=True)
        assert [one.record for one in producer.flush()] == [record]
        producer.produce([record], lambda _: ("no spaces", None))
        with pytest.raises(ConfigurationError, match="no spaces"):
            producer.flush()


class TestLookups:
    """Admins and readers."""

    def test_a_topic_is_made_once_and_stays_as_it_is(self, harness: kafka_drivers.DriverHarness) -> None:
        admin = harness.driver.admin(harness.hosts)
        assert admin.ends(harness.topic) == {}
        assert admin.get_or_create(harness.topic, 2, 1) == (2, 1)
        assert admin.get_or_create(harness.topic, 5, 1) == (2, 1)
        assert harness.topic in admin.topics()
        assert set(admin.topic_ids([harness.topic, f"{harness.topic}_absent"])) == {harness.topic}
        assert admin.ends(harness.topic) == dict.fromkeys(harness.partitions, 0)
        assert admin.committed(harness.group, harness.topic) == {}
        assert admin.brokers()
        admin.close()

    def test_ranges_are_read_without_a_group(self, harness: kafka_drivers.DriverHarness) -> None:
        harness.feed(*numbered(9))
        harness.expire(harness.partitions[1], 2)
        reader = harness.driver.reader(harness.hosts)
        assert [one for one in reader.partitions() if one.topic == harness.topic] == harness.partitions
        assert reader.ranges(harness.partitions) == {
            harness.partitions[0]: Range(0, 0),
            harness.partitions[1]: Range(2, 9),
        }
        fetched = list(reader.read({harness.partitions[1]: Range(3, 7)}))
        assert [message[3] for one in fetched for message in one.messages] == numbered(4, 3)
        assert (fetched[0].begin, fetched[-1].next) == (3, 7)
        assert reader.unreadable == {}
        assert reader.at_time(harness.partitions, 0) == {harness.partitions[1]: 2}
        assert reader.committed(harness.group, harness.topic) == {}
        reader.close()

    def test_no_client_can_be_made_of_a_kafka_that_does_not_answer(self, harness: kafka_drivers.DriverHarness) -> None:
        harness.hosts = harness.away()
        for client in (
            harness.join,
            harness.producer,
            lambda: harness.driver.admin(harness.hosts),
            lambda: harness.driver.reader(harness.hosts),
        ):
            with pytest.raises(OutageError):
                client()
