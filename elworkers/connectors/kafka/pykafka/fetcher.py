# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Fetches the messages of the partitions that a group has assigned to this process.

What differs from pykafka's SimpleConsumer:

* A message set is put into the buffer and handed over whole; pykafka makes an object, a queue entry and a release of a
  semaphore of each message.
* The buffer is bounded by bytes as well as by `queued_max_messages`, so that memory does not grow with partitions.
* A message larger than a partition's share of a response is requested with a larger share; pykafka never passes it.
* An offset out of range goes to the earliest, and the gap is counted.
* A partition that cannot be read for a reason of its own is stalled and requested again later; the others go on. So is
  one that a transactional producer has written to (see `transactions`), unless all is to be read.
* While a quota throttles this client, one partition after the other is requested, a little at a time.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import structlog
from pykafka.exceptions import KafkaException, OffsetOutOfRangeError, SocketDisconnectedError
from pykafka.protocol import FetchRequest, PartitionFetchRequest

from elworkers.connectors.kafka.driver import RawMessage
from elworkers.connectors.kafka.errors import NotAuthorizedError
from elworkers.connectors.kafka.leaderless import NO_LEADER
from elworkers.connectors.kafka.pykafka import quota_channels, transactions
from elworkers.connectors.kafka.pykafka.consumer_positions import EARLIEST, ConsumerPositions
from elworkers.connectors.kafka.pykafka.fetch_buffer import FetchBuffer
from elworkers.connectors.kafka.pykafka.fetch_shares import FetchShares
from elworkers.connectors.kafka.pykafka.messages import (
    FETCH_VERSION,
    PartitionResponse,
    UnreadableError,
    deduplicated,
    partition_responses,
    raw_messages,
    throttle_ms,
)
from elworkers.connectors.kafka.pykafka.stall_timers import StallTimers

_MESSAGE_BYTES = 1024 * 1024
_REFRESH_INTERVAL_S = 1.0
_NOT_AUTHORIZED = 29
_PARTITION_ERRORS = {
    2: "a message in it is damaged on the broker's disk",
    5: NO_LEADER,
    9: "its replica is not available",
    35: "the broker does not convert its messages for this client (message.downconversion.enable=false)",
    56: "the disk it is on has failed",
    76: "it holds messages compressed by zstd, which this client cannot read",
}
"""Kafka's error codes of one partition (its protocol guide, "Error Codes") → reason why it is stalled."""


log = structlog.get_logger(__name__)


