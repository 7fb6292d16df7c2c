# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Fills a Kafka in memory for those who only read topics; they read it through its own driver."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from elworkers.connectors.kafka.drivers import in_memory
from elworkers.connectors.kafka.memory.broker import MemoryBroker
from elworkers.connectors.kafka.memory.group import Committed
from elworkers.connectors.kafka.memory.lookups import MemoryReader
from elworkers.core.contracts import TopicPartition


class MemoryCluster:
    """Topics with their messages.

    Attributes:
        broker: has them.
        readers: those that were made, in order.
    """

    def __init__(self) -> None:
        self.broker = MemoryBroker()
        # More than one piece of what the tests have.
        self.broker.fetch_messages = 3
        self.readers: list[MemoryReader] = []
        self._driver = in_memory(self.broker)

    def add(self, topic: str, messages: Sequence[bytes], partition: int = 0) -> TopicPartition:
        """Append to a partition, which is made where there is none."""
        where = TopicPartition(topic, partition)
        self.broker.get_or_create(topic)
        self.broker.add_partitions(topic, max(0, partition + 1 - len(self.broker.partitions(topic))))
        self.broker.append(where, *messages)
        return where

    def commit(self, group: str, topic: str, positions: Mapping[int, int]) -> None:
        """Have a group be so far, by numbers of partitions."""
        topic_id = self.broker.topics[topic].topic_id
        self.broker.groups[group].offsets |= {
            TopicPartition(topic, number): Committed(offset, topic_id) for number, offset in positions.items()
        }

    def reader(self) -> MemoryReader:
        """Another reader."""
        reader = self._driver.reader(["memory:9092"])
        assert isinstance(reader, MemoryReader)
        self.readers.append(reader)
        return reader
