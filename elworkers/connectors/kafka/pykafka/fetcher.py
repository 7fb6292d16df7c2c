# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Fetches the messages of the partitions that a group has assigned to this process.

What differs from pykafka's SimpleConsumer:

* A set is taken out of an answer, put into the inbox and handed over whole; pykafka makes one object, one entry of a
  queue and one release of a semaphore of each message.
* Bytes bound the inbox as well as `queued_max_messages`, so that memory grows neither with partitions nor with lines.
* A message larger than a partition's share of an answer is asked for with a larger one; pykafka never passes it. So
  many partitions as may have one at a time are given such shares as an answer has room for.
* Where partitions begin and what is committed is `placed`'s.
* An offset out of range goes to the earliest, and the gap is counted.
* A partition that cannot be read for a reason of its own stands still and is asked again later; the others go on.
* While a quota throttles this client, partitions are asked for a little in their turn, when the broker wants it.
* So does one that a transactional producer has written to (see `transactions`), unless all is to be read.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import structlog
from pykafka.exceptions import KafkaException, OffsetOutOfRangeError, SocketDisconnectedError
from pykafka.protocol import FetchRequest, PartitionFetchRequest

from elworkers.connectors.kafka.driver import NotAuthorizedError, RawMessage
from elworkers.connectors.kafka.leaderless import NO_LEADER
from elworkers.connectors.kafka.pykafka import quota_channels, transactions
from elworkers.connectors.kafka.pykafka.consumer_positions import EARLIEST, ConsumerPositions
from elworkers.connectors.kafka.pykafka.fetch_buffer import FetchBuffer
from elworkers.connectors.kafka.pykafka.fetch_shares import FetchShares
from elworkers.connectors.kafka.pykafka.messages import (
    FETCH_VERSION,
    PartitionResponse,
    UnreadableError,
    fields,
    once,
    parts,
    throttle_ms,
)

_MESSAGE_BYTES = 1024 * 1024
_LOOK_EVERY_S = 1.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 30.0
_NOT_AUTHORIZED = 29
_OWN_REASONS = {
    2: "a message in it is damaged on the broker's disk",
    5: NO_LEADER,
    9: "its replica is not available",
    35: "the broker does not convert its messages for this client (message.downconversion.enable=false)",
    56: "the disk it is on has failed",
    76: "it holds messages compressed by zstd, which this client cannot read",
}
"""Kafka's error codes of one partition (its protocol guide, "Error Codes") → what they say."""


log = structlog.get_logger(__name__)


class _Standing(NamedTuple):
    """When a partition that stands still is asked again (monotonic seconds), and for how long it was left alone."""

    until: float
    pause_s: float


