# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Keeps what a member knows of the partitions that it holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from confluent_kafka import KafkaError

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


class Taken(NamedTuple):
    """What a poll has given.

    Attributes:
        messages: by the numbers of their partitions, which are held.
        errors: what came instead of messages.
        cut: partitions that have to be read again from their positions, because something behind an error was dropped.
    """

    messages: dict[int, list[RawMessage]]
    errors: list[Any]
    cut: set[int]


def by_partition(messages: Iterable[Any], held: Mapping[int, Held]) -> Taken:
    """Sort what a poll has given.

    Messages before a partition's position are passed over: they were fetched before it was given anew. So is what is
    behind an error of its partition, because the error stands for messages: librdkafka goes on behind a damaged batch.

    Args:
        messages: librdkafka's.
        held: by number; their positions are moved.
    """
    taken: dict[int, list[RawMessage]] = {}
    errors: list[Any] = []
    failed: set[int] = set()
    cut: set[int] = set()
    current = _NONE
    partition: Held | None = None
    found: list[RawMessage] = []
    for message in messages:
        error = message.error()
        if error is not None:
            number = message.partition()
            if number not in failed:
                errors.append(message)
            if error.code() != KafkaError._PARTITION_EOF and number in held:
                failed.add(number)
                current = _NONE
            continue
        number = message.partition()
        if number != current:
            current = number
            partition = held.get(number)
            if number in failed:
                cut.add(number)
                partition = None
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
    return Taken({number: some for number, some in taken.items() if some}, errors, cut)
