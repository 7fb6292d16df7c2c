# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Makes pykafka's BalancedConsumers safe for the loop.

What differs from pykafka's own:

* Nothing is committed but what the loop hands over; pykafka also commits at a rebalance and after a reset.
* A rebalance first lets the loop flush and commit what it has taken (`rebalance_guard`), then moves partitions.
* The session timeout of a group managed by Kafka can be chosen.
* Members that read different topics may share a group name, as they could under ZooKeeper; pykafka's leader would
  give the partitions of its own topic to all of them.
* Under ZooKeeper they share partitions with pykafka's own, on Python 2 as the original's and on 3 (decision 55).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from typing import Any

import structlog
from pykafka.balancedconsumer import BalancedConsumer
from pykafka.exceptions import PartitionOwnedError
from pykafka.managedbalancedconsumer import ManagedBalancedConsumer
from pykafka.membershipprotocol import RangeProtocol, RoundRobinProtocol
from pykafka.protocol import ConsumerGroupProtocolMetadata, MemberAssignment
from pykafka.protocol.group_membership import JoinGroupRequest, JoinGroupResponse

from elworkers.connectors.kafka.pykafka import chroot
from elworkers.connectors.kafka.pykafka.fetcher import Fetcher
from elworkers.connectors.kafka.pykafka.library_errors import library_error
from elworkers.connectors.kafka.pykafka.owner_nodes import OwnerNodes
from elworkers.connectors.kafka.topic_identity import TopicIdentity

_JOIN_TRIES = 3

log = structlog.get_logger(__name__)