class Fetcher(ConsumerPositions):
    """Fetches from partitions that the group has given to this process.

    Attributes:
        buffer: what has come; the loop takes it from there.
        reads_uncommitted: messages of transactions are handed on like others; else a partition with some stands still.
        on_offset_reset: called with partition id, the offset asked for and the earliest one there is.
        on_stalled: called with partition id and why it stands still; with None when it goes on.
    """

    reads_uncommitted = False
    on_offset_reset: Callable[[int, int, int], None] = staticmethod(lambda *_: None)
    on_stalled: Callable[[int, str | None], None] = staticmethod(lambda *_: None)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.buffer = FetchBuffer()
        self._cancelled = threading.Event()
        self._paces: dict[int, quota_channels.QuotaPace] = {}
        self._stall_timers = StallTimers()
        self._paused: set[int] = set()
        self._shares = FetchShares(kwargs.get("fetch_message_max_bytes", _MESSAGE_BYTES))
        super().__init__(*args, **kwargs)

    def fetch(self) -> None:
        """Send one fetch request to each leader; pykafka's thread calls this again and again."""
        held = self._partitions_by_id
        self.buffer.wait(lambda: not self._running or any(map(self._is_fetchable, held)), self._wait_limit_s())
        self._refresh_leaders()
        for broker, owned in sorted(self._partitions_by_leader.items(), key=lambda item: item[0].id):
            if not broker:
                continue
            # Whoever has the lock is moving the partition's position.
            locked = [one for one in owned if one.fetch_lock.acquire(blocking=False)]
            try:
                fetchable = [one for one in locked if self._is_fetchable(one.partition.id)]
                if fetchable:
                    self._handle_responses(self._request_fetch(broker, fetchable))
            except (OSError, SocketDisconnectedError):
                if self._running:
                    self._update()
                return
            finally:
                for one in locked:
                    one.fetch_lock.release()

    def _wait_limit_s(self) -> float:
        waits_s = [remaining_s for pace in self._paces.values() if (remaining_s := pace.remaining_s)]
        return min([_REFRESH_INTERVAL_S, *waits_s])

    def stop(self) -> None:
        """Stop, also where a request waits for a quota."""
        self._cancelled.set()
        super().stop()

    def _refresh_leaders(self) -> None:
        """Stall partitions without a leader, and refresh metadata where it is time to."""
        due = [
            (one.partition.id, broker)
            for broker, owned in self._partitions_by_leader.items()
            if not broker
            for one in owned
            if self._is_fetchable(one.partition.id)
        ]
        if due:
            for partition, broker in due:
                self._stall(partition, broker.why or NO_LEADER)
            self._update()

    def _is_fetchable(self, partition: int) -> bool:
        if partition in self._paused or not self._stall_timers.is_due(partition):
            return False
        pace = self._paces.get(self._partitions_by_id[partition].partition.leader.id)
        if pace is not None and pace.remaining_s:
            return False
        if partition in self.unpositioned and self._partitions_by_id[partition].partition.leader:
            # Whoever drives this consumer calls `position_rest` for it.
            return False
        return self.buffer.has_room(partition, self._queued_max_messages)

    def position_rest(self) -> list[int]:
        """Set positions that could not be set before, of partitions that have a leader now; returns those."""
        held = self._partitions_by_id
        due = [one for one in self.unpositioned if held[one].partition.leader and self._stall_timers.is_due(one)]
        for partition in due:
            try:
                self.reset_positions([partition])
            except (KafkaException, OSError) as error:
                self._stall(partition, str(error) or type(error).__name__)
                continue
            if partition in self.unpositioned:
                self._stall(partition, "the broker does not say where it begins")
            else:
                self._clear_stall(partition)
        positioned = [one for one in due if one not in self.unpositioned]
        if positioned:
            self._setup_partitions_by_leader()
        return positioned

    def _stall(self, partition: int, why: str) -> None:
        """Leave a partition alone for a while; its position stays."""
        self._stall_timers.start(partition)
        self.on_stalled(partition, why)

    def _clear_stall(self, partition: int) -> None:
        if self._stall_timers.clear(partition):
            self.on_stalled(partition, None)

    def _request_fetch(self, broker: Any, fetchable: Sequence[Any]) -> list[PartitionResponse]:
        channel = quota_channels.channel_to(broker)
        pace = self._paces[broker.id] = channel.fetches
        shares = self._shares.allocate([one.partition.id for one in fetchable], throttled=pace.throttled_lately)
        requests = [
            PartitionFetchRequest(self.topic.name, partition, self._partitions_by_id[partition].next_offset, size)
            for partition, size in shares.items()
        ]
        request = FetchRequest(
            requests, timeout=self._fetch_wait_max_ms, min_bytes=self._fetch_min_bytes, api_version=FETCH_VERSION
        )
        response = channel.request(request).get()
        responses = list(partition_responses(response))
        pace.fetched(throttle_ms(response), empty=not responses)
        if responses:
            self._shares.record_fetch(shares)
        return responses

    def _handle_responses(self, responses: Sequence[PartitionResponse]) -> None:
        failed: dict[int, list[tuple[Any, PartitionResponse]]] = defaultdict(list)
        for response in responses:
            owned = self._partitions_by_id[response.partition]
            if response.error:
                failed[response.error].append((owned, response))
            else:
                self._handle_partition(owned, response)
        for code, affected in failed.items():
            handler = self._default_error_handlers.get(code)
            if code == _NOT_AUTHORIZED:
                raise NotAuthorizedError(f"Kafka: this user may not read topic {self.topic.name.decode()} (error 29)")
            if handler is not None and code not in _PARTITION_ERRORS:
                handler(affected)
                continue
            for owned, _ in affected:
                self._stall(owned.partition.id, _PARTITION_ERRORS.get(code, f"the broker answers error {code} for it"))

    def _handle_partition(self, owned: Any, response: PartitionResponse) -> None:
        try:
            messages = raw_messages(response.data)
        except UnreadableError as error:
            # What is before it is handed over first; only then is it the next one.
            if not self._buffer_messages(owned, response, error.messages_before):
                self._stall(response.partition, str(error).removeprefix("Kafka: "))
            return
        if self._buffer_messages(owned, response, messages):
            return
        if response.high_watermark > owned.next_offset:
            self._handle_empty(owned)
        else:
            self._clear_stall(response.partition)

    def _handle_empty(self, owned: Any) -> None:
        """Handle an empty response although there is more: that is too large, or no message."""
        partition = owned.partition.id
        if not self._shares.grow(partition):
            return
        try:
            batches = self._batches_at(owned, owned.next_offset)
        except transactions.ThrottledError:
            self._stall(partition, quota_channels.OVER_QUOTA)
            return
        for batch in batches[:1]:
            if batch.transactional and not self.reads_uncommitted:
                self._stall(partition, transactions.EXPLANATION)
            elif batch.empty:
                self.skip_to(owned, batch.next)
                self._shares.reset(partition)

    def _batches_at(self, owned: Any, offset: int, size: int = 1) -> list[transactions.Batch]:
        topic = self.topic.name.decode()
        return transactions.batches_at(owned.partition.leader, topic, owned.partition.id, offset, size, self._cancelled)

    def _has_transactions(self, owned: Any, response: PartitionResponse, messages: list[RawMessage]) -> bool:
        """Return whether the first offset that no message has, and what follows it, is of a transaction."""
        offset = transactions.first_missing_offset(owned.next_offset, (message[0] for message in messages))
        return any(batch.transactional for batch in self._batches_at(owned, offset, len(response.data)))

    def _buffer_messages(self, owned: Any, response: PartitionResponse, messages: list[RawMessage]) -> bool:
        if messages and messages[0][0] < owned.next_offset:
            # A compressed set comes whole, also what is before the offset that was asked for.
            messages = [message for message in messages if message[0] >= owned.next_offset]
        if not messages:
            return False
        after = messages[-1][0] + 1
        if messages[0][0] != owned.next_offset or after - owned.next_offset != len(messages):
            messages = deduplicated(messages)
            if not self.reads_uncommitted and self._has_transactions(owned, response, messages):
                self._stall(response.partition, transactions.EXPLANATION)
                return True
        self._clear_stall(response.partition)
        owned.next_offset = after
        self.buffer.put(response.partition, messages, len(response.data))
        self._shares.reset(response.partition)
        return True

    def pause(self, partition: int, offset: int, why: str) -> None:
        """Hand over no messages of a partition, from an offset on, until `unpause`."""
        self._paused.add(partition)
        self.seek(partition, offset)
        self.on_stalled(partition, why)

    def unpause(self, partition: int) -> None:
        """Go on with a partition, if it was paused."""
        if partition in self._paused:
            self._paused.remove(partition)
            self.on_stalled(partition, None)

    def positions(self) -> dict[int, int]:
        """Return each partition's start position, whatever has been fetched since."""
        return {
            partition: owned.last_offset_consumed + 1
            for partition, owned in self._partitions_by_id.items()
            if partition not in self.unpositioned
        }

    def seek(self, partition: int, offset: int) -> None:
        """Go on at an offset, and drop what is buffered of the partition."""
        owned = self._partitions_by_id[partition]
        with owned.fetch_lock:
            self.buffer.drop(partition)
            owned.set_offset(offset - 1)

    def _build_default_error_handlers(self) -> dict[int, Any]:
        handlers: dict[int, Any] = super()._build_default_error_handlers()
        handlers[OffsetOutOfRangeError.ERROR_CODE] = self._seek_to_earliest
        return handlers

    def _seek_to_earliest(self, parts: list[Any]) -> None:
        # Before anything of another topic is taken for this one's.
        self.identity.check()
        for owned, _ in parts:
            partition = owned.partition.id
            wanted, earliest = owned.next_offset, self.offset_limit(partition, EARLIEST)
            self.seek(partition, earliest)
            self.on_offset_reset(partition, wanted, earliest)
