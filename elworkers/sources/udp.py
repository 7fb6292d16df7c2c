"""Datagrams come in; the lines in them go out as records that nobody can ask for again."""

from __future__ import annotations

import select
import socket
import struct
import time
from collections import deque

import structlog

from elworkers.contracts import Metrics, Positions, Record
from elworkers.errors import RetryableError
from elworkers.sockets import bound, place

_LARGEST_DATAGRAM = 65_535
_LOOK_AT_DROPS_S = 1.0
_SO_MEMINFO = 55
_MEMINFO, _DROPS = struct.Struct("=9I"), 8
"""What Linux says of a socket's memory, SK_MEMINFO_DROPS last (linux/sock_diag.h)."""

log = structlog.get_logger(__name__)


class UdpSource:
    """A bound UDP socket; implements `contracts.Source`.

    A datagram may hold several lines, as MediaWiki's do; LF and CRLF end a line, blank ones are passed over.
    Bound to `::` it takes IPv4 as well.

    Args:
        host: IPv4 or IPv6 address (without brackets) or name to bind to.
        port: UDP port; 0 for a free one (see `address`).
        receive_buffer: bytes asked for as SO_RCVBUF; a smaller granted size is logged.
        metrics: counts `udp_kernel_drops`.

    Raises:
        RetryableError: the address cannot be bound, for example because another process still has it.
    """

    exhausted = False
    replayable = False
    durable = False
    flush_wanted = False
    idle = False

    def __init__(self, host: str, port: int, *, receive_buffer: int, metrics: Metrics) -> None:
        self._metrics = metrics
        self._drops, self._look_at = 0, 0.0
        self._place = place("udp", host, port)
        self._lines: deque[Record] = deque()
        # Without SO_REUSEADDR on purpose: for UDP it lets a second process take the datagrams away unnoticed.
        self._socket = bound("udp", host, port, socket.SOCK_DGRAM, SO_RCVBUF=receive_buffer)
        self._readable = select.poll()
        self._readable.register(self._socket, select.POLLIN)
        # Linux grants twice of what it lets one have, for its own bookkeeping (socket(7)).
        granted = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2
        if granted < receive_buffer:
            log.warning(
                "receive buffer is smaller than asked for",
                asked=receive_buffer,
                granted=granted,
                way_out="raise the sysctl net.core.rmem_max",
            )

    @property
    def address(self) -> tuple[str, int]:
        """Host and port that are bound."""
        name = self._socket.getsockname()
        return name[0], name[1]

    def poll(self, limit: int, timeout_s: float) -> list[Record]:
        """See `contracts.Source.poll`."""
        deadline = time.monotonic() + timeout_s
        while not self._lines:
            left_s = max(0.0, deadline - time.monotonic())
            if not self._readable.poll(left_s * 1000):
                break
            self._receive(limit)
            if not left_s:
                break
        if self._lines:
            self._receive(limit)
        if time.monotonic() > self._look_at:
            self._count_drops()
        return [self._lines.popleft() for _ in range(min(limit, len(self._lines)))]

    def _receive(self, limit: int) -> None:
        while len(self._lines) < limit:
            try:
                datagram = self._socket.recv(_LARGEST_DATAGRAM)
            except BlockingIOError:
                return
            except OSError as error:
                raise RetryableError(f"{self._place}: {error.strerror}") from error
            now_ms = int(time.time() * 1000)
            for line in datagram.split(b"\n"):
                if line.strip():
                    self._lines.append(Record(line.removesuffix(b"\r"), timestamp_ms=now_ms))

    def _count_drops(self) -> None:
        self._look_at = time.monotonic() + _LOOK_AT_DROPS_S
        drops = _MEMINFO.unpack(self._socket.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size))[_DROPS]
        if drops > self._drops:
            self._metrics.count("udp_kernel_drops", drops - self._drops)
            log.warning("datagrams dropped by the kernel", drops=drops - self._drops, place=self._place)
        self._drops = drops

    def commit(self, positions: Positions) -> None:
        """Nothing: what was received cannot be asked for again."""

    def close(self) -> None:
        """Let go of the address."""
        self._socket.close()
