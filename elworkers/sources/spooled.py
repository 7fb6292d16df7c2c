"""Datagrams come in while nobody may want them; they wait on disk, and their lines go out in order."""

from __future__ import annotations

import threading
import time

import structlog

from elworkers.contracts import Metrics, Origin, Positions, Record
from elworkers.errors import RetryableError
from elworkers.sources.spool import Spool
from elworkers.sources.udp import UdpSource

_ORIGIN = Origin("spool", 0)
_RECEIVE, _RECEIVE_WITHIN_S = 1_000, 0.2
_SAY_AGAIN_AFTER_S = 60.0

log = structlog.get_logger(__name__)


class SpooledSource:
    """A UDP socket that is emptied by a thread of its own, onto disk; implements `contracts.Source`.

    A datagram cannot be asked for again, and the kernel's buffer holds a second or so of them; so everything is spooled
    before anybody else sees it. What was not committed is read again after a restart.

    Args:
        udp: the socket, which is this source's own from now on.
        spool: the disk, likewise.
        metrics: counts `spool_dropped`.
    """

    exhausted = False
    replayable = False
    durable = True
    flush_wanted = False
    idle = False

    def __init__(self, udp: UdpSource, spool: Spool, metrics: Metrics) -> None:
        self._udp = udp
        self._spool = spool
        self._metrics = metrics
        self._arrived = threading.Event()
        self._closed = threading.Event()
        self._failure: RetryableError | None = None
        self._dropped = 0
        self._counted = 0
        self._said_at = float("-inf")
        if spool.waiting_bytes:
            log.info("lines are waiting in the spool", bytes=spool.waiting_bytes)
        self._receiver = threading.Thread(target=self._receive, name="receiver", daemon=True)
        self._receiver.start()

    @property
    def address(self) -> tuple[str, int]:
        """Host and port that are bound."""
        return self._udp.address

    def _receive(self) -> None:
        while not self._closed.is_set():
            try:
                records = self._udp.poll(_RECEIVE, _RECEIVE_WITHIN_S)
            except RetryableError as error:
                self._failure = error
                self._arrived.set()
                return
            self._keep(records)

    def _keep(self, records: list[Record]) -> None:
        if not records:
            return
        lines = [record.value for record in records]
        try:
            taken = self._spool.append(lines, records[0].timestamp_ms)
            reason = "the spool is full"
        except RetryableError as error:
            taken, reason = 0, str(error)
        self._arrived.set()
        if taken < len(lines):
            self._dropped += len(lines) - taken
            if time.monotonic() - self._said_at > _SAY_AGAIN_AFTER_S:
                self._said_at = time.monotonic()
                log.error("lines dropped", reason=reason, so_far=self._dropped, waiting=self._spool.waiting_bytes)

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
        """Spool what the socket still holds, and let go of both."""
        self._closed.set()
        self._receiver.join()
        if self._failure is None:
            self._last_datagrams()
        self._udp.close()
        self._spool.close()

    def _last_datagrams(self) -> None:
        try:
            while records := self._udp.poll(_RECEIVE, 0.0):
                self._keep(records)
        except RetryableError as error:
            log.warning("the socket could not be emptied", reason=str(error))
