"""A topic and a group name come in; pykafka's BalancedConsumers, made safe for our loop, go out.

What differs from pykafka's own:

* Nothing is committed but what the loop hands over; pykafka also commits at a rebalance and after a reset.
* A rebalance first lets the loop flush and commit what it has taken (`moving`), then moves partitions.
* A commit that fails says so; pykafka gives up in silence.
* A partition that stays with this consumer goes on where the loop is, not at the last commit.
* A partition without an offset, in a group that has offsets for the topic, starts at the earliest: it was added.
* An offset out of range goes to the earliest, and the gap is counted.
* The session timeout of a group managed by Kafka can be chosen.
* Members that read different topics may share a group name, as they could under ZooKeeper; pykafka's leader would
  give the partitions of its own topic to all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from typing import Any

import structlog
from pykafka.balancedconsumer import BalancedConsumer
from pykafka.exceptions import (
    ERROR_CODES,
    IllegalGeneration,
    KafkaException,
    OffsetOutOfRangeError,
    RebalanceInProgress,
    UnknownMemberId,
)
from pykafka.managedbalancedconsumer import ManagedBalancedConsumer
from pykafka.membershipprotocol import RangeProtocol, RoundRobinProtocol
from pykafka.protocol import ConsumerGroupProtocolMetadata, MemberAssignment, PartitionOffsetFetchRequest
from pykafka.protocol.group_membership import JoinGroupRequest, JoinGroupResponse
from pykafka.simpleconsumer import SimpleConsumer

_EARLIEST = -2
_NO_OFFSET = -1
_MOVED_ON = {error.ERROR_CODE for error in (IllegalGeneration, UnknownMemberId, RebalanceInProgress)}

log = structlog.get_logger(__name__)


class Fetcher(SimpleConsumer):  # type: ignore[misc]
    """Fetches from partitions that the group has given to this process.

    Attributes:
        resume: partition id → offset to go on from, for partitions held without interruption.
        on_gap: called with partition id, the offset asked for and the earliest one there is.
    """

    resume: Mapping[int, int] = {}
    on_gap: Callable[[int, int, int], None] = staticmethod(lambda *_: None)

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
                [self._partitions_by_id[p].build_offset_commit_request(offset=o) for p, o in pending.items()],
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

    def fetch_offsets(self) -> list[Any]:
        """Place every held partition: where the loop is, where the group was, or where the group begins."""
        committed = self._committed()
        group_is_new = all(offset == _NO_OFFSET for offset in committed.values())
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
                return {partition: part.offset for partition, part in found.items()}
            self._update()
        raise ERROR_CODES[errors.pop()]("committed offsets cannot be read")

    def _edge(self, partition: int, which: int) -> int:
        edges = self._topic.fetch_offset_limits(which)
        return int(edges[partition].offset[0])

    def _build_default_error_handlers(self) -> dict[int, Any]:
        handlers: dict[int, Any] = super()._build_default_error_handlers()
        handlers[OffsetOutOfRangeError.ERROR_CODE] = self._go_to_earliest
        return handlers

    def _go_to_earliest(self, parts: list[Any]) -> None:
        for owned, _ in parts:
            partition = owned.partition.id
            wanted, earliest = owned.next_offset, self._edge(partition, _EARLIEST)
            with owned.fetch_lock:
                owned.flush()
                owned.set_offset(earliest - 1)
            self.on_gap(partition, wanted, earliest)


class Settling:
    """What both kinds of BalancedConsumer get from us; stands before pykafka's class.

    Attributes:
        moving: entered before partitions move, in the thread that moves them, when the loop has committed what it
            has taken, or after a deadline; left when they have moved.
        resume_from: gives partition id → offset for partitions to go on from.
        on_gap: see `Fetcher`.
        fresh: partitions that came to this consumer, also if they have left it again, since somebody cleared the set.
    """

    fresh: set[int]
    moving: Callable[[], AbstractContextManager[None]]
    resume_from: Callable[[], Mapping[int, int]]
    on_gap: Callable[[int, int, int], None]

    def commit_offsets(self, partition_offsets: Any = None) -> None:
        """Do nothing: pykafka calls this at a rebalance, whatever was flushed."""

    def _rebalance(self) -> None:
        with self.moving():
            super()._rebalance()  # type: ignore[misc]

    def _get_internal_consumer(self: Any, partitions: Any = None, start: bool = True) -> Any:
        resume: Mapping[int, int] = {}
        reset_on_start = self._reset_offset_on_start and self._consumer is None
        held: Collection[int] = ()
        if self._consumer is not None:
            self._consumer.stop()
            held = self._consumer.partitions
            resume = {partition: offset for partition, offset in self.resume_from().items() if partition in held}
        self.fresh |= {partition.id for partition in partitions or ()} - set(held)
        fetcher_class: Any = Fetcher
        if self._use_rdkafka:
            from pykafka.rdkafka import RdKafkaSimpleConsumer

            fetcher_class = type("RdKafkaFetcher", (Fetcher, RdKafkaSimpleConsumer), {})
        fetcher = fetcher_class(
            self._topic,
            self._cluster,
            consumer_group=self._consumer_group,
            partitions=list(partitions or []),
            fetch_message_max_bytes=self._fetch_message_max_bytes,
            fetch_min_bytes=self._fetch_min_bytes,
            num_consumer_fetchers=self._num_consumer_fetchers,
            queued_max_messages=self._queued_max_messages,
            fetch_wait_max_ms=self._fetch_wait_max_ms,
            consumer_timeout_ms=self._consumer_timeout_ms,
            offsets_channel_backoff_ms=self._offsets_channel_backoff_ms,
            offsets_commit_max_retries=self._offsets_commit_max_retries,
            auto_offset_reset=self._auto_offset_reset,
            reset_offset_on_start=reset_on_start,
            auto_start=False,
            compacted_topic=self._is_compacted_topic,
        )
        fetcher.resume, fetcher.on_gap = resume, self.on_gap
        fetcher.consumer_id, fetcher.generation_id = self._consumer_id, self._generation_id
        if start:
            fetcher.start()
        return fetcher


class ManagedGroup(Settling, ManagedBalancedConsumer):  # type: ignore[misc]
    """A member of a group that Kafka manages."""

    session_timeout_ms: int
    _generation_id: int
    _consumer_id: bytes

    def start(self) -> None:
        """Join the group; unlike pykafka's, raises when that fails."""
        self._running = True
        self._group_coordinator = self._cluster.get_group_coordinator(self._consumer_group)
        self._rebalance()
        self._setup_heartbeat_worker()

    def _join_group(self) -> Any:
        for attempt in range(self._cluster._max_connection_retries):
            self._cluster.handler.sleep(attempt)
            request = JoinGroupRequest(
                self._consumer_group,
                self._consumer_id,
                self._topic.name,
                self._membership_protocol,
                session_timeout=self.session_timeout_ms,
            )
            connection = self._group_coordinator._get_unique_req_handler(self._connection_id)
            answer = connection.request(request).get(JoinGroupResponse)
            if answer.error_code == 0:
                self._generation_id, self._consumer_id = answer.generation_id, answer.member_id
                return answer.members
            self._handle_error(answer.error_code)
        raise ERROR_CODES[answer.error_code](f"cannot join group {self._consumer_group.decode()}")

    def _update_member_assignment(self) -> None:
        assignment = dict(self._sync_group(self._share_out(self._join_group())))
        mine = assignment.get(self._topic.name, [])
        self._setup_internal_consumer(partitions=[self._topic.partitions[partition] for partition in mine])

    def _share_out(self, members: Mapping[bytes, ConsumerGroupProtocolMetadata]) -> list[tuple[bytes, Any]]:
        readers: dict[bytes, list[bytes]] = {}
        for member, metadata in members.items():
            for name in metadata.topic_names:
                readers.setdefault(bytes(name), []).append(member)
        if set(readers) - {self._topic.name}:
            self._cluster.update()
        shares: dict[bytes, list[tuple[bytes, list[int]]]] = {member: [] for member in members}
        for name, group in readers.items():
            topic = self._topic if name == self._topic.name else self._cluster.topics[name]
            _warn_of_idle(self._consumer_group, topic, len(group))
            for member in group:
                decided = self._membership_protocol.decide_partitions(group, topic.partitions, member)
                shares[member].append((name, sorted(partition.id for partition in decided)))
        return [(member, MemberAssignment(share)) for member, share in shares.items()]


