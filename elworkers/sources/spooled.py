"""Lines come through a door that cannot ask for them again; they wait on disk, and go out in order."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

import structlog

from elworkers.contracts import Metrics, Origin, Positions, Record
from elworkers.doors.door import Door
from elworkers.errors import ElworkersError, RetryableError
from elworkers.sources.spool import Spool

_ORIGIN = Origin("spool", 0)
_SAY_AGAIN_AFTER_S = 60.0

log = structlog.get_logger(__name__)


class SpooledSource:
    """A door whose lines go onto disk before anybody else sees them; implements `contracts.Source`.

    What was not committed is read again after a restart.

    Args:
        door: this source's own from now on.
        spool: the disk, likewise.
        metrics: counts `spool_dropped`.
        draw: takes so many sequence numbers and gives the first; a line's number and a tab then stand before it on
            disk, so that it keeps its number when it is read again. None: lines are not numbered.
    """

    exhausted = False
    replayable = False
    durable = True
    flush_wanted = False
    idle = False

    def __init__(self, door: Door, spool: Spool, metrics: Metrics, draw: Callable[[int], int] | None = None) -> None:
        self._door = door
        self._spool = spool
        self._metrics = metrics
        self._draw = draw
        self._arrived = threading.Event()
        self._failure: ElworkersError | None = None
        self._dropped = 0
        self._counted = 0
        self._said_at = float("-inf")
        if spool.waiting_bytes:
            log.info("lines are waiting in the spool", bytes=spool.waiting_bytes)
        door.open(self._keep, self._fail)

    def _fail(self, error: ElworkersError) -> None:
        self._failure = error
        self._arrived.set()

    def _keep(self, lines: Sequence[bytes], now_ms: int, together: bool) -> int:
        try:
            if self._draw is not None:
                lines = [b"%d\t%b" % one for one in enumerate(lines, self._draw(len(lines)))]
            taken = self._spool.append(lines, now_ms, together=together)
            reason = "the spool is full"
        except RetryableError as error:
            taken, reason = 0, str(error)
        self._arrived.set()
        if taken < len(lines):
            self._dropped += len(lines) - taken
            if time.monotonic() - self._said_at > _SAY_AGAIN_AFTER_S:
                self._said_at = time.monotonic()
                log.error("lines dropped", reason=reason, so_far=self._dropped, waiting=self._spool.waiting_bytes)
        return taken

    def poll(self, limit: int, timeout_s: float) -> list[Record]:
        """See `contracts.Source.poll`."""
        deadline = time.monotonic() + timeout_s
        while True:
            self._arrived.clear()
            spooled = self._spool.read(limit)
            left_s = deadline - time.monotonic()
            if spooled or left_s <= 0 or self._failure is not None:
                break
            self._arrived.wait(left_s)
        if self._failure is not None and not spooled:
            raise self._failure
        if self._dropped > self._counted:
            count, self._counted = self._dropped - self._counted, self._dropped
            self._metrics.count("spool_dropped", count)
        return [
            Record(line, origin=_ORIGIN, offset=end - 1, timestamp_ms=arrived_ms) for line, arrived_ms, end in spooled
        ]

    def commit(self, positions: Positions) -> None:
        """See `contracts.Source.commit`."""
        if _ORIGIN in positions:
            self._spool.done(positions[_ORIGIN])

    def close(self) -> None:
        """Spool what the door still holds, and let go of both."""
        self._door.close()
        self._spool.close()
