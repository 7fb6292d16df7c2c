# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Holds lines in memory where no disk takes them; their senders wait until the output has them."""

from __future__ import annotations

import threading
import time
from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from itertools import accumulate

import structlog

from elworkers.connectors.spool.listener import Arrival
from elworkers.core.contracts import Record

_MOST_BYTES = 4 * 1024 * 1024
_AWAY_AFTER_S = 5.0

log = structlog.get_logger(__name__)


class MemoryQueue:
    """A queue in memory, which one thread fills and another empties."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._queue: deque[tuple[Arrival, Sequence[bytes], int]] = deque()
        self._under_way: list[tuple[Arrival, Sequence[bytes], int]] = []
        self._bytes = 0
        self._asked_at = time.monotonic()
        self._closed = False

    def works(self) -> bool:
        """Return whether the output seems to work: somebody asks for lines."""
        return not self._closed and time.monotonic() - self._asked_at < _AWAY_AFTER_S

    def has_room(self, size: int) -> bool:
        """Return whether this many more bytes may wait."""
        return self._bytes + size <= _MOST_BYTES

    def put(self, arrival: Arrival, lines: Sequence[bytes]) -> int:
        """Take lines of an arrival; return how many were taken.

        Those whose client waits for an answer are taken together, and only while the output is there.
        """
        with self._lock:
            if self._closed:
                return 0
            if arrival.acknowledge is None:
                left = _MOST_BYTES - self._bytes
                lines = lines[: bisect_right(list(accumulate(map(len, lines))), left)]
            size = sum(map(len, lines))
            if not lines or not self.has_room(size) or (arrival.acknowledge is not None and not self.works()):
                return 0
            self._queue.append((arrival, lines, size))
            self._bytes += size
            return len(lines)

    def take(self, limit: int) -> list[Record]:
        """Return up to about `limit` lines: what came together stays together."""
        self._asked_at = time.monotonic()
        found: list[Record] = []
        while self._queue and len(found) < limit:
            with self._lock:
                one = arrival, lines, size = self._queue.popleft()
                if arrival.withdrawn:
                    self._bytes -= size
                    continue
            self._under_way.append(one)
            found += [Record(line, timestamp_ms=arrival.arrived_ms) for line in lines]
        return found

    @property
    def under_way(self) -> bool:
        """Whether the output has been given lines that it has not acknowledged."""
        return bool(self._under_way)

    def acknowledged(self) -> None:
        """Note that everything that was taken is stored."""
        acknowledged, self._under_way = self._under_way, []
        for arrival, _, size in acknowledged:
            with self._lock:
                self._bytes -= size
            if arrival.acknowledge is not None:
                arrival.acknowledge(True)

    def close(self) -> None:
        """Tell those who wait that their lines are not kept, and log how many lines are lost."""
        with self._lock:
            self._closed = True
            left = [*self._under_way, *self._queue]
            self._queue.clear()
        lost = 0
        for arrival, lines, _ in left:
            if arrival.acknowledge is None:
                lost += len(lines)
            else:
                arrival.acknowledge(False)
        if lost:
            log.error("stopped before these could be written; they are lost", code="records_lost_at_stop", records=lost)
