"""Partitions that a group has given to this process come in; whole sets of their messages go out.

What differs from pykafka's SimpleConsumer:

* A set is taken out of an answer, put into the inbox and handed over whole; pykafka makes one object, one entry of a
  queue and one release of a semaphore of each message.
* Bytes bound the inbox as well as `queued_max_messages`, so that memory grows neither with partitions nor with lines.
* A message larger than a partition's share of an answer is asked for with a larger one; pykafka never passes it. So
  many partitions as may have one at a time are given such shares as an answer has room for.
* Nothing is committed but what the loop hands over, and a commit that fails says so.
* A partition that stays with this consumer goes on where the loop is, not at the last commit.
* A partition without an offset, in a group that has offsets for the topic, starts at the earliest: it was added.
* An offset out of range goes to the earliest, and the gap is counted.
* A partition that cannot be read for a reason of its own stands still and is asked again later; the others go on.
* A commit says of which topic it is, by Kafka's id: an offset of a topic that was deleted and made again says nothing.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Container, Mapping, Sequence
from typing import Any, NamedTuple

import structlog
from pykafka.exceptions import (
    ERROR_CODES,
    IllegalGeneration,
    KafkaException,
    OffsetOutOfRangeError,
    RebalanceInProgress,
    SocketDisconnectedError,
    UnknownMemberId,
)
from pykafka.protocol import (
    FetchRequest,
    PartitionFetchRequest,
    PartitionOffsetCommitRequest,
    PartitionOffsetFetchRequest,
)
from pykafka.simpleconsumer import SimpleConsumer

from elworkers.errors import RetryableError
from elworkers.kafka.identity import Identity
from elworkers.kafka.inbox import Inbox
from elworkers.kafka.messages import FETCH_VERSION, LARGEST_MESSAGE, Fields, Part, UnreadableError, fields, parts

_ANSWER_BYTES = 2 * 1024 * 1024
"""Of which three are in memory for a moment: pykafka receives into a buffer that it then copies."""

_SMALLEST_SHARE = 64 * 1024
_LOOK_EVERY_S = 1.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 30.0
_NOT_AUTHORIZED = 29
_OWN_REASONS = {
    2: "a message in it is damaged on the broker's disk",
    5: "it has no leader at the moment",
    9: "its replica is not available",
    35: "the broker does not convert its messages for this client (message.downconversion.enable=false)",
    56: "the disk it is on has failed",
    76: "it holds messages compressed by zstd, which this client cannot read",
}
"""Kafka's error codes of one partition (its protocol guide, "Error Codes") → what they say."""

_EARLIEST = -2
_NO_OFFSET = -1
_MOVED_ON = {error.ERROR_CODE for error in (IllegalGeneration, UnknownMemberId, RebalanceInProgress)}

log = structlog.get_logger(__name__)


class _Standing(NamedTuple):
    """When a partition that stands still is asked again (monotonic seconds), and for how long it was left alone."""

    until: float
    pause_s: float