class Fetcher(ConsumerPositions):
    """Fetches from partitions that the group has given to this process.

    Attributes:
        inbox: what has come; the loop takes it from there.
        reads_uncommitted: messages of transactions are handed on like others; else a partition with some stands still.
        on_gap: called with partition id, the offset asked for and the earliest one there is.
        on_standing: called with partition id and why it stands still; with None when it goes on.
    """

    reads_uncommitted = False
    on_gap: Callable[[int, int, int], None] = staticmethod(lambda *_: None)
    on_standing: Callable[[int, str | None], None] = staticmethod(lambda *_: None)

    def __init__(self, *words: Any, **keywords: Any) -> None:
        self.inbox = FetchBuffer()
        self._ended = threading.Event()
        self._paces: dict[int, quota_channels.QuotaPace] = {}
        self._standing: dict[int, _Standing] = {}
        self._refused: set[int] = set()
        self._shares = FetchShares(keywords.get("fetch_message_max_bytes", _MESSAGE_BYTES))
        super().__init__(*words, **keywords)

    def fetch(self) -> None:
        """Ask each leader once for what comes next; pykafka's thread calls this again and again."""
        held = self._partitions_by_id
        self.inbox.wait(lambda: not self._running or any(map(self._is_wanted, held)), self._longest_wait_s())
        self._look_for_leaders()
        for broker, owned in sorted(self._partitions_by_leader.items(), key=lambda item: item[0].id):
            if not broker:
                continue
            # Whoever has the lock is moving the partition's position.
            locked = [one for one in owned if one.fetch_lock.acquire(blocking=False)]
            try:
                wanted = [one for one in locked if self._is_wanted(one.partition.id)]
                if wanted:
                    self._receive(self._ask(broker, wanted))
            except (OSError, SocketDisconnectedError):
                if self._running:
                    self._update()
                return
            finally:
                for one in locked:
                    one.fetch_lock.release()

    def _longest_wait_s(self) -> float:
        silent_s = [left_s for pace in self._paces.values() if (left_s := pace.left_s)]
        return min([_LOOK_EVERY_S, *silent_s])

    def stop(self) -> None:
        """As pykafka's, and nothing waits for a quota any longer."""
        self._ended.set()
        super().stop()

    def _look_for_leaders(self) -> None:
        """Let partitions stand still that nobody leads, and ask again who does where it is time to."""
        due = [
            (one.partition.id, broker)
            for broker, owned in self._partitions_by_leader.items()
            if not broker
            for one in owned
            if self._is_wanted(one.partition.id)
        ]
        if due:
            for partition, broker in due:
                self._stand(partition, broker.why or NO_LEADER)
            self._update()

    def _is_wanted(self, partition: int) -> bool:
        if partition in self._refused or not self._is_due(partition):
            return False
        pace = self._paces.get(self._partitions_by_id[partition].partition.leader.id)
        if pace is not None and pace.left_s:
            return False
        if partition in self.unplaced and self._partitions_by_id[partition].partition.leader:
            # Whoever drives this consumer calls `place_rest` for it.
            return False
        return self.inbox.has_room(partition, self._queued_max_messages)

    def _is_due(self, partition: int) -> bool:
        standing = self._standing.get(partition)
        return standing is None or time.monotonic() >= standing.until

    def place_rest(self) -> list[int]:
        """Place partitions that could not be placed before and have a leader now; gives back those that are."""
        held = self._partitions_by_id
        due = [one for one in self.unplaced if held[one].partition.leader and self._is_due(one)]
        for partition in due:
            try:
                self.place([partition])
            except (KafkaException, OSError) as error:
                self._stand(partition, str(error) or type(error).__name__)
                continue
            if partition in self.unplaced:
                self._stand(partition, "the broker does not say where it begins")
            else:
                self._go_on(partition)
        placed = [one for one in due if one not in self.unplaced]
        if placed:
            self._setup_partitions_by_leader()
        return placed

    def _stand(self, partition: int, why: str) -> None:
        """Leave a partition alone for a while; its position stays."""
        before = self._standing.get(partition)
        pause_s = _FIRST_PAUSE_S if before is None else min(2 * before.pause_s, _LONGEST_PAUSE_S)
        self._standing[partition] = _Standing(time.monotonic() + pause_s, pause_s)
        self.on_standing(partition, why)

    def _go_on(self, partition: int) -> None:
        if self._standing.pop(partition, None) is not None:
            self.on_standing(partition, None)

    def _ask(self, broker: Any, wanted: Sequence[Any]) -> list[PartitionResponse]:
        channel = quota_channels.of(broker)
        pace = self._paces[broker.id] = channel.fetches
        shares = self._shares.of([one.partition.id for one in wanted], careful=pace.careful)
        requests = [
            PartitionFetchRequest(self.topic.name, partition, self._partitions_by_id[partition].next_offset, size)
            for partition, size in shares.items()
        ]
        request = FetchRequest(
            requests, timeout=self._fetch_wait_max_ms, min_bytes=self._fetch_min_bytes, api_version=FETCH_VERSION
        )
        answer = channel.request(request).get()
        found = list(parts(answer))
        pace.fetched(throttle_ms(answer), empty=not found)
        if found:
            self._shares.answered(shares)
        return found

    def _receive(self, answered: Sequence[PartitionResponse]) -> None:
        failed: dict[int, list[tuple[Any, PartitionResponse]]] = defaultdict(list)
        for part in answered:
            owned = self._partitions_by_id[part.partition]
            if part.error:
                failed[part.error].append((owned, part))
            else:
                self._put(owned, part)
        for code, parts_of_it in failed.items():
            handler = self._default_error_handlers.get(code)
            if code == _NOT_AUTHORIZED:
                raise NotAuthorizedError(f"Kafka: this user may not read topic {self.topic.name.decode()} (error 29)")
            if handler is not None and code not in _OWN_REASONS:
                handler(parts_of_it)
                continue
            for owned, _ in parts_of_it:
                self._stand(owned.partition.id, _OWN_REASONS.get(code, f"the broker answers error {code} for it"))

    def _put(self, owned: Any, part: PartitionResponse) -> None:
        try:
            found = fields(part.data)
        except UnreadableError as error:
            # What is before it is handed over first; only then is it the next one.
            if not self._put_found(owned, part, error.before):
                self._stand(part.partition, str(error).removeprefix("Kafka: "))
            return
        if self._put_found(owned, part, found):
            return
        if part.high_watermark > owned.next_offset:
            self._find_nothing(owned)
        else:
            self._go_on(part.partition)

    def _find_nothing(self, owned: Any) -> None:
        """Handle a partition that has more, of which nothing came: it is too large, or no message."""
        partition = owned.partition.id
        if not self._shares.too_small(partition):
            return
        try:
            batches = self._batches_at(owned, owned.next_offset)
        except transactions.ThrottledError:
            self._stand(partition, quota_channels.OVER_QUOTA)
            return
        for batch in batches[:1]:
            if batch.transactional and not self.reads_uncommitted:
                self._stand(partition, transactions.SENTENCE)
            elif batch.empty:
                self.pass_over(owned, batch.next)
                self._shares.fits(partition)

    def _batches_at(self, owned: Any, offset: int, size: int = 1) -> list[transactions.Batch]:
        topic = self.topic.name.decode()
        return transactions.batches_at(owned.partition.leader, topic, owned.partition.id, offset, size, self._ended)

    def _has_transactions(self, owned: Any, part: PartitionResponse, found: list[RawMessage]) -> bool:
        """Return whether the first offset that no message has, and what follows it, is of a transaction."""
        offset = transactions.without_message(owned.next_offset, (message[0] for message in found))
        return any(batch.transactional for batch in self._batches_at(owned, offset, len(part.data)))

    def _put_found(self, owned: Any, part: PartitionResponse, found: list[RawMessage]) -> bool:
        if found and found[0][0] < owned.next_offset:
            # A compressed set comes whole, also what is before the offset that was asked for.
            found = [message for message in found if message[0] >= owned.next_offset]
        if not found:
            return False
        behind = found[-1][0] + 1
        if found[0][0] != owned.next_offset or behind - owned.next_offset != len(found):
            found = once(found)
            if not self.reads_uncommitted and self._has_transactions(owned, part, found):
                self._stand(part.partition, transactions.SENTENCE)
                return True
        self._go_on(part.partition)
        owned.next_offset = behind
        self.inbox.put(part.partition, found, len(part.data))
        self._shares.fits(part.partition)
        return True

    def refuse(self, partition: int, offset: int, why: str) -> None:
        """Hand nothing of a partition on, from an offset on, until it is `allow`ed."""
        self._refused.add(partition)
        self.go_to(partition, offset)
        self.on_standing(partition, why)

    def allow(self, partition: int) -> None:
        """Go on with a partition, if it was refused."""
        if partition in self._refused:
            self._refused.remove(partition)
            self.on_standing(partition, None)

    def starts(self) -> dict[int, int]:
        """Return for each partition the offset where it was placed, whatever has been fetched since."""
        return {
            partition: owned.last_offset_consumed + 1
            for partition, owned in self._partitions_by_id.items()
            if partition not in self.unplaced
        }

    def go_to(self, partition: int, offset: int) -> None:
        """Go on from an offset, and forget what has come of the partition."""
        owned = self._partitions_by_id[partition]
        with owned.fetch_lock:
            self.inbox.drop(partition)
            owned.set_offset(offset - 1)

    def _build_default_error_handlers(self) -> dict[int, Any]:
        handlers: dict[int, Any] = super()._build_default_error_handlers()
        handlers[OffsetOutOfRangeError.ERROR_CODE] = self._go_to_earliest
        return handlers

    def _go_to_earliest(self, parts: list[Any]) -> None:
        # Before anything of another topic is taken for this one's.
        self.identity.check()
        for owned, _ in parts:
            partition = owned.partition.id
            wanted, earliest = owned.next_offset, self.edge(partition, EARLIEST)
            self.go_to(partition, earliest)
            self.on_gap(partition, wanted, earliest)
