# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""The source between a driver and the loop, on a Kafka in memory."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from contract.kafka_drivers import Memory

from elworkers.connectors.kafka.source import KafkaSource
from elworkers.connectors.registry import check_source
from elworkers.core.capabilities import OffsetStore
from elworkers.core.contracts import Positions, Record


class MovingOffsetStore:
    """Keeps positions of its own; a `capabilities.OffsetStore`."""

    def __init__(self, at: int) -> None:
        self._at = at

    def resume_at(self, starts: Positions) -> Positions:
        return {origin: self._at if origin.partition == 1 else at for origin, at in starts.items()}


@pytest.fixture
def memory() -> Memory:
    return Memory()


@pytest.fixture
def join(memory: Memory) -> Callable[..., KafkaSource]:
    def join(offset_store: OffsetStore | None = None) -> KafkaSource:
        uri = f"kafka:///memory:9092?topic={memory.topic}&partitions=2&session_timeout_ms=6000"
        options = check_source(uri).options
        return KafkaSource(memory.hosts, options, memory.group, memory.metrics, offset_store, kafka=memory.driver)

    return join


def poll(source: KafkaSource) -> list[Record]:
    return source.poll(100, 1.0)


def positions(records: list[Record]) -> Positions:
    return {record.origin: record.offset + 1 for record in records if record.origin is not None}


def test_records_carry_kafkas_facts(memory: Memory, join: Callable[..., KafkaSource]) -> None:
    memory.feed(b"a", b"b")
    source = join()
    records = poll(source)
    assert [(one.value, one.offset, one.key, one.timestamp_ms) for one in records] == [
        (b"a", 0, b"one", memory.broker.now_ms()),
        (b"b", 1, b"one", memory.broker.now_ms()),
    ]
    origin = records[0].origin
    assert origin is records[1].origin
    assert origin is not None
    assert (origin.topic, origin.partition, origin.cluster) == (memory.topic, 1, "memory:9092")
    assert origin.topic_id == memory.broker.topics[memory.topic].topic_id
    assert not source.idle


def test_the_loops_flush_comes_before_partitions_leave(memory: Memory, join: Callable[..., KafkaSource]) -> None:
    memory.feed(b"a")
    memory.feed(b"b", key=b"two")
    first = join()
    taken = poll(first)
    asked: list[list[int]] = []

    def flush() -> None:
        asked.append(first.partitions)
        first.commit(positions(taken))

    first.flush_by(flush)
    second = join()
    assert poll(first) == []
    assert asked == [[0, 1]], "while they are still held"
    assert memory.committed() == dict.fromkeys(memory.partitions, 1)
    assert poll(second) == []
    assert (first.partitions, second.partitions) == ([0], [1])
    assert poll(first) == []
    assert len(asked) == 1


def test_what_is_lost_is_neither_flushed_nor_committed(memory: Memory, join: Callable[..., KafkaSource]) -> None:
    memory.feed(b"a")
    first = join()
    taken = poll(first)
    first.flush_by(lambda: pytest.fail("it is lost"))
    second = join()
    memory.broker.clock.advance(7)
    assert [one.value for one in poll(second)] == [b"a"]
    first.commit(positions(taken))
    assert memory.committed()[memory.partitions[1]] == 0
    assert poll(first) == []


def test_a_position_of_an_earlier_assignment_is_not_committed(memory: Memory, join: Callable[..., KafkaSource]) -> None:
    memory.feed(b"a")
    source = join()
    stale = poll(source)
    memory.broker.clock.advance(7)
    join().close()
    other = join()
    poll(other)
    other.close()
    again = [*poll(source), *poll(source)]
    assert [one.value for one in again] == [b"a"]
    source.commit(positions(stale))
    assert memory.committed()[memory.partitions[1]] == 0
    source.commit(positions(again))
    assert memory.committed()[memory.partitions[1]] == 1


def test_a_ledger_says_where_to_begin_and_kafka_is_told(memory: Memory, join: Callable[..., KafkaSource]) -> None:
    memory.feed(b"a", b"b", b"c")
    assert [one.value for one in poll(join(MovingOffsetStore(2)))] == [b"c"]
    assert memory.committed() == {memory.partitions[0]: 0, memory.partitions[1]: 2}


def test_messages_that_are_gone_are_counted(memory: Memory, join: Callable[..., KafkaSource]) -> None:
    memory.feed(b"a", b"b", b"c")
    memory.broker.expire(memory.partitions[1], 2)
    assert [one.value for one in poll(join(MovingOffsetStore(0)))] == [b"c"]
    assert memory.metrics.total("kafka_gap_messages") == 2
