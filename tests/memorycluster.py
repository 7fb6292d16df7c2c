# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Messages come in; a reader of a cluster that is nowhere but in memory goes out.

It is a `driver.Reader`, so that whoever reads topics can be tried without a broker.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from elworkers.connectors.kafka.driver import Fetched, Range, RawMessage
from elworkers.core.contracts import TopicPartition
from elworkers.core.errors import RetryableError


class MemoryCluster:
    """Topics with their messages.

    Attributes:
        logs: partition → its messages from its earliest offset on.
        earliest: partition → that offset; 0 where it is not named.
        ids: topic → Kafka's id of it.
        groups: group and topic → partition → what is committed.
        leaderless: partitions that nobody leads.
        away: a question of this name is answered with an error, as when Kafka is away.
        readers: how many were made.
    """

    def __init__(self) -> None:
        self.logs: dict[TopicPartition, list[bytes]] = defaultdict(list)
        self.earliest: dict[TopicPartition, int] = {}
        self.ids: dict[str, str] = {}
        self.groups: dict[tuple[str, str], dict[int, int]] = {}
        self.leaderless: set[TopicPartition] = set()
        self.away: set[str] = set()
        self.readers = 0

    def add(self, topic: str, messages: Sequence[bytes], partition: int = 0) -> TopicPartition:
        """Append to a partition, which is made where there is none."""
        where = TopicPartition(topic, partition)
        self.logs[where] += messages
        return where

    def expire(self, where: TopicPartition, before: int) -> None:
        """Delete the messages before an offset."""
        begin = self.earliest.get(where, 0)
        del self.logs[where][: before - begin]
        self.earliest[where] = before

    def make_anew(self, topic: str, topic_id: str) -> None:
        """Delete a topic, and make another of this name without messages."""
        for where in [one for one in self.logs if one.topic == topic]:
            self.logs[where] = []
            self.earliest.pop(where, None)
        self.ids[topic] = topic_id

    def reach(self, where: TopicPartition) -> Range:
        """The offsets of a partition."""
        begin = self.earliest.get(where, 0)
        return Range(begin, begin + len(self.logs[where]))

    def reader(self) -> MemoryReader:
        """Another reader."""
        self.readers += 1
        return MemoryReader(self)


class MemoryReader:
    """See `driver.Reader`.

    Args:
        cluster: whose topics.
        at_once: messages in one piece.
    """

    def __init__(self, cluster: MemoryCluster, at_once: int = 3) -> None:
        self._cluster = cluster
        self._at_once = at_once
        self.refused: dict[TopicPartition, str] = {}
        self.left_out: dict[TopicPartition, str] = {}
        self.closed = False

    def _ask(self, what: str) -> None:
        assert not self.closed, "a reader that was closed is asked"
        if what in self._cluster.away:
            raise RetryableError(f"Kafka: {what}: the broker is away")

    def partitions(self) -> list[TopicPartition]:
        """See `TopicsReader.partitions`."""
        self._ask("partitions")
        return sorted(self._cluster.logs)

    def topic_ids(self, topics: Sequence[str]) -> dict[str, str]:
        """See `TopicsReader.topic_ids`."""
        self._ask("topic_ids")
        return {topic: self._cluster.ids[topic] for topic in topics if topic in self._cluster.ids}

    def ranges(self, wanted: Sequence[TopicPartition]) -> dict[TopicPartition, Range]:
        """See `TopicsReader.ranges`."""
        self._ask("ranges")
        self.left_out = {one: "nobody leads it" for one in wanted if one in self._cluster.leaderless}
        return {one: self._cluster.reach(one) for one in wanted if one not in self.left_out}

    def read(self, wanted: Mapping[TopicPartition, Range]) -> Iterator[Fetched]:
        """See `TopicsReader.read`."""
        self.refused = {}
        for where, (begin, end) in wanted.items():
            for at in range(begin, end, self._at_once):
                self._ask("read")
                behind = min(at + self._at_once, end)
                yield Fetched(where, self._messages(where, at, behind), at, behind)

    def _messages(self, where: TopicPartition, begin: int, end: int) -> list[RawMessage]:
        first = self._cluster.reach(where).begin
        return [(at, -1, None, self._cluster.logs[where][at - first]) for at in range(begin, end)]

    def committed(self, group: str, topic: str) -> dict[int, int]:
        """See `TopicsReader.committed`."""
        self._ask(f"committed {group}")
        return self._cluster.groups.get((group, topic), {})

    def close(self) -> None:
        """See `TopicsReader.close`."""
        self.closed = True
