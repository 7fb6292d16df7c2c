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
from elworkers.connectors.kafka.pykafka.error_codes import words
from elworkers.connectors.kafka.pykafka.messages import (
    LARGEST_MESSAGE,
    PartitionResponse,
    UnreadableError,
    fields,
    once,
)
from elworkers.connectors.kafka.pykafka.quota_channels import OVER_QUOTA
from elworkers.connectors.kafka.pykafka.range_requests import RangeRequests, RangeResponse
from elworkers.connectors.kafka.pykafka.times import offsets_at
from elworkers.connectors.kafka.pykafka.topics import ids
from elworkers.core.contracts import TopicPartition
from elworkers.core.errors import RetryableError

_ANSWER_BYTES = 8 * 1024 * 1024
"""Of a broker, however many partitions it is of."""

_ALONE_BYTES = 2 * 1024 * 1024
_AHEAD, _LOOK_EVERY_S = 1, 0.5


class TopicsReader:
    """Reads from the leaders of any number of topics; implements `driver.Reader`.

    Three answers (`_ANSWER_BYTES`) are in memory at most.

    Attributes:
        refused: partition → why it could not be read further in the last `read`.
        left_out: partition → why the last `ranges` is without it.

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
        self._asking = RangeRequests(self._broker)
        self._partition_bytes = partition_bytes
        self._alone_bytes = max(partition_bytes, _ALONE_BYTES)
        self._leaders: dict[TopicPartition, int] = {}
        self.refused: dict[TopicPartition, str] = {}
        self.left_out: dict[TopicPartition, str] = {}
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
        with client.translated("list topics"):
            metadata = self._cluster._get_metadata()
            self._cluster._update_brokers(metadata.brokers, metadata.controller_id)
        self._leaders = {
            TopicPartition(name.decode(), number): partition.leader
            for name, topic in metadata.topics.items()
            for number, partition in topic.partitions.items()
        }
        return sorted(self._leaders)

    def ranges(self, wanted: Sequence[TopicPartition]) -> dict[TopicPartition, Range]:
        """Return what each of the partitions holds now: its earliest offset, and the one that its next message gets.

        Without those that nobody leads at the moment or that have transactions: they must not hold up the others.

        Raises:
            RetryableError: Kafka does not answer.
        """
        brokers = self._cluster.brokers
        self.left_out = {
            one: brokers[self._leaders[one]].why or NO_LEADER for one in wanted if not brokers[self._leaders[one]]
        }
        led = self._without_transactions([one for one in wanted if one not in self.left_out])
        earliest = self._limits(led, OffsetType.EARLIEST)
        latest = self._limits(led, OffsetType.LATEST)
        return {
            partition: Range(earliest[partition], latest[partition])
            for partition in led
            if partition in earliest and partition in latest
        }

    def _without_transactions(self, led: list[TopicPartition]) -> list[TopicPartition]:
        if self._reads_uncommitted:
            return led
        with client.translated("ask for the transactions of topics"):
            found = transactions.written(self._cluster, {one: self._broker(self._leaders[one]) for one in led})
        self.left_out |= {TopicPartition(*one): transactions.SENTENCE for one in found}
        return [one for one in led if one not in found]

    def committed(self, group: str, topic: str) -> dict[int, int]:
        """Return how far a consumer group is in a topic; see `offsets.committed`.

        Raises:
            RetryableError: Kafka does not answer.
        """
        partitions = [partition.partition for partition in self._leaders if partition.topic == topic]
        return progress.committed(self._cluster, group, topic, partitions)

    def _limits(self, wanted: Sequence[TopicPartition], which: int) -> dict[TopicPartition, int]:
        found: dict[TopicPartition, int] = {}
        with client.translated("ask for the ends of topics"):
            for leader, partitions in self._by_leader(wanted).items():
                requests = [
                    PartitionOffsetRequest(partition.topic.encode(), partition.partition, which, 1)
                    for partition in partitions
                ]
                answer = self._broker(leader).request_offset_limits(requests)
                for partition in partitions:
                    limit = answer.topics[partition.topic.encode()][partition.partition]
                    if limit.err:
                        self.left_out[partition] = f"the broker does not say how much it has: {words(limit.err)}"
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
        with client.translated("ask for offsets of a time"):
            for leader, partitions in self._by_leader(wanted).items():
                there = offsets_at(self._broker(leader), partitions, time_ms)
                found.update({TopicPartition(*one): offset for one, offset in there.items()})
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

        A partition that cannot be read for a reason of its own is left where it cannot be; `refused` then says why.

        Raises:
            RetryableError: Kafka does not answer, a leader has moved, or the beginning of a range has been deleted.
        """
        self.refused = {}
        ready: queue.Queue[Fetched | BaseException | None] = queue.Queue(_AHEAD)
        enough = self._asking.ended = threading.Event()

        def fetch() -> None:
            last: BaseException | None = None
            try:
                for fetched in self._fetched(wanted):
                    if not _put(ready, fetched, enough):
                        return
            except Exception as error:  # noqa: BLE001 - raised again where the messages are awaited
                last = error
            _put(ready, last, enough)

        thread = threading.Thread(target=fetch, name="fetch", daemon=True)
        thread.start()
        try:
            while (item := ready.get()) is not None:
                if isinstance(item, BaseException):
                    raise item
                yield item
        finally:
            enough.set()
            thread.join()

    def _fetched(self, wanted: Mapping[TopicPartition, Range]) -> Iterator[Fetched]:
        left = {partition: reach for partition, reach in wanted.items() if reach.begin < reach.end}
        size = max(1, _ANSWER_BYTES // self._partition_bytes)
        for leader, partitions in self._by_leader(list(left)).items():
            for start in range(0, len(partitions), size):
                group = {partition: left[partition] for partition in partitions[start : start + size]}
                yield from self._until_empty(leader, group)

    def _until_empty(self, leader: int, group: dict[TopicPartition, Range]) -> Iterator[Fetched]:
        begins = [(partition, reach.begin) for partition, reach in group.items()]
        for part in self._asking.told(self._asking.send(leader, begins, self._partition_bytes)):
            partition = TopicPartition(part.topic, part.partition)
            fetched = self._advanced(leader, partition, group[partition], part)
            group[partition] = Range(fetched.next if fetched else group[partition].end, group[partition].end)
            if fetched:
                yield fetched
        for partition, reach in group.items():
            if reach.begin < reach.end:
                yield from self._alone(leader, partition, reach)

    def _alone(self, leader: int, partition: TopicPartition, reach: Range) -> Iterator[Fetched]:
        """Yield a range that is longer than a share of an answer, to its end: so it is whole while others are read."""

        def send() -> RangeResponse:
            return self._asking.send(leader, [(partition, reach.begin)], self._alone_bytes)

        asked: RangeResponse | None = send()
        while asked is not None:
            (part,) = self._asking.told(asked)
            fetched = self._advanced(leader, partition, reach, part)
            if fetched is None:
                return
            reach = Range(fetched.next, reach.end)
            # The next answer is on its way while this one is worked on.
            asked = send() if reach.begin < reach.end else None
            yield fetched

    def _advanced(
        self, leader: int, partition: TopicPartition, reach: Range, part: PartitionResponse
    ) -> Fetched | None:
        """Return what an answer has of a range; None where the leader has no more of it now."""
        part, found = self._grown(leader, partition, reach, part)
        if not found and partition in self.refused:
            return None
        if not found and part.high_watermark < reach.end:
            # A leader that knows less than the one before it; what it does not have must not be passed over.
            return None
        why = self._not_to_be_passed_over(leader, partition, reach, part, found)
        if why:
            self.refused[partition] = why
            return None
        after = found[-1][0] + 1 if found else reach.end
        if found and (found[0][0] < reach.begin or after > reach.end):
            # A compressed set comes whole, also what is before the offset that was asked for.
            found = [one for one in found if reach.begin <= one[0] < reach.end]
        if found and found[0][0] != reach.begin:
            found = once(found)
        return Fetched(partition, found, reach.begin, min(after, reach.end))

    def _grown(
        self, leader: int, partition: TopicPartition, reach: Range, part: PartitionResponse
    ) -> tuple[PartitionResponse, list[RawMessage]]:
        """Return an answer and its messages, asked for again with more room where there is none."""
        size, found = self._asking.careful_size(leader, self._alone_bytes), self._readable(partition, part)
        while not found and size < LARGEST_MESSAGE and partition not in self.refused:
            size *= 4
            (part,) = self._asking.told(self._asking.send(leader, [(partition, reach.begin)], size, whole=True))
            found = self._readable(partition, part)
            if len(part.data) < size:
                # That is all there is, or all that a quota lets through at once.
                break
        return part, found

    def _not_to_be_passed_over(
        self, leader: int, partition: TopicPartition, reach: Range, part: PartitionResponse, found: Sequence[RawMessage]
    ) -> str:
        """Return why a partition cannot be read on at its first offset without a message; empty if it can."""
        if found and found[-1][0] - found[0][0] + 1 == len(found) and found[0][0] <= reach.begin:
            return ""
        if found and self._reads_uncommitted:
            return ""
        offset = transactions.without_message(reach.begin, (one[0] for one in found))
        try:
            batches = self._asking.batches_at(leader, partition, offset, len(part.data))
        except transactions.ThrottledError:
            return OVER_QUOTA
        if not self._reads_uncommitted and any(batch.transactional for batch in batches):
            # The broker knows their producers no more, but the log has what they wrote.
            return transactions.SENTENCE
        if not found and any(not batch.empty for batch in batches[:1]):
            return OVER_QUOTA
        return ""

    def _readable(self, partition: TopicPartition, part: PartitionResponse) -> list[RawMessage]:
        if part.error:
            self.refused[partition] = f"the broker answers error {part.error} for it"
            return []
        try:
            return fields(part.data)
        except UnreadableError as error:
            if not error.before:
                self.refused[partition] = str(error).removeprefix("Kafka: ")
            return error.before

    def close(self) -> None:
        """Let go of the connections; never raises."""
        client.close(self._cluster)


def _put(ready: queue.Queue[Any], item: Any, enough: threading.Event) -> bool:
    while not enough.is_set():
        try:
            ready.put(item, timeout=_LOOK_EVERY_S)
        except queue.Full:
            continue
        return True
    return False
