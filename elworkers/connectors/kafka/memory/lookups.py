# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Looks up topics and groups of the memory's Kafka, and reads ranges of their messages."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import AbstractContextManager

from elworkers.connectors.kafka.driver import Fetched, Range, TopicShape
from elworkers.connectors.kafka.errors import OutageError
from elworkers.connectors.kafka.leaderless import NO_LEADER
from elworkers.connectors.kafka.memory.broker import MemoryBroker
from elworkers.core.contracts import TopicPartition


def topic_ids(broker: MemoryBroker, topics: Sequence[str]) -> dict[str, str]:
    """Return the ids of those topics that exist."""
    return {name: broker.topics[name].topic_id for name in topics if name in broker.topics}


class MemoryAdmin:
    """Implements `driver.Admin`."""

    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker

    def get_or_create(self, topic: str, partitions: int | None = None, replication: int | None = None) -> TopicShape:
        """See `driver.Admin.get_or_create`."""
        with self._broker.operation("admin"):
            created = self._broker.get_or_create(topic, partitions, replication)
            return TopicShape(len(created.logs), created.replication)

    def topics(self) -> list[str]:
        """See `driver.Admin.topics`."""
        with self._broker.operation("admin"):
            return sorted(self._broker.topics)

    def topic_ids(self, topics: Sequence[str]) -> dict[str, str]:
        """See `driver.Admin.topic_ids`."""
        with self._broker.operation("admin"):
            return topic_ids(self._broker, topics)

    def ends(self, topic: str) -> dict[TopicPartition, int]:
        """See `driver.Admin.ends`."""
        with self._broker.operation("admin"):
            return {partition: self._broker.log(partition).end for partition in self._broker.partitions(topic)}

    def stable_ends(self, topic: str) -> dict[TopicPartition, int]:
        """See `driver.Admin.stable_ends`."""
        with self._broker.operation("admin"):
            return {partition: self._broker.log(partition).stable_end for partition in self._broker.partitions(topic)}

    def committed(self, group: str, topic: str) -> dict[TopicPartition, int]:
        """See `driver.Admin.committed`."""
        with self._broker.operation("admin"):
            return self._broker.committed(group, self._broker.partitions(topic))

    def brokers(self) -> set[int]:
        """See `driver.Admin.brokers`."""
        with self._broker.operation("admin"):
            return {1}

    def close(self) -> None:
        """See `driver.Admin.close`."""


class MemoryReader:
    """Implements `driver.Reader`.

    Args:
        broker: the Kafka.
        uncommitted: whether messages of open and aborted transactions are read as well.

    Attributes:
        unreadable, unavailable: see `driver.Reader`.
        closed: whether it was closed.
    """

    def __init__(self, broker: MemoryBroker, *, uncommitted: bool = False) -> None:
        self._broker = broker
        self._uncommitted = uncommitted
        self.unreadable: dict[TopicPartition, str] = {}
        self.unavailable: dict[TopicPartition, str] = {}
        self.closed = False

    def _operation(self, *names: str) -> AbstractContextManager[None]:
        if self.closed:
            raise RuntimeError("this reader was closed")
        return self._broker.operation("read", *names)

    def topic_ids(self, topics: Sequence[str]) -> dict[str, str]:
        """See `driver.Reader.topic_ids`."""
        with self._operation("topic_ids"):
            return topic_ids(self._broker, topics)

    def partitions(self) -> list[TopicPartition]:
        """See `driver.Reader.partitions`."""
        with self._operation("partitions"):
            return [partition for name in sorted(self._broker.topics) for partition in self._broker.partitions(name)]

    def ranges(self, wanted: Sequence[TopicPartition]) -> dict[TopicPartition, Range]:
        """See `driver.Reader.ranges`."""
        with self._operation("ranges"):
            logs = {partition: self._broker.log(partition) for partition in wanted}
        self.unavailable = {partition: NO_LEADER for partition, log in logs.items() if not log.has_leader}
        return {
            partition: Range(log.begin, log.readable_end(uncommitted=self._uncommitted))
            for partition, log in logs.items()
            if log.has_leader
        }

    def at_time(self, wanted: Sequence[TopicPartition], time_ms: int) -> dict[TopicPartition, int]:
        """See `driver.Reader.at_time`."""
        with self._operation("at_time"):
            later = {
                partition: [one for one in self._broker.log(partition).messages if one[1] >= time_ms]
                for partition in wanted
            }
        return {partition: messages[0][0] for partition, messages in later.items() if messages}

    def committed(self, group: str, topic: str) -> dict[int, int]:
        """See `driver.Reader.committed`."""
        with self._operation("committed", f"committed {group}"):
            found = self._broker.committed(group, self._broker.partitions(topic))
        return {partition.partition: offset for partition, offset in found.items()}

    def read(self, wanted: Mapping[TopicPartition, Range]) -> Generator[Fetched, None, None]:
        """See `driver.Reader.read`."""
        self.unreadable = {}
        for partition, (begin, end) in wanted.items():
            at = begin
            while at < end:
                with self._operation("messages"):
                    log = self._broker.log(partition)
                    if at < log.begin:
                        raise OutageError(
                            f"Kafka: offset {at} of topic {partition.topic}[{partition.partition}] is gone"
                        )
                    found = log.read(at, self._broker.fetch_messages, uncommitted=self._uncommitted)
                    found = [one for one in found if one[0] < end]
                after = found[-1][0] + 1 if len(found) == self._broker.fetch_messages else end
                yield Fetched(partition, found, at, after)
                at = after

    def close(self) -> None:
        """See `driver.Reader.close`; whoever reads on has a bug, and hears of it."""
        self.closed = True
