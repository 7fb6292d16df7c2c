# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Assigns a topic's partitions to the members of a consumer group, and keeps its committed offsets."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from elworkers.core.contracts import TopicPartition


class Committed(NamedTuple):
    """A group's offset in a partition, and the id of the topic that it is of."""

    offset: int
    topic_id: str


class GroupMember(NamedTuple):
    """A member by its group and id."""

    group: str
    member_id: int


@dataclass
class Member:
    """A member: its topic and partitions, its last heartbeat and its session timeout (both in seconds)."""

    topic: str
    partitions: Sequence[TopicPartition]
    heartbeat_s: float
    session_s: float
    held: set[TopicPartition] = field(default_factory=set)


@dataclass
class Group:
    """A consumer group. A partition moves only when its member revokes it, or its session has expired.

    Attributes:
        members: by id, in the order in which they have joined.
        offsets: what was committed.
    """

    members: dict[int, Member] = field(default_factory=dict)
    offsets: dict[TopicPartition, Committed] = field(default_factory=dict)
    _count: int = 0

    def join(self, member: Member) -> int:
        """Add a member; returns its id."""
        self._count += 1
        self.members[self._count] = member
        return self._count

    def leave(self, member_id: int) -> None:
        """Remove a member, with all partitions that it holds."""
        self.members.pop(member_id, None)

    def expire_members(self, now_s: float) -> None:
        """Remove members whose session has expired."""
        for member_id, member in list(self.members.items()):
            if now_s - member.heartbeat_s > member.session_s:
                self.leave(member_id)

    def assigned(self, member_id: int) -> set[TopicPartition]:
        """Return the partitions that a member should have: a range of its topic's, by the order of joining."""
        member = self.members[member_id]
        peers = [one for one, other in self.members.items() if other.topic == member.topic]
        size, more = divmod(len(member.partitions), len(peers))
        at = peers.index(member_id)
        begin = at * size + min(at, more)
        return set(member.partitions[begin : begin + size + (at < more)])

    def unheld(self, wanted: Collection[TopicPartition]) -> set[TopicPartition]:
        """Return those partitions that no member holds."""
        held = {partition for member in self.members.values() for partition in member.held}
        return set(wanted) - held
