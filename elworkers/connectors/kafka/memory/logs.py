# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Keeps the messages of topics in memory, also those of transactions."""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import uuid4

from elworkers.connectors.kafka.driver import RawMessage


@dataclass
class Log:
    """The messages of a partition.

    Attributes:
        messages: in order; offsets may have holes.
        begin: the earliest offset.
        end: the offset that the next message gets.
        has_leader: whether it has a leader.
        open: number of each open transaction that has written here → the offsets of its messages.
        aborted: offsets of messages whose transactions were aborted.
    """

    messages: list[RawMessage] = field(default_factory=list)
    begin: int = 0
    end: int = 0
    has_leader: bool = True
    open: dict[int, list[int]] = field(default_factory=dict)
    aborted: set[int] = field(default_factory=set)

    @property
    def stable_end(self) -> int:
        """The end, or where the oldest open transaction begins."""
        return min((offsets[0] for offsets in self.open.values()), default=self.end)

    def readable_end(self, *, uncommitted: bool) -> int:
        """Return how far it can be read."""
        return self.end if uncommitted else self.stable_end

    def append(self, timestamp_ms: int, key: bytes | None, value: bytes | None, transaction: int | None = None) -> None:
        """Store a message, which may be of a transaction."""
        if transaction is not None:
            self.open.setdefault(transaction, []).append(self.end)
        self.messages.append((self.end, timestamp_ms, key, value))
        self.end += 1

    def end_transaction(self, number: int, *, commit: bool) -> None:
        """Store the marker of a transaction's end, if it has written here."""
        offsets = self.open.pop(number, None)
        if offsets is not None:
            self.aborted.update(() if commit else offsets)
            self.end += 1

    def read(self, begin: int, limit: int, *, uncommitted: bool = False) -> list[RawMessage]:
        """Return up to `limit` messages from an offset on; of transactions only committed ones, unless asked for."""
        end = self.readable_end(uncommitted=uncommitted)
        hidden = () if uncommitted else self.aborted
        return [one for one in self.messages if begin <= one[0] < end and one[0] not in hidden][:limit]


@dataclass
class Topic:
    """A topic: its partitions, Kafka's id of it, and the schema that has it, where one does."""

    logs: list[Log]
    replication: int
    topic_id: str = field(default_factory=lambda: uuid4().hex)
    owner: str | None = None
