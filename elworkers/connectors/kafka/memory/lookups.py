# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Answers what the memory's Kafka knows of topics, groups and ranges."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence

from elworkers.connectors.kafka.driver import Fetched, OutageError, Range, TopicShape
from elworkers.connectors.kafka.leaderless import NO_LEADER
from elworkers.connectors.kafka.memory.broker import MemoryBroker
from elworkers.core.contracts import TopicPartition

_AT_A_TIME = 1_000


class MemoryAdmin:
    """Implements `driver.Admin`."""

    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker

    def get_or_create(self, topic: str, partitions: int | None = None, replication: int | None = None) -> TopicShape:
        """See `driver.Admin.get_or_create`."""
        with self._broker.operation("admin"):
            made = self._broker.ensure(topic, partitions, replication)
            return TopicShape(len(made.logs), made.replication)

    def topics(self) -> list[str]:
        """See `driver.Admin.topics`."""
        with self._broker.operation("admin"):
            return sorted(self._broker.topics)

    def topic_ids(self, topics: Sequence[str]) -> dict[str, str]:
        """See `driver.Admin.topic_ids`."""
        with self._broker.operation("admin"):
            return {name: self._broker.topics[name].topic_id for name in topics if name in self._broker.topics}

    def ends(self, topic: str) -> dict[TopicPartition, int]:
        """See `driver.Admin.ends`."""
        with self._broker.operation("admin"):
            return {place: self._broker.log(place).end for place in self._broker.places(topic)}

    def committed(self, group: str, topic: str) -> dict[TopicPartition, int]:
        """See `driver.Admin.committed`."""
        with self._broker.operation("admin"):
            return self._broker.committed(group, self._broker.places(topic))

    def brokers(self) -> set[int]:
        """See `driver.Admin.brokers`."""
        with self._broker.operation("admin"):
            return {1}

    def close(self) -> None:
        """See `driver.Admin.close`."""


class MemoryReader:
    """Implements `driver.Reader`."""

    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker
        self._admin = MemoryAdmin(broker)
        self.refused: dict[TopicPartition, str] = {}
        self.left_out: dict[TopicPartition, str] = {}

    def topic_ids(self, topics: Sequence[str]) -> dict[str, str]:
        """See `driver.Reader.topic_ids`."""
        return self._admin.topic_ids(topics)

    def partitions(self) -> list[TopicPartition]:
        """See `driver.Reader.partitions`."""
        with self._broker.operation("read"):
            return [place for name in sorted(self._broker.topics) for place in self._broker.places(name)]

    def ranges(self, wanted: Sequence[TopicPartition]) -> dict[TopicPartition, Range]:
        """See `driver.Reader.ranges`."""
        with self._broker.operation("read"):
            logs = {place: self._broker.log(place) for place in wanted}
        self.left_out = {place: NO_LEADER for place, log in logs.items() if not log.led}
        return {place: Range(log.begin, log.end) for place, log in logs.items() if log.led}

    def at_time(self, wanted: Sequence[TopicPartition], time_ms: int) -> dict[TopicPartition, int]:
        """See `driver.Reader.at_time`."""
        with self._broker.operation("read"):
            later = {place: [one for one in self._broker.log(place).messages if one[1] >= time_ms] for place in wanted}
        return {place: messages[0][0] for place, messages in later.items() if messages}

    def committed(self, group: str, topic: str) -> dict[int, int]:
        """See `driver.Reader.committed`."""
        return {place.partition: offset for place, offset in self._admin.committed(group, topic).items()}

    def read(self, wanted: Mapping[TopicPartition, Range]) -> Generator[Fetched, None, None]:
        """See `driver.Reader.read`."""
        self.refused = {}
        for place, (begin, end) in wanted.items():
            at = begin
            while at < end:
                with self._broker.operation("read"):
                    log = self._broker.log(place)
                    if at < log.begin:
                        raise OutageError(f"Kafka: offset {at} of topic {place.topic}[{place.partition}] is gone")
                    found = [one for one in log.read(at, _AT_A_TIME) if one[0] < end]
                behind = found[-1][0] + 1 if len(found) == _AT_A_TIME else end
                yield Fetched(place, found, at, behind)
                at = behind

    def close(self) -> None:
        """See `driver.Reader.close`."""
