# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Reads a topic of the memory's Kafka as a member of a group; partitions move during its own polls only."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from elworkers.config.options import READ_UNCOMMITTED
from elworkers.config.topic_plan import TopicPlan
from elworkers.connectors.kafka.driver import AssignmentListener, RawMessage
from elworkers.connectors.kafka.errors import OutageError
from elworkers.connectors.kafka.leaderless import NO_LEADER
from elworkers.connectors.kafka.memory.broker import MemoryBroker
from elworkers.connectors.kafka.memory.group import Committed, Group, GroupMember, Member
from elworkers.core.contracts import Metrics, TopicPartition

_LATEST = -1
_PAUSE_S = 0.05


class MemoryConsumer:
    """Implements `driver.Consumer`.

    Args:
        broker: the Kafka.
        hosts, options, group, listener, metrics, plan: see `driver.Driver.consumer`.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - see `driver.Driver.consumer`
        self,
        broker: MemoryBroker,
        hosts: Sequence[str],
        options: Mapping[str, Any],
        group: str,
        listener: AssignmentListener,
        metrics: Metrics,
        plan: TopicPlan | None = None,
    ) -> None:
        self._broker = broker
        self._topic_name: str = options["topic"]
        self._group_name = group
        self._listener = listener
        self._metrics = metrics
        self._begins_at_latest = options["auto_offset_reset"] == _LATEST
        self._session_s: float = options["session_timeout_ms"] / 1000
        self._max_age_s: float = options["metadata_max_age_ms"] / 1000
        self._reads_uncommitted = options["transactions"] == READ_UNCOMMITTED
        self._positions: dict[TopicPartition, int] = {}
        self._stalled: set[TopicPartition] = set()
        plan = plan or TopicPlan(None, hosts, (options["partitions"], options["replication"]))
        topic_settings = plan.of([self._topic_name])[self._topic_name]
        with broker.operation("join"):
            topic = broker.get_or_create(self._topic_name, *topic_settings[:2])
            metrics.remark(f"topic {self._topic_name}", topic_settings.differs(len(topic.logs), topic.replication))
            self.topic_id = topic.topic_id
            self._partitions = broker.partitions(self._topic_name)
            self._refreshed_s = broker.clock.now_s()
            self._member_id = self._join()

    @property
    def _group(self) -> Group:
        return self._broker.groups[self._group_name]

    def _join(self) -> int:
        now_s = self._broker.clock.now_s()
        return self._group.join(Member(self._topic_name, self._partitions, now_s, self._session_s))

    def assigned(self) -> list[TopicPartition]:
        """See `driver.Consumer.assigned`."""
        return sorted(self._positions)

    def stable_ends(self) -> dict[TopicPartition, int]:
        """See `driver.Consumer.stable_ends`."""
        with self._broker.operation("poll"):
            logs = {partition: self._broker.log(partition) for partition in self.assigned()}
        return {partition: log.stable_end for partition, log in logs.items() if log.has_leader}

    def group_metadata(self) -> GroupMember:
        """See `transactional.TransactionalConsumer.group_metadata`."""
        return GroupMember(self._group_name, self._member_id)

    def poll(self, limit: int, timeout_s: float) -> Sequence[tuple[TopicPartition, list[RawMessage]]]:
        """See `driver.Consumer.poll`; an empty one lets its timeout pass on the broker's clock."""
        left_s = timeout_s
        while True:
            with self._broker.operation("poll"):
                self._refresh()
                revoked, was_lost = self._revoked()
            if revoked:
                self._revoke(revoked, lost=was_lost)
                return []
            with self._broker.operation("poll"):
                self._take_assigned()
                found = self._fetched(limit)
            if found or left_s <= 0:
                return found
            self._broker.clock.advance(min(left_s, _PAUSE_S))
            left_s -= _PAUSE_S
            # Other threads may have something to do.
            time.sleep(0)

    def _refresh(self) -> None:
        topic = self._broker.topics.get(self._topic_name)
        if topic is None or topic.topic_id != self.topic_id:
            raise OutageError(f"Kafka: topic {self._topic_name} was deleted while it was read")
        now_s = self._broker.clock.now_s()
        if now_s - self._refreshed_s < self._max_age_s:
            return
        self._refreshed_s = now_s
        if len(topic.logs) > len(self._partitions):
            raise OutageError(f"topic {self._topic_name} has {len(topic.logs)} partitions now; joining the group anew")

    def _revoked(self) -> tuple[set[TopicPartition], bool]:
        """Return the partitions that this member has to give up, and whether they are lost already."""
        group, now_s = self._group, self._broker.clock.now_s()
        member = group.members.get(self._member_id)
        if member is not None:
            member.heartbeat_s = now_s
        group.expire_members(now_s)
        if member is not None:
            return member.held - group.assigned(self._member_id), False
        self._member_id = self._join()
        return set(self._positions), True

    def _revoke(self, revoked: set[TopicPartition], *, lost: bool) -> None:
        self._listener.revoked(sorted(revoked), lost=lost)
        with self._broker.lock:
            member = self._group.members.get(self._member_id)
            if member is not None:
                member.held -= revoked
            for partition in revoked:
                self._positions.pop(partition, None)

    def _take_assigned(self) -> None:
        group = self._group
        member = group.members[self._member_id]
        new = group.unheld(group.assigned(self._member_id) - member.held)
        # Where they begin is known when the transaction has ended.
        new -= set(self._broker.transactions.undecided(self._group_name))
        if not new:
            return
        positions = self._start_positions(new)
        moved = self._listener.assigned(positions)
        member.held |= new
        self._positions |= {**positions, **moved}
        if moved:
            self._store(moved)

    def _start_positions(self, new: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        committed = self._broker.committed(self._group_name, self._partitions)
        started: dict[TopicPartition, int] = {}
        for partition in new:
            if partition not in committed:
                log = self._broker.log(partition)
                # One that was added is read from its beginning.
                started[partition] = log.end if self._begins_at_latest and not committed else log.begin
        self._store(started)
        return {partition: started.get(partition, committed.get(partition, 0)) for partition in sorted(new)}

    def _fetched(self, limit: int) -> list[tuple[TopicPartition, list[RawMessage]]]:
        found: list[tuple[TopicPartition, list[RawMessage]]] = []
        for partition in self.assigned():
            log = self._broker.log(partition)
            self._report_stalled(partition, log.has_leader)
            if not log.has_leader:
                continue
            position = self._positions[partition]
            if not log.begin <= position <= log.end:
                self._listener.offset_reset(partition, position, log.begin)
                position = self._positions[partition] = log.begin
            messages = log.read(position, limit, uncommitted=self._reads_uncommitted)
            if messages:
                found.append((partition, messages))
                limit -= len(messages)
            behind = messages[-1][0] + 1 if messages else log.readable_end(uncommitted=self._reads_uncommitted)
            self._positions[partition] = max(position, behind)
            if limit <= 0:
                break
        return found

    def _report_stalled(self, partition: TopicPartition, has_leader: bool) -> None:
        what = f"topic {partition.topic}[{partition.partition}]"
        if not has_leader and partition not in self._stalled:
            self._stalled.add(partition)
            self._metrics.set_aside(what, NO_LEADER)
        elif has_leader and partition in self._stalled:
            self._stalled.discard(partition)
            self._metrics.resumed(what)

    def commit(self, positions: Mapping[TopicPartition, int]) -> dict[TopicPartition, bool]:
        """See `driver.Consumer.commit`."""
        with self._broker.operation("commit"):
            member = self._group.members.get(self._member_id)
            held = member.held if member is not None else set()
            held_positions = {
                partition: self._past_markers(partition, offset)
                for partition, offset in positions.items()
                if partition in held
            }
            self._store(held_positions)
        return {partition: partition in held_positions for partition in positions}

    def note_committed(self, positions: Mapping[TopicPartition, int]) -> None:
        """See `transactional.TransactionalConsumer.note_committed`; what is behind markers is committed at once."""
        behind = {one: self._past_markers(one, offset) for one, offset in positions.items()}
        with self._broker.operation("commit"):
            member = self._group.members.get(self._member_id)
            held = member.held if member is not None else set()
            self._store({one: at for one, at in behind.items() if one in held and at > positions[one]})

    def _past_markers(self, partition: TopicPartition, offset: int) -> int:
        """Return the present position, if nothing but ends of transactions and aborted messages is before it."""
        after = self._broker.log(partition).read(offset, 1, uncommitted=self._reads_uncommitted)
        position = self._positions.get(partition, offset)
        return position if offset < position and (not after or after[0][0] >= position) else offset

    def _store(self, positions: Mapping[TopicPartition, int]) -> None:
        self._group.offsets |= {partition: Committed(offset, self.topic_id) for partition, offset in positions.items()}

    def close(self) -> None:
        """See `driver.Consumer.close`."""
        with self._broker.lock:
            self._group.leave(self._member_id)
        self._positions.clear()
        for partition in list(self._stalled):
            self._report_stalled(partition, has_leader=True)
