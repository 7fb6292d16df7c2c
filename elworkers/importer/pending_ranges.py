# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Reads messages into staging files, and keeps how far each partition has been read but not published."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping

import structlog

from elworkers.connectors.kafka.driver import Fetched, Range
from elworkers.core.contracts import Metrics, TopicPartition
from elworkers.core.errors import RetryableError
from elworkers.importer.bucketed_lines import BucketedLines, by_hour
from elworkers.importer.hour_bucketer import HourBucketer
from elworkers.importer.hours import HourPartition
from elworkers.importer.pending_range import PendingRange
from elworkers.importer.staging import StagingFiles
from elworkers.importer.topic_selection import schema_of

log = structlog.get_logger(__name__)


class PendingRanges:
    """The pending ranges of all partitions of one worker.

    Args:
        staging: the files that they are in.
        bucketer: says which hour a message belongs to.
        metrics: counts `kafka_gap_messages`.
    """

    def __init__(self, staging: StagingFiles, bucketer: HourBucketer, metrics: Metrics) -> None:
        self._staging = staging
        self._bucketer = bucketer
        self._metrics = metrics
        self._ranges: dict[TopicPartition, PendingRange] = {}
        self._reported_past_end: set[TopicPartition] = set()

    def __getitem__(self, partition: TopicPartition) -> PendingRange:
        return self._ranges[partition]

    def __iter__(self) -> Iterator[TopicPartition]:
        return iter(list(self._ranges))

    def of_topic(self, topic: str) -> list[TopicPartition]:
        """Return the partitions of a topic that have a pending range."""
        return [partition for partition in self._ranges if partition.topic == topic]

    def begin(self, partition: TopicPartition, offset: int, published: float = 0.0) -> None:
        """Begin an empty range in place of the one that the partition has, which is left to whoever holds it.

        Args:
            partition: the partition.
            offset: that it begins with.
            published: see `PendingRange`.
        """
        self._ranges[partition] = PendingRange(offset, offset, published=published)

    def abandon(self, topic: str) -> None:
        """Drop what was read of a topic; it is to be read again."""
        for partition in self.of_topic(topic):
            self._abandon(partition)

    def remove(self, topic: str) -> None:
        """Drop what was read of a topic that was deleted, and forget how far that was."""
        for partition in self.of_topic(topic):
            self._abandon(partition)
            del self._ranges[partition]

    def _abandon(self, partition: TopicPartition) -> None:
        pending = self._ranges[partition]
        for staging_file in pending.files.values():
            self._staging.drop(staging_file)
        pending.files, pending.next = {}, pending.begin

    def align(self, topic: str, next_offsets: Mapping[int, int]) -> None:
        """Drop what does not follow what is in the store.

        Args:
            topic: the topic.
            next_offsets: by partition, where its last manifest ends.
        """
        for partition in self.of_topic(topic):
            offset = next_offsets.get(partition.partition, 0)
            if offset != self._ranges[partition].begin:
                # Published after all, or by another importer: what is in the staging files is there already.
                self._abandon(partition)
                self.begin(partition, offset)
        for number, offset in next_offsets.items():
            self._ranges.setdefault(TopicPartition(topic, number), PendingRange(offset, offset))

    def to_read(self, ranges: Mapping[TopicPartition, Range]) -> dict[TopicPartition, Range]:
        """Return what is still to be read of these ranges; gaps are counted and logged.

        Args:
            ranges: what Kafka has of each partition.
        """
        wanted = {}
        for partition, offset_range in ranges.items():
            pending = self._ranges.setdefault(partition, PendingRange(0, 0))
            if pending.next > offset_range.end:
                self._report_past_end(partition, pending.next, offset_range.end)
                continue
            if pending.next < offset_range.begin:
                self._report_gap(partition, pending, offset_range.begin)
            if pending.next < offset_range.end:
                wanted[partition] = Range(pending.next, offset_range.end)
        return wanted

    def _report_gap(self, partition: TopicPartition, pending: PendingRange, earliest: int) -> None:
        # A topic that is imported for the first time has no gap, whatever was deleted before.
        if pending.next > 0:
            self._metrics.count("kafka_gap_messages", earliest - pending.next, topic=partition.topic)
            log.error(
                "messages were deleted before they could be imported; going on at the earliest",
                code="kafka_offset_out_of_range",
                topic=partition.topic,
                partition=partition.partition,
                wanted=pending.next,
                earliest=earliest,
            )
        pending.next = earliest

    def _report_past_end(self, partition: TopicPartition, position: int, end: int) -> None:
        if partition not in self._reported_past_end:
            self._reported_past_end.add(partition)
            log.error(
                "imported further than the topic reaches: it was made anew, and the broker tells no ids of topics; move"
                " its folder in _importer away to begin at its first message",
                code="import_past_end",
                topic=partition.topic,
                partition=partition.partition,
                imported_up_to=position,
                end=end,
            )

    def left(self, partition: TopicPartition, offset_range: Range) -> int:
        """Return how many messages of a range are neither published nor being published."""
        pending = self._ranges.get(partition, PendingRange(0, 0))
        reached = pending.next if not pending.files else pending.begin
        # What was imported further than the topic reaches was of another topic of this name.
        if reached > offset_range.end:
            return offset_range.end - offset_range.begin
        return max(0, offset_range.end - max(reached, offset_range.begin))

    def stage(self, fetched: Fetched, now_ms: int) -> None:
        """Append messages to the staging files of their hours, unless they are not what follows.

        Args:
            fetched: messages of one partition.
            now_ms: the time, in ms since the epoch.

        Raises:
            RetryableError: the local disk does not take them; what was read of the partition is dropped.
        """
        partition = fetched.partition
        pending = self._ranges[partition]
        if fetched.begin != pending.next:
            # Another importer has published meanwhile; a later run goes on from there.
            return
        hours = by_hour(self._bucketer, schema_of(partition.topic), fetched.messages, now_ms)
        try:
            for hour_partition, lines in hours.items():
                self._append(pending, partition, hour_partition, lines)
        except RetryableError:
            # Some hours have their lines and some do not; reading them again must not double those.
            self._abandon(partition)
            raise
        pending.next = fetched.next

    def _append(
        self, pending: PendingRange, partition: TopicPartition, hour_partition: HourPartition, lines: BucketedLines
    ) -> None:
        if not pending.files:
            pending.since = time.monotonic()
        if hour_partition not in pending.files:
            pending.files[hour_partition] = self._staging.begin(partition, hour_partition, lines.first)
        content = b"\n".join([*lines.lines, b""])
        self._staging.append(pending.files[hour_partition], content, len(lines.lines), lines.last)

    def staged_hours(self) -> set[tuple[str, str]]:
        """Return each topic and hour (`HourPartition.path`) of which lines are in staging files."""
        return {
            (partition.topic, hour_partition.path)
            for partition, pending in self._ranges.items()
            for hour_partition in pending.files
        }

    def behind(self, partitions: Iterable[TopicPartition], ranges: Mapping[TopicPartition, Range]) -> set[str]:
        """Return the topics of which not all partitions are known to be read as far as Kafka has them."""
        return {partition.topic for partition in partitions if not self._is_read(partition, ranges.get(partition))}

    def _is_read(self, partition: TopicPartition, offset_range: Range | None) -> bool:
        # Of a topic that has been in quarantine since this process began there is no pending range.
        pending = self._ranges.get(partition)
        return offset_range is not None and pending is not None and pending.next >= offset_range.end