class ZooKeeperGroup(Settling, BalancedConsumer):  # type: ignore[misc]
    """A member of a group that ZooKeeper manages."""

    def start(self) -> None:
        """Join the group; unlike pykafka's, raises when that fails and needs no broker registered in ZooKeeper."""
        self._setup_zookeeper(self._zookeeper_connect, self._zookeeper_connection_timeout_ms)
        for path in ("/brokers/ids", "/brokers/topics", self._topic_path):
            self._zookeeper.ensure_path(path)
        self._add_self()
        self._running = True
        self._set_watches()
        self._rebalance()

    def _get_participants(self) -> Any:
        found = super()._get_participants()
        _warn_of_idle(self._consumer_group, self._topic, len(found))
        return found


def _warn_of_idle(group: bytes, topic: Any, consumers: int) -> None:
    if consumers > len(topic.partitions):
        log.warning(
            "more consumers than partitions; the others are idle",
            group=group.decode(),
            topic=topic.name.decode(),
            consumers=consumers,
            partitions=len(topic.partitions),
        )


def protocol(name: str) -> Any:
    """pykafka's membership protocol by name, with metadata of its own.

    pykafka keeps one object for the whole process and writes the topic into it, so that two consumers of
    different topics would overwrite each other's.
    """
    shared = RoundRobinProtocol if name == "roundrobin" else RangeProtocol
    return shared._replace(metadata=ConsumerGroupProtocolMetadata())