class RebalanceMixin:
    """Changes both kinds of BalancedConsumer; stands before pykafka's class among the bases.

    Attributes:
        rebalance_guard: a context manager that waits, in pykafka's thread, until the loop has committed what it has
            taken, or for a deadline; partitions are moved within it.
        current_positions: returns partition id → offset for partitions to go on from.
        identity, reads_uncommitted, on_offset_reset, on_stalled: see `Fetcher`.
        newly_assigned: partitions assigned to this consumer since somebody cleared the set, also if they were revoked
            again.
    """

    newly_assigned: set[int]
    rebalance_guard: Callable[[], AbstractContextManager[None]]
    current_positions: Callable[[], Mapping[int, int]]
    on_offset_reset: Callable[[int, int, int], None]
    on_stalled: Callable[[int, str | None], None]
    identity: TopicIdentity
    reads_uncommitted: bool

    def commit_offsets(self, partition_offsets: Any = None) -> None:
        """Do nothing: pykafka calls this at a rebalance, whatever was flushed."""

    def _rebalance(self) -> None:
        with self.rebalance_guard():
            super()._rebalance()  # type: ignore[misc]

    def _get_internal_consumer(self: Any, partitions: Any = None, start: bool = True) -> Any:
        resume_offsets: Mapping[int, int] = {}
        reset_on_start = self._reset_offset_on_start and self._consumer is None
        held: Collection[int] = ()
        if self._consumer is not None:
            self._consumer.stop()
            held = self._consumer.partitions
            resume_offsets = {
                partition: offset for partition, offset in self.current_positions().items() if partition in held
            }
        self.newly_assigned |= {partition.id for partition in partitions or ()} - set(held)
        fetcher_class: Any = Fetcher
        if self._use_rdkafka:
            from pykafka.rdkafka import RdKafkaSimpleConsumer

            fetcher_class = type("RdKafkaFetcher", (Fetcher, RdKafkaSimpleConsumer), {"places_later": False})
        fetcher = fetcher_class(
            self.topic,
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
        fetcher.resume_offsets = resume_offsets
        fetcher.on_offset_reset, fetcher.on_stalled = self.on_offset_reset, self.on_stalled
        fetcher.identity, fetcher.reads_uncommitted = self.identity, self.reads_uncommitted
        fetcher.consumer_id, fetcher.generation_id = self._consumer_id, self._generation_id
        if start:
            fetcher.start()
        return fetcher


class _Assignment(MemberAssignment):  # type: ignore[misc]
    """An assignment with user data (of length 0): Kafka's own tools cannot read one without, as pykafka's is."""

    def __len__(self) -> int:
        return int(super().__len__()) + 4


class ManagedGroup(RebalanceMixin, ManagedBalancedConsumer):  # type: ignore[misc]
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
        for attempt in range(_JOIN_TRIES):
            self._cluster.handler.sleep(attempt)
            request = JoinGroupRequest(
                self._consumer_group,
                self._consumer_id,
                self.topic.name,
                self._membership_protocol,
                session_timeout=self.session_timeout_ms,
            )
            connection = self._group_coordinator._get_unique_req_handler(self._connection_id)
            response = connection.request(request).get(JoinGroupResponse)
            if response.error_code == 0:
                self._generation_id, self._consumer_id = response.generation_id, response.member_id
                return response.members
            self._handle_error(response.error_code)
        raise library_error(response.error_code, f"cannot join group {self._consumer_group.decode()}")

    def _update_member_assignment(self) -> None:
        assignment = dict(self._sync_group(self._assign_partitions(self._join_group())))
        numbers = assignment.get(self.topic.name, [])
        self._setup_internal_consumer(partitions=[self.topic.partitions[partition] for partition in numbers])

    def _assign_partitions(self, members: Mapping[bytes, ConsumerGroupProtocolMetadata]) -> list[tuple[bytes, Any]]:
        readers: dict[bytes, list[bytes]] = {}
        for member, metadata in members.items():
            for name in metadata.topic_names:
                readers.setdefault(bytes(name), []).append(member)
        if set(readers) - {self.topic.name}:
            self._cluster.update()
        assignments: dict[bytes, list[tuple[bytes, list[int]]]] = {member: [] for member in members}
        for name, group in readers.items():
            topic = self.topic if name == self.topic.name else self._cluster.topics[name]
            _warn_of_idle_members(self._consumer_group, topic, len(group))
            for member in group:
                chosen = self._membership_protocol.decide_partitions(group, topic.partitions, member)
                assignments[member].append((name, sorted(partition.id for partition in chosen)))
        return [(member, _Assignment(assigned)) for member, assigned in assignments.items()]


class ZooKeeperGroup(RebalanceMixin, BalancedConsumer):  # type: ignore[misc]
    """A member of a group that ZooKeeper manages.

    Attributes:
        make_chroot: whether a chroot that is missing is made.
    """

    make_chroot: bool

    def start(self) -> None:
        """Join the group; unlike pykafka's, raises when that fails and needs no broker registered in ZooKeeper."""
        self._owners = OwnerNodes(self._consumer_group.decode(), self.topic.name.decode())
        chroot.create_chroot(self._zookeeper_connect, self._zookeeper_connection_timeout_ms / 1000, self.make_chroot)
        self._setup_zookeeper(self._zookeeper_connect, self._zookeeper_connection_timeout_ms)
        for path in ("/brokers/ids", "/brokers/topics", *self._owners.folders):
            self._zookeeper.ensure_path(path)
        self._add_self()
        self._running = True
        self._set_watches()
        self._rebalance()

    def _get_held_partitions(self) -> set[Any]:
        held = self._owners.held(self._zookeeper, self._consumer_id)
        return {self.topic.partitions[number] for number in held}

    def _add_partitions(self, partitions: Collection[Any]) -> None:
        leaders = {one.id: one.leader.id for one in partitions}
        owned = self._owners.claim(self._zookeeper, self._consumer_id, leaders)
        if owned is not None:
            raise PartitionOwnedError(self.topic.partitions[owned])

    def _remove_partitions(self, partitions: Collection[Any]) -> None:
        self._owners.release(self._zookeeper, self._consumer_id, {one.id for one in partitions})

    def _get_participants(self) -> Any:
        found = super()._get_participants()
        _warn_of_idle_members(self._consumer_group, self.topic, len(found))
        return found


def _warn_of_idle_members(group: bytes, topic: Any, consumers: int) -> None:
    if consumers > len(topic.partitions):
        log.warning(
            "more consumers than partitions; the others are idle",
            code="kafka_consumers_idle",
            group=group.decode(),
            topic=topic.name.decode(),
            consumers=consumers,
            partitions=len(topic.partitions),
        )


def protocol(name: str) -> Any:
    """Return pykafka's membership protocol by name, with metadata of its own.

    pykafka keeps one object for the whole process and writes the topic into it, so that two consumers of
    different topics would overwrite each other's.
    """
    shared = RoundRobinProtocol if name == "roundrobin" else RangeProtocol
    return shared._replace(metadata=ConsumerGroupProtocolMetadata())
