# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Reads the partitions, ends and messages of many topics at a time, without a group.

One connection to each broker and one thread serve any number of topics; pykafka's own consumers start threads and
buffers for each. Reads only; whoever reads remembers how far.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterator, Mapping, Sequence
from typing import Any

from pykafka.common import OffsetType
from pykafka.protocol import PartitionOffsetRequest

from elworkers.connectors.kafka.driver import Fetched, Range, RawMessage
from elworkers.connectors.kafka.leaderless import NO_LEADER
from elworkers.connectors.kafka.pykafka import client, progress, transactions
from elworkers.connectors.kafka.pykafka.error_codes import describe
from elworkers.connectors.kafka.pykafka.messages import (
    MAX_MESSAGE_BYTES,
    PartitionResponse,
    UnreadableError,
    deduplicated,
    raw_messages,
)
from elworkers.connectors.kafka.pykafka.quota_channels import OVER_QUOTA
from elworkers.connectors.kafka.pykafka.range_requests import PendingFetch, RangeRequests
from elworkers.connectors.kafka.pykafka.times import offsets_at
from elworkers.connectors.kafka.pykafka.topics import ids
from elworkers.core.contracts import TopicPartition
from elworkers.core.errors import RetryableError

_RESPONSE_BYTES = 8 * 1024 * 1024
"""Of a broker, however many partitions it is of."""

_SINGLE_PARTITION_BYTES = 2 * 1024 * 1024
_PREFETCH, _CHECK_INTERVAL_S = 1, 0.5


class TopicsReader:
    """Reads from the leaders of any number of topics; implements `driver.Reader`.

    Three answers (`_RESPONSE_BYTES`) are in memory at most.

    Attributes:
        unreadable: partition → why it could not be read further in the last `read`.
        unavailable: partition → why the last `ranges` is without it.

    Args:
        hosts: the brokers, each `host:port`.
        reads_uncommitted: whether partitions that transactional producers write to are read like all others.
        partition_bytes: how much of one partition one answer holds; a larger message is asked for alone.

    Raises:
        ConfigurationError: the broker is too new.
        RetryableError: no broker answers.
    """

    def __init__(
        self, hosts: Sequence[str], partition_bytes: int = 1024 * 1024, *, reads_uncommitted: bool = False
    ) -> None:
        self._cluster = client.connect(hosts)
        self._requests = RangeRequests(self._broker)
        self._partition_bytes = partition_bytes
        self._single_partition_bytes = max(partition_bytes, _SINGLE_PARTITION_BYTES)
        self._leaders: dict[TopicPartition, int] = {}
        self.unreadable: dict[TopicPartition, str] = {}
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

    def ranges(self, requested: Sequence[TopicPartition]) -> dict[TopicPartition, Range]:
        """Return what each of the partitions holds now: its earliest offset, and the one that its next message gets.

        Without those that nobody leads at the moment or that have transactions: they must not hold up the others.

        Raises:
            RetryableError: Kafka does not answer.
        """
        brokers = self._cluster.brokers
        self.unavailable = {
            one: brokers[self._leaders[one]].why or NO_LEADER for one in requested if not brokers[self._leaders[one]]
        }
        with_leader = self._without_transactions([one for one in requested if one not in self.unavailable])
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
        """Return how far a consumer group is in a topic; see `offsets.committed`.

        Raises:
            RetryableError: Kafka does not answer.
        """
        partitions = [partition.partition for partition in self._leaders if partition.topic == topic]
        return progress.committed(self._cluster, group, topic, partitions)

    def _limits(self, requested: Sequence[TopicPartition], which: int) -> dict[TopicPartition, int]:
        found: dict[TopicPartition, int] = {}
        with client.translate_errors("ask for the ends of topics"):
            for leader, partitions in self._by_leader(requested).items():
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

    def at_time(self, requested: Sequence[TopicPartition], time_ms: int) -> dict[TopicPartition, int]:
        """Return the offset of each partition's first message of this time or later; without those that have none.

        Args:
            requested: of the last `ranges`.
            time_ms: Kafka's time, in ms since the epoch.

        Raises:
            RetryableError: Kafka does not answer.
        """
        found: dict[TopicPartition, int] = {}
        with client.translate_errors("ask for offsets of a time"):
            for leader, partitions in self._by_leader(requested).items():
                offsets = offsets_at(self._broker(leader), partitions, time_ms)
                found.update({TopicPartition(*one): offset for one, offset in offsets.items()})
        return found

    def _by_leader(self, requested: Sequence[TopicPartition]) -> dict[int, list[TopicPartition]]:
        by_leader: dict[int, list[TopicPartition]] = {}
        for partition in requested:
            by_leader.setdefault(self._leaders[partition], []).append(partition)
        return by_leader

    def _broker(self, leader: int) -> Any:
        broker = self._cluster.brokers.get(leader)
        if broker is None:
            raise RetryableError("Kafka: a partition has no leader")
        if not broker.connected:
            broker.connect()
        return broker

    def read(self, requested: Mapping[TopicPartition, Range]) -> Generator[Fetched, None, None]:
        """Yield every message in these ranges, some partitions after others; the next answer comes meanwhile.

        A partition that cannot be read for a reason of its own is left where it cannot be; `unreadable` then says why.

        Raises:
            RetryableError: Kafka does not answer, a leader has moved, or the beginning of a range has been deleted.
        """
        self.unreadable = {}
        results: queue.Queue[Fetched | BaseException | None] = queue.Queue(_PREFETCH)
        cancelled = self._requests.cancelled = threading.Event()

        def fetch() -> None:
            last: BaseException | None = None
            try:
                for fetched in self._fetched(requested):
                    if not _put_unless_cancelled(results, fetched, cancelled):
                        return
            except Exception as error:  # noqa: BLE001 - raised again where the messages are awaited
                last = error
            _put_unless_cancelled(results, last, cancelled)

        thread = threading.Thread(target=fetch, name="fetch", daemon=True)
        thread.start()
        try:
            while (item := results.get()) is not None:
                if isinstance(item, BaseException):
                    raise item
                yield item
        finally:
            cancelled.set()
            thread.join()

    def _fetched(self, requested: Mapping[TopicPartition, Range]) -> Iterator[Fetched]:
        left = {
            partition: offset_range
            for partition, offset_range in requested.items()
            if offset_range.begin < offset_range.end
        }
        size = max(1, _RESPONSE_BYTES // self._partition_bytes)
        for leader, partitions in self._by_leader(list(left)).items():
            for start in range(0, len(partitions), size):
                group = {partition: left[partition] for partition in partitions[start : start + size]}
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
        """Yield a range that is longer than a share of an answer, to its end: so it is whole while others are read."""

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
        """Return what an answer has of a range; None where the leader has no more of it now."""
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
        """Return an answer and its messages, asked for again with more room where there is none."""
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
        """Return why a partition cannot be read on at its first offset without a message; empty if it can."""
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

    def close(self) -> None:
        """Let go of the connections; never raises."""
        client.close(self._cluster)


def _put_unless_cancelled(results: queue.Queue[Any], item: Any, cancelled: threading.Event) -> bool:
    while not cancelled.is_set():
        try:
            results.put(item, timeout=_CHECK_INTERVAL_S)
        except queue.Full:
            continue
        return True
    return False
