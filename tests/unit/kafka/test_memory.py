# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""What the Kafka in memory does on demand, beyond what the contract suite asks of every driver."""

from __future__ import annotations

import pytest
from contract.kafka_drivers import Memory

from elworkers.connectors.kafka.errors import (
    CredentialsRefusedError,
    NotAuthorizedError,
    OutageError,
    UnsupportedBrokerError,
)
from elworkers.connectors.kafka.leaderless import NO_LEADER
from elworkers.core.contracts import Assignment, OwnTopic, Record
from elworkers.core.deliveries import DeliveryLog
from elworkers.core.errors import RetryableError


@pytest.fixture
def memory() -> Memory:
    return Memory()


def test_nothing_waits_for_real_time(memory: Memory) -> None:
    member = memory.join()
    before_s = memory.broker.clock.now_s()
    assert member.poll(10, timeout_s=3_600.0) == 0
    assert memory.broker.clock.now_s() - before_s == pytest.approx(3_600.0)


def test_a_member_that_is_silent_for_its_session_is_given_up(memory: Memory) -> None:
    memory.feed(b"a")
    first = memory.join()
    first.holds(0, 1)
    second = memory.join()
    memory.broker.clock.advance(5.9)
    second.poll(timeout_s=0)
    assert second.consumer.assigned() == [], "the first has not let go yet"
    memory.broker.clock.advance(0.2)
    second.poll(timeout_s=0)
    assert second.consumer.assigned() == memory.partitions


@pytest.mark.parametrize("operation", ["connect", "join", "poll", "commit", "produce", "admin", "read"])
@pytest.mark.parametrize("kind", [OutageError, CredentialsRefusedError, NotAuthorizedError, UnsupportedBrokerError])
def test_each_operation_fails_as_often_as_it_is_to(memory: Memory, operation: str, kind: type[Exception]) -> None:
    memory.feed(b"a")
    member = memory.join()
    member.read(1)
    memory.broker.fail(operation, kind("planted"), times=2)
    calls = {
        "connect": lambda: memory.driver.admin(memory.hosts),
        "join": memory.join,
        "poll": member.poll,
        "commit": lambda: member.consumer.commit(member.ends),
        "produce": lambda: memory.feed(b"b"),
        "admin": lambda: memory.driver.admin(memory.hosts).topics(),
        "read": lambda: memory.driver.reader(memory.hosts).partitions(),
    }
    for _ in range(2):
        with pytest.raises(kind, match="planted"):
            calls[operation]()
    calls[operation]()


def test_a_commit_whose_answer_is_lost_has_been_made(memory: Memory) -> None:
    memory.feed(b"a")
    member = memory.join()
    member.read(1)
    memory.broker.fail("commit", done=True)
    with pytest.raises(OutageError):
        member.consumer.commit(member.ends)
    assert memory.committed()[memory.partitions[1]] == 1


def test_a_broker_that_is_down_answers_nothing(memory: Memory) -> None:
    member = memory.join()
    memory.broker.down = True
    with pytest.raises(OutageError):
        member.poll()
    with pytest.raises(OutageError):
        memory.join()
    memory.broker.down = False
    assert member.poll() == 0


@pytest.mark.parametrize(("done", "known"), [(False, "neither"), (True, "doubted")])
def test_records_are_doubted_only_where_the_answer_was_lost(memory: Memory, done: bool, known: str) -> None:
    delivered = DeliveryLog()
    producer = memory.producer(delivered)
    record = Record(b"a", origin=Assignment("in", 0), offset=0)
    producer.produce([record], lambda _: (memory.topic, None))
    memory.broker.fail("produce", done=done)
    with pytest.raises(RetryableError):
        producer.flush()
    place = producer.destination(memory.topic, record).store
    assert not delivered.has(place, record)
    assert delivered.may_have(place, record) is (known == "doubted")
    assert memory.broker.values(memory.topic) == ([b"a"] if done else [])


def test_what_one_topic_has_already_is_not_written_again(memory: Memory) -> None:
    delivered = DeliveryLog()
    first, record = memory.producer(delivered), Record(b"a", origin=Assignment("in", 0), offset=0)
    first.produce([record], lambda _: ("one", None))
    first.produce([record], lambda _: ("other", b"key"))
    memory.broker.get_or_create("other", 2)
    for place in memory.broker.partitions("other"):
        memory.broker.set_leader(place, has_leader=False)
    with pytest.raises(OutageError, match="no leader"):
        first.flush()
    for place in memory.broker.partitions("other"):
        memory.broker.set_leader(place, has_leader=True)
    again = memory.producer(delivered)
    again.produce([record], lambda _: ("one", None))
    again.produce([record], lambda _: ("other", b"key"))
    assert again.flush() == []
    assert (memory.broker.values("one"), memory.broker.values("other")) == ([b"a"], [b"a"])


def test_a_partition_without_a_leader_stands_still_and_the_others_go_on(memory: Memory) -> None:
    memory.feed(b"a")
    memory.feed(b"b", key=b"two")
    memory.broker.set_leader(memory.partitions[0], has_leader=False)
    member = memory.join()
    assert member.read(1) == [b"a"]
    assert memory.metrics.aside == {f"topic {memory.topic}[0]": NO_LEADER}
    reader = memory.driver.reader(memory.hosts)
    assert list(reader.ranges(memory.partitions)) == [memory.partitions[1]]
    assert reader.unavailable == {memory.partitions[0]: NO_LEADER}
    memory.broker.set_leader(memory.partitions[0], has_leader=True)
    assert member.read(2) == [b"a", b"b"]
    assert memory.metrics.aside == {}


def test_a_topic_that_two_schemas_want_is_that_of_the_first(memory: Memory) -> None:
    producer = memory.producer()
    for schema in ("A_b", "A.b"):
        producer.produce([Record(schema.encode())], lambda _, schema=schema: (OwnTopic("t", schema, "A_b"), None))
    assert [one.record.value for one in producer.flush()] == [b"A.b"]
    assert memory.broker.values("t") == [b"A_b"]


def test_a_process_has_a_name(memory: Memory) -> None:
    memory.driver.name_process("elworkers-processor-x-0@h")
    assert memory.broker.client_ids == ["elworkers-processor-x-0@h"]


def test_one_call_of_a_reader_may_fail_alone(memory: Memory) -> None:
    memory.feed(b"a")
    reader = memory.driver.reader(memory.hosts)
    memory.broker.away = {"ranges", f"committed {memory.group}"}
    assert memory.partitions[1] in reader.partitions()
    assert reader.committed("another", memory.topic) == {}
    with pytest.raises(OutageError, match="ranges: the broker is away"):
        reader.ranges(memory.partitions)
    with pytest.raises(OutageError, match=f"committed {memory.group}: the broker is away"):
        reader.committed(memory.group, memory.topic)
    memory.broker.away = set()
    assert reader.ranges(memory.partitions)[memory.partitions[1]].end == 1


def test_a_reader_that_was_closed_is_not_to_be_used(memory: Memory) -> None:
    reader = memory.driver.reader(memory.hosts)
    reader.close()
    with pytest.raises(RuntimeError, match="closed"):
        reader.partitions()
