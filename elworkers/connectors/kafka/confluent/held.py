# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Keeps what a member knows of the partitions that it holds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from elworkers.connectors.kafka.driver import RawMessage

_NONE = -1


class Held:
    """A partition that the listener was told of.

    Args:
        start: where it begins.
        committed: what the group has committed; -1: nothing.

    Attributes:
        next: the offset behind the last message that was handed on; where to go on.
        end: where the partition was found to end behind `next`; -1: not so. Between them are only markers and messages
            of aborted transactions.
        committed: see above.
    """

    __slots__ = ("committed", "end", "next")

    def __init__(self, start: int, committed: int) -> None:
        self.next = start
        self.end = _NONE
        self.committed = committed

    def past_markers(self, offset: int) -> int:
        """Return what to commit for an offset: behind markers, if nothing else is behind it."""
        return self.end if offset == self.next and self.end > offset else offset

    @property
    def markers_to_commit(self) -> bool:
        """Whether all messages were committed, and markers are behind them."""
        return self.end > self.next == self.committed


def by_partition(messages: Iterable[Any], held: dict[int, Held]) -> tuple[dict[int, list[RawMessage]], list[Any]]:
    """Return the messages of held partitions by their numbers, and what are errors instead.

    Messages before a partition's position are passed over: they were fetched before it was given anew.

    Args:
        messages: librdkafka's.
        held: by number; their positions are moved.
    """
    taken: dict[int, list[RawMessage]] = {}
    errors: list[Any] = []
    current = _NONE
    partition: Held | None = None
    found: list[RawMessage] = []
    for message in messages:
        if message.error() is not None:
            errors.append(message)
            continue
        number = message.partition()
        if number != current:
            current = number
            partition = held.get(number)
            if partition is not None:
                found = taken.setdefault(number, [])
        if partition is None:
            continue
        offset = message.offset()
        if offset < partition.next:
            continue
        kind, timestamp_ms = message.timestamp()
        found.append((offset, timestamp_ms if kind else -1, message.key(), message.value()))
        partition.next = offset + 1
    return {number: some for number, some in taken.items() if some}, errors
