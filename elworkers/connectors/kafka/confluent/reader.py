# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Reads the partitions, ends and messages of many topics, without a group, by librdkafka."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import Any

from confluent_kafka.admin import OffsetSpec

from elworkers.connectors.kafka.confluent.committed import CommittedOffsets
from elworkers.connectors.kafka.confluent.lookups import Lookups
from elworkers.connectors.kafka.confluent.range_reader import RangeReader
from elworkers.connectors.kafka.driver import Fetched, Range
from elworkers.connectors.kafka.error_codes import describe
from elworkers.connectors.kafka.leaderless import NO_LEADER
from elworkers.core.contracts import TopicPartition


class TopicsReader:
    """Implements `driver.Reader`.

    Args:
        hosts, partition_bytes, reads_uncommitted: see `driver.Driver.reader`.
        options: of a URI, typed: those that say how to connect.

    Attributes:
        unreadable, unavailable: see `driver.Reader`.

    Raises:
        RetryableError: no broker answers.
    """

    def __init__(
        self, hosts: Sequence[str], options: Mapping[str, Any], partition_bytes: int, *, reads_uncommitted: bool
    ) -> None:
        self._lookups = Lookups(hosts, options)
        self._committed = CommittedOffsets(hosts, options)
        self._ranges = RangeReader(hosts, options, partition_bytes, reads_uncommitted=reads_uncommitted)
        self._leaders: dict[TopicPartition, int] = {}
        self._reads_uncommitted = reads_uncommitted
        self.unreadable = self._ranges.unreadable
        self.unavailable: dict[TopicPartition, str] = {}

    def topic_ids(self, topics: Sequence[str]) -> dict[str, str]:
        """See `driver.Reader.topic_ids`."""
        return self._lookups.topic_ids(topics)

    def partitions(self) -> list[TopicPartition]:
        """See `driver.Reader.partitions`."""
        self._leaders = {
            TopicPartition(name, number): partition.leader
            for name, topic in self._lookups.metadata().topics.items()
            for number, partition in topic.partitions.items()
        }
        return sorted(self._leaders)

    def ranges(self, wanted: Sequence[TopicPartition]) -> dict[TopicPartition, Range]:
        """See `driver.Reader.ranges`."""
        if any(one not in self._leaders for one in wanted):
            self.partitions()
        self.unavailable = {one: NO_LEADER for one in wanted if self._leaders.get(one, -1) < 0}
        led = [one for one in wanted if one not in self.unavailable]
        earliest = self._offsets(led, OffsetSpec.earliest())
        latest = self._offsets(led, OffsetSpec.latest())
        return {one: Range(earliest[one], latest[one]) for one in led if one in earliest and one in latest}

    def _offsets(self, wanted: Sequence[TopicPartition], spec: OffsetSpec) -> dict[TopicPartition, int]:
        found, failed = self._lookups.offsets(wanted, spec, stable=not self._reads_uncommitted)
        for partition, error in failed.items():
            self.unavailable[partition] = f"the broker does not say how much it has: {describe(error.code())}"
        return found

    def at_time(self, wanted: Sequence[TopicPartition], time_ms: int) -> dict[TopicPartition, int]:
        """See `driver.Reader.at_time`."""
        led = [one for one in wanted if self._leaders.get(one, -1) >= 0]
        found = self._lookups.offsets(led, OffsetSpec.for_timestamp(time_ms)).found
        return {partition: offset for partition, offset in found.items() if offset >= 0}

    def committed(self, group: str, topic: str) -> dict[int, int]:
        """See `driver.Reader.committed`."""
        found = self._committed.of(group, [one for one in self._leaders if one.topic == topic])
        return {partition.partition: one.offset for partition, one in found.items()}

    def read(self, wanted: Mapping[TopicPartition, Range]) -> Generator[Fetched, None, None]:
        """See `driver.Reader.read`."""
        return self._ranges.read({partition: one for partition, one in wanted.items() if one.begin < one.end})

    def close(self) -> None:
        """See `driver.Reader.close`."""
        self._ranges.close()
        self._committed.close()
        self._lookups.close()
