# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Reads the lines of datagrams as records that cannot be read again."""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import time
from collections import deque
from collections.abc import Sequence

import structlog

from elworkers.core.contracts import Metrics, Positions, Record
from elworkers.core.errors import RetryableError
from elworkers.core.sockets import Address, bind_sockets

_LARGEST_DATAGRAM = 65_535
_CHECK_DROPS_EVERY_S = 1.0
_SO_MEMINFO = 55
_MEMINFO, _DROPS = struct.Struct("=9I"), 8
"""Linux's figures of a socket's memory, and the index of the drops among them (linux/sock_diag.h)."""

log = structlog.get_logger(__name__)


class UdpSource:
    """Bound UDP sockets; implements `contracts.Source`.

    A datagram may hold several lines, as MediaWiki's do; LF and CRLF end a line, blank ones are passed over.
    Bound to `::` it takes IPv4 as well, and to a name what is sent to any address of that name.

    Args:
        host: IPv4 or IPv6 address (without brackets) or name to bind to.
        port: UDP port; 0 for a free one (see `address`).
        receive_buffer: bytes asked for as SO_RCVBUF; a smaller granted size is logged.
        metrics: counts `udp_kernel_drops`.
        sockets: those that are bound already, which are this source's own from now on; none: it binds some.

    Attributes:
        address: host and port that are bound, the first of several.

    Raises:
        RetryableError: the address cannot be bound, for example because another process still has it.
    """

    exhausted = False
    replayable = False
    durable = False
    idle = False

    def __init__(
        self, host: str, port: int, *, receive_buffer: int, metrics: Metrics, sockets: Sequence[socket.socket] = ()
    ) -> None:
        self._metrics = metrics
        self._check_drops_at = 0.0
        address = Address("udp", host, port, receive_buffer)
        self._name = str(address)
        self._lines: deque[Record] = deque()
        self._sockets = list(sockets) or bind_sockets(address)
        name = self._sockets[0].getsockname()
        self.address: tuple[str, int] = (name[0], name[1])
        # What was dropped before is not this process's to count.
        self._drops = {sock: _drops(sock) for sock in self._sockets}
        self._readable = select.poll()
        for sock in self._sockets:
            self._readable.register(sock, select.POLLIN)
        # Linux grants twice of what it lets one have, for its own bookkeeping (socket(7)).
        granted = self._sockets[0].getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2
        if granted < receive_buffer:
            log.warning(
                "receive buffer is smaller than asked for",
                code="udp_receive_buffer_small",
                asked=receive_buffer,
                granted=granted,
                way_out="raise the sysctl net.core.rmem_max",
            )

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
        if time.monotonic() > self._check_drops_at:
            self._count_drops()
        return [self._lines.popleft() for _ in range(min(limit, len(self._lines)))]

    def _receive(self, limit: int) -> None:
        for sock in self._sockets:
            while len(self._lines) < limit and self._receive_from(sock):
                pass
        if len(self._sockets) > 1:
            # A busy one must not keep the others waiting.
            self._sockets.append(self._sockets.pop(0))

    def _receive_from(self, sock: socket.socket) -> bool:
        try:
            datagram = sock.recv(_LARGEST_DATAGRAM)
        except BlockingIOError:
            return False
        except OSError as error:
            raise RetryableError(f"{self._name}: {error.strerror}") from error
        now_ms = int(time.time() * 1000)
        for line in datagram.split(b"\n"):
            if line.strip():
                self._lines.append(Record(line.removesuffix(b"\r"), timestamp_ms=now_ms))
        return True

    def _count_drops(self) -> None:
        self._check_drops_at = time.monotonic() + _CHECK_DROPS_EVERY_S
        for sock, before in self._drops.items():
            drops = _drops(sock)
            if drops > before:
                self._metrics.count("udp_kernel_drops", drops - before)
                log.warning(
                    "datagrams dropped by the kernel",
                    code="udp_datagrams_dropped",
                    drops=drops - before,
                    place=self._name,
                )
            self._drops[sock] = drops

    def commit(self, positions: Positions) -> None:
        """Do nothing: datagrams cannot be read again."""

    def close(self) -> None:
        """Close the socket, and count what the kernel has dropped until now: nobody else does."""
        with contextlib.suppress(OSError):
            self._count_drops()
        for sock in self._sockets:
            sock.close()


def _drops(sock: socket.socket) -> int:
    """Return how many datagrams its buffer had no room for since it was made."""
    return int(_MEMINFO.unpack(sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size))[_DROPS])
