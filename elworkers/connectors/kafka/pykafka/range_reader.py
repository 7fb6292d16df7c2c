# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Reads ranges of offsets from the leaders of partitions."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator, Mapping, Sequence

from elworkers.connectors.kafka.driver import Fetched, Range, RawMessage
from elworkers.connectors.kafka.pykafka import transactions
from elworkers.connectors.kafka.pykafka.messages import (
    MAX_MESSAGE_BYTES,
    PartitionResponse,
    UnreadableError,
    deduplicated,
    raw_messages,
)
from elworkers.connectors.kafka.pykafka.prefetch import prefetched
from elworkers.connectors.kafka.pykafka.quota_channels import OVER_QUOTA
from elworkers.connectors.kafka.pykafka.range_requests import PendingFetch, RangeRequests
from elworkers.core.contracts import TopicPartition

_RESPONSE_BYTES = 8 * 1024 * 1024
"""Bytes of a response, however many partitions it is of."""

_SINGLE_PARTITION_BYTES = 2 * 1024 * 1024


class RangeReader:
    """Reads ranges of offsets; at most three responses are in memory.

    Args:
        requests: asks the leaders.
        partition_bytes: how much of one partition one response holds; a larger message is asked for alone.
        reads_uncommitted: whether partitions that transactional producers write to are read like all others.

    Attributes:
        unreadable: partition → why it could not be read further in the last `read`.
    """

    def __init__(self, requests: RangeRequests, partition_bytes: int, *, reads_uncommitted: bool) -> None:
        self._requests = requests
        self._partition_bytes = partition_bytes
        self._single_partition_bytes = max(partition_bytes, _SINGLE_PARTITION_BYTES)
        self._reads_uncommitted = reads_uncommitted
        self.unreadable: dict[TopicPartition, str] = {}

    def read(self, by_leader: Mapping[int, Mapping[TopicPartition, Range]]) -> Generator[Fetched, None, None]:
        """Yield every message in these ranges, by the ids of their leaders; see `TopicsReader.read`."""
        self.unreadable.clear()
        cancelled = self._requests.cancelled = threading.Event()
        yield from prefetched(self._fetched(by_leader), cancelled)

    def _fetched(self, by_leader: Mapping[int, Mapping[TopicPartition, Range]]) -> Iterator[Fetched]:
        size = max(1, _RESPONSE_BYTES // self._partition_bytes)
        for leader, ranges in by_leader.items():
            partitions = list(ranges)
            for start in range(0, len(partitions), size):
                group = {partition: ranges[partition] for partition in partitions[start : start + size]}
                yield from self._until_empty(leader, group)

    def _until_empty(self, leader: int, group: dict[TopicPartition, Range]) -> Iterator[Fetched]:
        offsets = [(partition, offset_range.begin) for partition, offset_range in group.items()]
        for response in self._requests.receive(self._requests.send(leader, offsets, self._partition_bytes)):
            partition = TopicPartition(response.topic, response.partition)
            fetched = self._next_chunk(leader, partition, group[partition], response)
            group[partition] = Range(fetched.next if fetched else group[partition].end, group[partition].end)
            if fetched:
                yield fetched
        for partition, offset_range in group.items():
            if offset_range.begin < offset_range.end:
                yield from self._single_partition(leader, partition, offset_range)

    def _single_partition(self, leader: int, partition: TopicPartition, offset_range: Range) -> Iterator[Fetched]:
        """Yield a range that is longer than one response, to its end, before other partitions go on."""

        def send() -> PendingFetch:
            return self._requests.send(leader, [(partition, offset_range.begin)], self._single_partition_bytes)

        pending: PendingFetch | None = send()
        while pending is not None:
            (response,) = self._requests.receive(pending)
            fetched = self._next_chunk(leader, partition, offset_range, response)
            if fetched is None:
                return
            offset_range = Range(fetched.next, offset_range.end)
            # The next answer is on its way while this one is worked on.
            pending = send() if offset_range.begin < offset_range.end else None
            yield fetched

    def _next_chunk(
        self, leader: int, partition: TopicPartition, offset_range: Range, response: PartitionResponse
    ) -> Fetched | None:
        """Return the part of a range that is in a response; None where the leader has no more of it now."""
        response, messages = self._refetch_larger(leader, partition, offset_range, response)
        if not messages and partition in self.unreadable:
            return None
        if not messages and response.high_watermark < offset_range.end:
            # A leader that knows less than the one before it; what it does not have must not be passed over.
            return None
        why = self._stop_reason(leader, partition, offset_range, response, messages)
        if why:
            self.unreadable[partition] = why
            return None
        after = messages[-1][0] + 1 if messages else offset_range.end
        if messages and (messages[0][0] < offset_range.begin or after > offset_range.end):
            # A compressed set comes whole, also what is before the offset that was asked for.
            messages = [one for one in messages if offset_range.begin <= one[0] < offset_range.end]
        if messages and messages[0][0] != offset_range.begin:
            messages = deduplicated(messages)
        return Fetched(partition, messages, offset_range.begin, min(after, offset_range.end))

    def _refetch_larger(
        self, leader: int, partition: TopicPartition, offset_range: Range, response: PartitionResponse
    ) -> tuple[PartitionResponse, list[RawMessage]]:
        """Return a response and its messages; an empty one is requested again with a larger size."""
        size = self._requests.allowed_size(leader, self._single_partition_bytes)
        messages = self._decode(partition, response)
        while not messages and size < MAX_MESSAGE_BYTES and partition not in self.unreadable:
            size *= 4
            (response,) = self._requests.receive(
                self._requests.send(leader, [(partition, offset_range.begin)], size, exact_size=True)
            )
            messages = self._decode(partition, response)
            if len(response.data) < size:
                # That is all there is, or all that a quota lets through at once.
                break
        return response, messages

    def _stop_reason(
        self,
        leader: int,
        partition: TopicPartition,
        offset_range: Range,
        response: PartitionResponse,
        messages: Sequence[RawMessage],
    ) -> str:
        """Return why a partition cannot be read past its first offset without a message; empty if it can."""
        if messages and messages[-1][0] - messages[0][0] + 1 == len(messages) and messages[0][0] <= offset_range.begin:
            return ""
        if messages and self._reads_uncommitted:
            return ""
        offset = transactions.first_missing_offset(offset_range.begin, (one[0] for one in messages))
        try:
            batches = self._requests.batches_at(leader, partition, offset, len(response.data))
        except transactions.ThrottledError:
            return OVER_QUOTA
        if not self._reads_uncommitted and any(batch.transactional for batch in batches):
            # The broker knows their producers no more, but the log has what they wrote.
            return transactions.EXPLANATION
        if not messages and any(not batch.empty for batch in batches[:1]):
            return OVER_QUOTA
        return ""

    def _decode(self, partition: TopicPartition, response: PartitionResponse) -> list[RawMessage]:
        if response.error:
            self.unreadable[partition] = f"the broker answers error {response.error} for it"
            return []
        try:
            return raw_messages(response.data)
        except UnreadableError as error:
            if not error.messages_before:
                self.unreadable[partition] = str(error).removeprefix("Kafka: ")
            return error.messages_before
