# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Buffers fetched messages, in order, until the loop takes them."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable
from typing import NamedTuple

from elworkers.connectors.kafka.driver import RawMessage

BUFFER_BYTES = 4 * 1024 * 1024
"""Buffered bytes beyond which nothing is fetched, so that memory grows neither with partitions nor with lines."""

TAKE_BYTES = 2 * 1024 * 1024
"""Bytes after which no further set is handed over at once, because what is made of them takes several times as many."""


class _Set(NamedTuple):
    partition: int
    messages: list[RawMessage]
    size: int


class FetchBuffer:
    """One queue for all partitions, so that a full one cannot keep the others waiting."""

    def __init__(self) -> None:
        self._sets: deque[_Set] = deque()
        self._changed = threading.Condition()
        self._bytes = 0
        self._counts: Counter[int] = Counter()

    def put(self, partition: int, messages: list[RawMessage], size: int) -> None:
        """Add a set that took so many bytes."""
        with self._changed:
            self._sets.append(_Set(partition, messages, size))
            self._bytes += size
            self._counts[partition] += len(messages)
            self._changed.notify_all()

    def take(self, limit: int) -> list[tuple[int, list[RawMessage]]]:
        """Return sets with at most this many messages, each with its partition id; none beyond `TAKE_BYTES`."""
        taken: list[tuple[int, list[RawMessage]]] = []
        bytes_left = TAKE_BYTES
        with self._changed:
            while self._sets and limit > 0 and bytes_left > 0:
                partition, messages, size = self._sets.popleft()
                if len(messages) > limit:
                    rest = size * (len(messages) - limit) // len(messages)
                    self._sets.appendleft(_Set(partition, messages[limit:], rest))
                    messages, size = messages[:limit], size - rest
                taken.append((partition, messages))
                limit -= len(messages)
                bytes_left -= size
                self._bytes -= size
                self._counts[partition] -= len(messages)
            self._changed.notify_all()
        return taken

    def drop(self, partition: int) -> None:
        """Drop the messages of a partition."""
        with self._changed:
            self._bytes -= sum(entry.size for entry in self._sets if entry.partition == partition)
            self._sets = deque(entry for entry in self._sets if entry.partition != partition)
            del self._counts[partition]
            self._changed.notify_all()

    def has_room(self, partition: int, max_messages: int) -> bool:
        """Return whether there is room for more messages of a partition, in number and in bytes of all."""
        return self._bytes < BUFFER_BYTES and self._counts[partition] < max_messages

    def wait(self, condition: Callable[[], bool], timeout_s: float) -> None:
        """Wait until something has changed that makes the condition true."""
        with self._changed:
            self._changed.wait_for(condition, timeout_s)

    def wait_for_messages(self, timeout_s: float) -> None:
        """Wait until there is a set to take."""
        self.wait(lambda: bool(self._sets), timeout_s)