class Fetcher(SimpleConsumer):  # type: ignore[misc]
    """Fetches from partitions that the group has given to this process.

    Attributes:
        inbox: what has come; the loop takes it from there.
        resume: partition id → offset to go on from, for partitions held without interruption.
        identity: of the topic, which commits carry.
        on_gap: called with partition id, the offset asked for and the earliest one there is.
        on_standing: called with partition id and why it stands still; with None when it goes on.
    """

    resume: Mapping[int, int] = {}
    identity = Identity()
    on_gap: Callable[[int, int, int], None] = staticmethod(lambda *_: None)
    on_standing: Callable[[int, str | None], None] = staticmethod(lambda *_: None)

    def __init__(self, *words: Any, **keywords: Any) -> None:
        self.inbox = Inbox()
        self._asked: dict[int, int] = {}
        self._larger: dict[int, None] = {}
        self._standing: dict[int, _Standing] = {}
        super().__init__(*words, **keywords)

    def fetch(self) -> None:
        """Ask each leader once for what comes next; pykafka's thread calls this again and again."""
        held = self._partitions_by_id
        self.inbox.wait(lambda: not self._running or any(map(self._is_wanted, held)), _LOOK_EVERY_S)
        for broker, owned in sorted(self._partitions_by_leader.items(), key=lambda item: item[0].id):
            # Whoever has the lock is moving the partition's position.
            locked = [one for one in owned if one.fetch_lock.acquire(blocking=False)]
            try:
                wanted = [one for one in locked if self._is_wanted(one.partition.id)]
                if wanted:
                    self._receive(parts(self._ask(broker, wanted)))
            except (OSError, SocketDisconnectedError):
                if self._running:
                    self._update()
                return
            finally:
                for one in locked:
                    one.fetch_lock.release()

    def _is_wanted(self, partition: int) -> bool:
        standing = self._standing.get(partition)
        if standing is not None and time.monotonic() < standing.until:
            return False
        return self.inbox.has_room(partition, self._queued_max_messages)

    def _stand(self, partition: int, why: str) -> None:
        """Leave a partition alone for a while; its position stays."""
        before = self._standing.get(partition)
        pause_s = _FIRST_PAUSE_S if before is None else min(2 * before.pause_s, _LONGEST_PAUSE_S)
        self._standing[partition] = _Standing(time.monotonic() + pause_s, pause_s)
        self.on_standing(partition, why)

    def _go_on(self, partition: int) -> None:
        if self._standing.pop(partition, None) is not None:
            self.on_standing(partition, None)

    def _ask(self, broker: Any, wanted: Sequence[Any]) -> Any:
        share = min(self._fetch_message_max_bytes, max(_SMALLEST_SHARE, _ANSWER_BYTES // len(wanted)))
        grown = self._grown({one.partition.id for one in wanted}, share)
        requests = []
        for one in wanted:
            partition = one.partition.id
            size = self._asked[partition] = grown.get(partition, share)
            requests.append(PartitionFetchRequest(self._topic.name, partition, one.next_offset, size))
        request = FetchRequest(
            requests, timeout=self._fetch_wait_max_ms, min_bytes=self._fetch_min_bytes, api_version=FETCH_VERSION
        )
        if broker.handler is None:
            raise SocketDisconnectedError
        return broker.handler.request(request).get()

    def _grown(self, wanted: Container[int], share: int) -> dict[int, int]:
        """Larger shares for partitions whose next message did not fit: in their turn, and as many as fit an answer."""
        grown: dict[int, int] = {}
        room = _ANSWER_BYTES
        for partition in list(self._larger):
            if partition not in wanted:
                continue
            size = min(LARGEST_MESSAGE, 4 * self._asked.get(partition, share))
            if grown and size > room:
                break
            grown[partition] = size
            room -= size
        return grown

    def _receive(self, answered: Any) -> None:
        failed: dict[int, list[tuple[Any, Part]]] = defaultdict(list)
        for part in answered:
            owned = self._partitions_by_id[part.partition]
            if part.error:
                failed[part.error].append((owned, part))
            else:
                self._put(owned, part)
        for code, parts_of_it in failed.items():
            handler = self._default_error_handlers.get(code)
            if code == _NOT_AUTHORIZED:
                raise RetryableError(f"Kafka: this user may not read topic {self._topic.name.decode()} (error 29)")
            if handler is not None and code not in _OWN_REASONS:
                handler(parts_of_it)
                continue
            for owned, _ in parts_of_it:
                self._stand(owned.partition.id, _OWN_REASONS.get(code, f"the broker answers error {code} for it"))

    def _put(self, owned: Any, part: Part) -> None:
        try:
            found = fields(part.data)
        except UnreadableError as error:
            # What is before it is handed over first; only then is it the next one.
            if not self._put_found(owned, part, error.before):
                self._stand(part.partition, str(error).removeprefix("Kafka: "))
            return
        self._go_on(part.partition)
        if not self._put_found(owned, part, found) and part.high_watermark > owned.next_offset:
            self._larger[part.partition] = None

    def _put_found(self, owned: Any, part: Part, found: list[Fields]) -> bool:
        if found and found[0][0] < owned.next_offset:
            # A compressed set comes whole, also what is before the offset that was asked for.
            found = [message for message in found if message[0] >= owned.next_offset]
        if not found:
            return False
        owned.next_offset = found[-1][0] + 1
        self.inbox.put(part.partition, found, len(part.data))
        self._larger.pop(part.partition, None)
        return True

    def starts(self) -> dict[int, int]:
        """Partition id → where it was placed, whatever has been fetched since."""
        return {partition: owned.last_offset_consumed + 1 for partition, owned in self._partitions_by_id.items()}

    def go_to(self, partition: int, offset: int) -> None:
        """Go on from an offset, and forget what has come of the partition."""
        owned = self._partitions_by_id[partition]
        with owned.fetch_lock:
            self.inbox.drop(partition)
            owned.set_offset(offset - 1)

    def commit_offsets(self, partition_offsets: Any = None) -> None:
        """Do nothing: pykafka calls this where nothing was flushed."""

    def commit(self, positions: Mapping[int, int]) -> None:
        """Commit, for each partition id, the offset to read next.

        Where the group has moved on without this member, nothing is committed: the new owners read again.

        Raises:
            KafkaException: nothing may have been committed.
        """
        pending = dict(positions)
        for attempt in range(max(1, self._offsets_commit_max_retries)):
            if not pending:
                return
            self._cluster.handler.sleep(attempt * self._offsets_channel_backoff_ms / 1000)
            answer = self._group_coordinator.commit_consumer_group_offsets(
                self._consumer_group,
                self._generation_id,
                self._consumer_id,
                [self._commit_request(partition, offset) for partition, offset in pending.items()],
            )
            codes = {partition: part.err for partition, part in answer.topics[self._topic.name].items()}
            if set(codes.values()) & _MOVED_ON:
                log.warning("offsets not committed: the group has moved on", topic=self._topic.name.decode())
                return
            pending = {partition: offset for partition, offset in pending.items() if codes.get(partition)}
            if pending:
                self._discover_group_coordinator()
        if pending:
            code = next(iter(codes.values()))
            raise ERROR_CODES.get(code, KafkaException)(f"commit of {pending} failed with error code {code}")

    def _commit_request(self, partition: int, offset: int) -> Any:
        now_ms = int(time.time() * 1000)
        return PartitionOffsetCommitRequest(self._topic.name, partition, offset, now_ms, self.identity.metadata())

    def fetch_offsets(self) -> list[Any]:
        """Place every held partition: where the loop is, where the group was, or where the group begins."""
        committed = self._committed()
        group_is_new = not self.identity.made_anew and all(offset == _NO_OFFSET for offset in committed.values())
        begin: dict[int, int] = {}
        for partition, owned in self._partitions_by_id.items():
            # Where another member was further while this one was away unnoticed, its commit counts.
            offset = max(self.resume.get(partition, _NO_OFFSET), committed.get(partition, _NO_OFFSET))
            if offset == _NO_OFFSET:
                offset = self._edge(partition, self._auto_offset_reset if group_is_new else _EARLIEST)
                begin[partition] = offset
            owned.set_offset(offset - 1)
        if begin:
            # Without this a group that starts at the latest offset and sees no event would, after a restart, skip
            # what came in between.
            self.commit(begin)
        return []

    def _committed(self) -> dict[int, int]:
        requests = [PartitionOffsetFetchRequest(self._topic.name, partition) for partition in self._topic.partitions]
        for attempt in range(max(1, self._offsets_fetch_max_retries)):
            self._cluster.handler.sleep(attempt * self._offsets_channel_backoff_ms / 1000)
            answer = self._group_coordinator.fetch_consumer_group_offsets(self._consumer_group, requests)
            found = answer.topics[self._topic.name]
            errors = {part.err for part in found.values()} - {0}
            if not errors:
                return {partition: self._of_this_topic(partition, part) for partition, part in found.items()}
            self._update()
        raise ERROR_CODES[errors.pop()]("committed offsets cannot be read")

    def _of_this_topic(self, partition: int, part: Any) -> int:
        if self.identity.is_of_another(part.metadata):
            self.identity.was_made_anew(partition)
            return _NO_OFFSET
        return int(part.offset)

    def _edge(self, partition: int, which: int) -> int:
        edge = self._topic.fetch_offset_limits(which)[partition]
        if edge.err:
            raise ERROR_CODES[edge.err](f"the broker does not say where partition {partition} begins or ends")
        return int(edge.offset[0])

    def _build_default_error_handlers(self) -> dict[int, Any]:
        handlers: dict[int, Any] = super()._build_default_error_handlers()
        handlers[OffsetOutOfRangeError.ERROR_CODE] = self._go_to_earliest
        return handlers

    def _go_to_earliest(self, parts: list[Any]) -> None:
        # Before anything of another topic is taken for this one's.
        self.identity.check()
        for owned, _ in parts:
            partition = owned.partition.id
            wanted, earliest = owned.next_offset, self._edge(partition, _EARLIEST)
            self.go_to(partition, earliest)
            self.on_gap(partition, wanted, earliest)
