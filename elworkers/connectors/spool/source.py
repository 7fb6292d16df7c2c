# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Reads a listener's lines from its spool, in order.

Where the disk takes nothing and nothing waits there, they go straight to the output.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

import structlog

from elworkers.connectors.spool.listener import Arrival, Listener, Room
from elworkers.connectors.spool.memory_queue import MemoryQueue
from elworkers.connectors.spool.spool import Spool
from elworkers.core.contracts import Assignment, Metrics, Positions, Record
from elworkers.core.errors import ElworkersError, RetryableError

_ORIGIN = Assignment("spool", 0)
_REPORT_AGAIN_AFTER_S = 60.0
_UNDER_WAY_BYTES = 1024 * 1024
"""Bytes of lines on disk that are not waiting but on their way to the output."""

log = structlog.get_logger(__name__)


class SpooledSource:
    """A listener whose lines go onto disk before anybody else sees them.

    Implements `contracts.Source`, `contracts.FlushCaller` and `listener.LineKeeper`.

    What was not committed is read again after a restart.

    Args:
        listener: this source's own from now on.
        spool: the disk, likewise.
        metrics: counts `spool_dropped`, `spool_refused` and `spool_passed_over`; is told while the disk takes nothing.
        draw: draws this many sequence numbers and returns the first; a line's number and a tab then stand before it on
            disk, so that it keeps its number when it is read again. None: lines are not numbered.
    """

    exhausted = False
    replayable = False
    durable = True
    idle = False

    def __init__(
        self, listener: Listener, spool: Spool, metrics: Metrics, draw: Callable[[int], int] | None = None
    ) -> None:
        self._listener = listener
        self._spool = spool
        self._straight = MemoryQueue()
        self._metrics = metrics
        self._draw = draw
        self._arrived = threading.Event()
        self._failure: ElworkersError | None = None
        self._flush: Callable[[], None] | None = None
        self._reason, self._shown = "", ""
        self._dropped = self._rejected = self._passed_over = 0
        self._counted = (0, 0, 0)
        self._reported_at = self._shown_at = float("-inf")
        if spool.waiting_bytes:
            log.info("lines are waiting in the spool", code="spool_backlog", bytes=spool.waiting_bytes)
        listener.open(self, self._fail)

    def flush_by(self, flush: Callable[[], None]) -> None:
        """See `capabilities.FlushCaller.flush_by`; it is called where a client waits for it."""
        self._flush = flush

    def _fail(self, error: ElworkersError) -> None:
        self._failure = error
        self._arrived.set()

    def keep(self, arrivals: Sequence[Arrival]) -> None:
        """See `listener.LineKeeper.keep`."""
        given = [(one, self._numbered(one.lines)) for one in arrivals]
        counts = self._spooled(given)
        for (arrival, lines), count in zip(given, counts, strict=True):
            rest = lines[count:]
            if not rest:
                self._acknowledge(arrival, kept=True)
                continue
            passed = self._straight.put(arrival, rest) if self._goes_straight() else 0
            self._passed_over += passed
            if passed < len(rest):
                self._without_room(arrival, len(rest) - passed)
        self._arrived.set()

    def _numbered(self, lines: Sequence[bytes]) -> Sequence[bytes]:
        if self._draw is None or not lines:
            return lines
        return [b"%d\t%b" % one for one in enumerate(lines, self._draw(len(lines)))]

    def _spooled(self, given: Sequence[tuple[Arrival, Sequence[bytes]]]) -> list[int]:
        """Return how many lines of each arrival are on disk."""
        groups = [(lines, arrival.arrived_ms, arrival.acknowledge is not None) for arrival, lines in given]
        try:
            counts = self._spool.append_all(groups)
        except RetryableError as error:
            self._reason = str(error)
            if len(groups) > 1:
                # There may be room for some of them.
                return [count for one in given for count in self._spooled([one])]
            return [0]
        if all(count == len(lines) for count, (lines, _, _) in zip(counts, groups, strict=True)):
            self._reason = ""
        else:
            self._reason = f"spool {self._spool.folder}: --spool-max-bytes={self._spool.max_bytes} are used"
        return counts

    def _goes_straight(self) -> bool:
        waiting = self._spool.waiting_bytes
        return waiting <= min(_UNDER_WAY_BYTES, self._spool.max_bytes // 2)

    def _without_room(self, arrival: Arrival, count: int) -> None:
        if arrival.acknowledge is None:
            self._dropped += count
        else:
            self._rejected += count
        self._acknowledge(arrival, kept=False)
        if time.monotonic() - self._reported_at > _REPORT_AGAIN_AFTER_S:
            self._reported_at = time.monotonic()
            so_far, waiting = self._dropped + self._rejected, self._spool.waiting_bytes
            if arrival.acknowledge is None:
                log.error(
                    "lines dropped", code="spool_lines_dropped", reason=self._reason, so_far=so_far, waiting=waiting
                )
            else:
                log.error(
                    "events refused; their clients are told to come again",
                    code="spool_events_refused",
                    reason=self._reason,
                    so_far=so_far,
                    waiting=waiting,
                )

    @staticmethod
    def _acknowledge(arrival: Arrival, *, kept: bool) -> None:
        if arrival.acknowledge is not None:
            arrival.acknowledge(kept)

    def room(self, size: int) -> Room:
        """See `listener.LineKeeper.room`."""
        waiting, most = self._spool.waiting_bytes, self._spool.max_bytes
        reason = f"--spool-max-bytes={most} are nearly used"
        if waiting + size <= most:
            try:
                self._spool.probe()
            except RetryableError as error:
                reason = str(error)
            else:
                return Room("ok", waiting, most)
        if not self._goes_straight():
            return Room("full", waiting, most, reason)
        if not self._straight.works():
            return Room("full", waiting, most, f"{reason}; the output is away")
        if not self._straight.has_room(size):
            return Room("full", waiting, most, f"{reason}; too much waits for the output")
        return Room("straight", waiting, most, reason)

    def poll(self, limit: int, timeout_s: float) -> list[Record]:
        """See `contracts.Source.poll`."""
        if self._straight.under_way and self._flush is not None:
            self._flush()
        deadline = time.monotonic() + timeout_s
        while True:
            self._arrived.clear()
            records = [
                Record(line, origin=_ORIGIN, offset=end - 1, timestamp_ms=arrived_ms)
                for line, arrived_ms, end in self._spool.read(limit)
            ]
            records += self._straight.take(limit - len(records))
            left_s = deadline - time.monotonic()
            if records or left_s <= 0 or self._failure is not None:
                break
            self._arrived.wait(left_s)
        if self._failure is not None and not records:
            raise self._failure
        self._report()
        return records

    def _report(self) -> None:
        dropped, rejected, passed_over = self._counted
        self._counted = self._dropped, self._rejected, self._passed_over
        if self._counted != (dropped, rejected, passed_over):
            self._metrics.count("spool_dropped", self._counted[0] - dropped)
            self._metrics.count("spool_refused", self._counted[1] - rejected)
            self._metrics.count("spool_passed_over", self._counted[2] - passed_over)
        reason = self._reason
        if reason != self._shown:
            what = f"spool {self._spool.folder}"
            if reason:
                self._metrics.set_aside(what, f"{reason}; lines go straight to the output while nothing waits")
            else:
                self._metrics.resumed(what)
            if time.monotonic() - self._shown_at > _REPORT_AGAIN_AFTER_S:
                # A disk with little room takes a line now and then.
                self._shown_at = time.monotonic()
                if reason:
                    log.warning("the spool is passed over", code="spool_bypassed", reason=reason)
                else:
                    log.warning("the spool takes lines again", code="spool_resumed", reason=reason)
            self._shown = reason

    def commit(self, positions: Positions) -> None:
        """See `contracts.Source.commit`."""
        if _ORIGIN in positions:
            self._spool.done(positions[_ORIGIN])
        self._straight.acknowledged()

    def close(self) -> None:
        """Spool what the listener still holds, and close both."""
        self._straight.close()
        self._listener.close()
        self._spool.close()
        self._report()
