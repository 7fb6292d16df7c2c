# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Reads the partitions, ends and messages of many topics at a time, without a group.

One connection to each broker and one thread serve any number of topics; pykafka's own consumers start threads and
buffers for each. Reads only; whoever reads remembers how far.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from pykafka.common import OffsetType
from pykafka.protocol import PartitionOffsetRequest

from elworkers.connectors.kafka.driver import Fetched, Range
from elworkers.connectors.kafka.error_codes import describe
from elworkers.connectors.kafka.leaderless import NO_LEADER
from elworkers.connectors.kafka.pykafka import client, progress, transactions
from elworkers.connectors.kafka.pykafka.range_reader import RangeReader
from elworkers.connectors.kafka.pykafka.range_requests import RangeRequests
from elworkers.connectors.kafka.pykafka.times import offsets_at
from elworkers.connectors.kafka.pykafka.topics import ids
from elworkers.core.contracts import TopicPartition
from elworkers.core.errors import RetryableError


class TopicsReader:
    """Reads from the leaders of any number of topics; implements `driver.Reader`.

    Attributes:
        unreadable, unavailable: see `driver.Reader`.

    Args:
        hosts: the brokers, each `host:port`.
        reads_uncommitted: whether partitions that transactional producers write to are read like all others.
        partition_bytes: how much of one partition one answer holds; a larger message is asked for alone.
        options: of a URI, typed: whether by TLS.

    Raises:
        ConfigurationError: the broker is too new.
        RetryableError: no broker answers.
    """

    def __init__(
        self,
        hosts: Sequence[str],
        partition_bytes: int = 1024 * 1024,
        *,
        reads_uncommitted: bool = False,
        options: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        self._cluster = client.connect(hosts, options)
        self._ranges = RangeReader(RangeRequests(self._broker), partition_bytes, reads_uncommitted=reads_uncommitted)
        self._leaders: dict[TopicPartition, int] = {}
        self.unreadable = self._ranges.unreadable
        self.unavailable: dict[TopicPartition, str] = {}
        self._reads_uncommitted = reads_uncommitted

    def topic_ids(self, topics: Sequence[str]) -> dict[str, str]:
        """Return Kafka's ids of topics; see `topics.ids`.

        Raises:
            RetryableError: Kafka does not answer.
        """
        return ids(self._cluster, topics)

    def partitions(self) -> list[TopicPartition]:
        """Return the partitions of every topic there is now, in order; asks the brokers anew.

        Raises:
            RetryableError: Kafka does not answer.
        """
        with client.translate_errors("list topics"):
            metadata = self._cluster._get_metadata()
            self._cluster._update_brokers(metadata.brokers, metadata.controller_id)
        self._leaders = {
            TopicPartition(name.decode(), number): partition.leader
            for name, topic in metadata.topics.items()
            for number, partition in topic.partitions.items()
        }
        return sorted(self._leaders)

    def ranges(self, wanted: Sequence[TopicPartition]) -> dict[TopicPartition, Range]:
        """Return what each of the partitions holds now: from its earliest offset to its end.

        Without those that nobody leads at the moment or that have transactions: they must not hold up the others.

        Raises:
            RetryableError: Kafka does not answer.
        """
        brokers = self._cluster.brokers
        self.unavailable = {
            one: brokers[self._leaders[one]].why or NO_LEADER for one in wanted if not brokers[self._leaders[one]]
        }
        with_leader = self._without_transactions([one for one in wanted if one not in self.unavailable])
        earliest = self._limits(with_leader, OffsetType.EARLIEST)
        latest = self._limits(with_leader, OffsetType.LATEST)
        return {
            partition: Range(earliest[partition], latest[partition])
            for partition in with_leader
            if partition in earliest and partition in latest
        }

    def _without_transactions(self, with_leader: list[TopicPartition]) -> list[TopicPartition]:
        if self._reads_uncommitted:
            return with_leader
        with client.translate_errors("ask for the transactions of topics"):
            found = transactions.with_transactions(
                self._cluster, {one: self._broker(self._leaders[one]) for one in with_leader}
            )
        self.unavailable |= {TopicPartition(*one): transactions.EXPLANATION for one in found}
        return [one for one in with_leader if one not in found]

    def committed(self, group: str, topic: str) -> dict[int, int]:
        """Return how far a consumer group is in a topic; see `progress.committed`.

        Raises:
            RetryableError: Kafka does not answer.
        """
        partitions = [partition.partition for partition in self._leaders if partition.topic == topic]
        return progress.committed(self._cluster, group, topic, partitions)

    def _limits(self, wanted: Sequence[TopicPartition], which: int) -> dict[TopicPartition, int]:
        found: dict[TopicPartition, int] = {}
        with client.translate_errors("ask for the ends of topics"):
            for leader, partitions in self._by_leader(wanted).items():
                requests = [
                    PartitionOffsetRequest(partition.topic.encode(), partition.partition, which, 1)
                    for partition in partitions
                ]
                response = self._broker(leader).request_offset_limits(requests)
                for partition in partitions:
                    limit = response.topics[partition.topic.encode()][partition.partition]
                    if limit.err:
                        self.unavailable[partition] = f"the broker does not say how much it has: {describe(limit.err)}"
                    else:
                        found[partition] = int(limit.offset[0])
        return found

    def at_time(self, wanted: Sequence[TopicPartition], time_ms: int) -> dict[TopicPartition, int]:
        """Return the offset of each partition's first message of this time or later; without those that have none.

        Args:
            wanted: of the last `ranges`.
            time_ms: Kafka's time, in ms since the epoch.

        Raises:
            RetryableError: Kafka does not answer.
        """
        found: dict[TopicPartition, int] = {}
        with client.translate_errors("ask for offsets of a time"):
            for leader, partitions in self._by_leader(wanted).items():
                offsets = offsets_at(self._broker(leader), partitions, time_ms)
                found.update({TopicPartition(*one): offset for one, offset in offsets.items()})
        return found

    def _by_leader(self, wanted: Sequence[TopicPartition]) -> dict[int, list[TopicPartition]]:
        by_leader: dict[int, list[TopicPartition]] = {}
        for partition in wanted:
            by_leader.setdefault(self._leaders[partition], []).append(partition)
        return by_leader

    def _broker(self, leader: int) -> Any:
        broker = self._cluster.brokers.get(leader)
        if broker is None:
            raise RetryableError("Kafka: a partition has no leader")
        if not broker.connected:
            broker.connect()
        return broker

    def read(self, wanted: Mapping[TopicPartition, Range]) -> Generator[Fetched, None, None]:
        """Yield every message in these ranges, some partitions after others; the next answer comes meanwhile.

        A partition that cannot be read for a reason of its own is left where it cannot be; `unreadable` then says why.

        Raises:
            RetryableError: Kafka does not answer, a leader has moved, or the beginning of a range has been deleted.
        """
        left = {partition: one for partition, one in wanted.items() if one.begin < one.end}
        by_leader = self._by_leader(list(left))
        yield from self._ranges.read(
            {leader: {one: left[one] for one in partitions} for leader, partitions in by_leader.items()}
        )

    def close(self) -> None:
        """Let go of the connections; never raises."""
        client.close(self._cluster)
