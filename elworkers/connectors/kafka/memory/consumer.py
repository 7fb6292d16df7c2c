# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""A member of a group of the memory's Kafka; every move of partitions happens in its own polls."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from elworkers.config.topic_plan import TopicPlan
from elworkers.connectors.kafka.driver import AssignmentListener, OutageError, RawMessage
from elworkers.connectors.kafka.leaderless import NO_LEADER
from elworkers.connectors.kafka.memory.broker import MemoryBroker
from elworkers.connectors.kafka.memory.group import Committed, Group, Member
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
        self._next: dict[TopicPartition, int] = {}
        self._standing: set[TopicPartition] = set()
        plan = plan or TopicPlan(None, hosts, (options["partitions"], options["replication"]))
        how = plan.of([self._topic_name])[self._topic_name]
        with broker.operation("join"):
            topic = broker.ensure(self._topic_name, *how[:2])
            metrics.remark(f"topic {self._topic_name}", how.differs(len(topic.logs), topic.replication))
            self.topic_id = topic.topic_id
            self._places = broker.places(self._topic_name)
            self._looked_s = broker.clock.now_s()
            self._member_id = self._joined()

    @property
    def _group(self) -> Group:
        return self._broker.groups[self._group_name]

    def _joined(self) -> int:
        now_s = self._broker.clock.now_s()
        return self._group.join(Member(self._topic_name, self._places, now_s, self._session_s))

    def assigned(self) -> list[TopicPartition]:
        """See `driver.Consumer.assigned`."""
        return sorted(self._next)

    def poll(self, limit: int, timeout_s: float) -> Sequence[tuple[TopicPartition, list[RawMessage]]]:
        """See `driver.Consumer.poll`; an empty one lets its timeout pass on the broker's clock."""
        left_s = timeout_s
        while True:
            with self._broker.operation("poll"):
                self._look_again()
                leaving, is_lost = self._leaving()
            if leaving:
                self._let_go(leaving, lost=is_lost)
                return []
            with self._broker.operation("poll"):
                self._take_more()
                found = self._fetched(limit)
            if found or left_s <= 0:
                return found
            self._broker.clock.advance(min(left_s, _PAUSE_S))
            left_s -= _PAUSE_S
            # Other threads may have something to do.
            time.sleep(0)

    def _look_again(self) -> None:
        topic = self._broker.topics.get(self._topic_name)
        if topic is None or topic.topic_id != self.topic_id:
            raise OutageError(f"Kafka: topic {self._topic_name} was deleted while it was read")
        now_s = self._broker.clock.now_s()
        if now_s - self._looked_s < self._max_age_s:
            return
        self._looked_s = now_s
        if len(topic.logs) > len(self._places):
            raise OutageError(f"topic {self._topic_name} has {len(topic.logs)} partitions now; joining the group anew")

    def _leaving(self) -> tuple[set[TopicPartition], bool]:
        """Return what this member has to let go of, and whether it has lost it already."""
        group, now_s = self._group, self._broker.clock.now_s()
        member = group.members.get(self._member_id)
        if member is not None:
            member.heard_s = now_s
        group.give_up_silent(now_s)
        if member is not None:
            return member.held - group.share(self._member_id), False
        self._member_id = self._joined()
        return set(self._next), True

    def _let_go(self, leaving: set[TopicPartition], *, lost: bool) -> None:
        self._listener.revoked(sorted(leaving), lost=lost)
        with self._broker.lock:
            member = self._group.members.get(self._member_id)
            if member is not None:
                member.held -= leaving
            for place in leaving:
                self._next.pop(place, None)

    def _take_more(self) -> None:
        group = self._group
        member = group.members[self._member_id]
        new = group.free(group.share(self._member_id) - member.held)
        if not new:
            return
        starts = self._starts(new)
        moved = self._listener.assigned(starts)
        member.held |= new
        self._next |= {**starts, **moved}
        if moved:
            self._store(moved)

    def _starts(self, new: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        everything = self._broker.committed(self._group_name, self._places)
        begun: dict[TopicPartition, int] = {}
        for place in new:
            if place not in everything:
                log = self._broker.log(place)
                # One that was added is read from its beginning.
                begun[place] = log.end if self._begins_at_latest and not everything else log.begin
        self._store(begun)
        return {place: begun.get(place, everything.get(place, 0)) for place in sorted(new)}

    def _fetched(self, limit: int) -> list[tuple[TopicPartition, list[RawMessage]]]:
        found: list[tuple[TopicPartition, list[RawMessage]]] = []
        for place in self.assigned():
            log = self._broker.log(place)
            self._tell_standing(place, log.led)
            if not log.led:
                continue
            position = self._next[place]
            if not log.begin <= position <= log.end:
                self._listener.gap(place, position, log.begin)
                position = self._next[place] = log.begin
            messages = log.read(position, limit)
            if messages:
                found.append((place, messages))
                self._next[place] = messages[-1][0] + 1
                limit -= len(messages)
            if limit <= 0:
                break
        return found

    def _tell_standing(self, place: TopicPartition, led: bool) -> None:
        what = f"topic {place.topic}[{place.partition}]"
        if not led and place not in self._standing:
            self._standing.add(place)
            self._metrics.set_aside(what, NO_LEADER)
        elif led and place in self._standing:
            self._standing.discard(place)
            self._metrics.resumed(what)

    def commit(self, positions: Mapping[TopicPartition, int]) -> dict[TopicPartition, bool]:
        """See `driver.Consumer.commit`."""
        with self._broker.operation("commit"):
            member = self._group.members.get(self._member_id)
            held = member.held if member is not None else set()
            mine = {place: offset for place, offset in positions.items() if place in held}
            self._store(mine)
        return {place: place in mine for place in positions}

    def _store(self, positions: Mapping[TopicPartition, int]) -> None:
        self._group.offsets |= {place: Committed(offset, self.topic_id) for place, offset in positions.items()}

    def close(self) -> None:
        """See `driver.Consumer.close`."""
        with self._broker.lock:
            self._group.leave(self._member_id)
        self._next.clear()
        for place in list(self._standing):
            self._tell_standing(place, led=True)
