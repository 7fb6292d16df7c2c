"""Datagrams come in; the lines in them go out as records that nobody can ask for again."""

from __future__ import annotations

import select
import socket
import time
from collections import deque

import structlog

from elworkers.contracts import Positions, Record
from elworkers.errors import RetryableError

_LARGEST_DATAGRAM = 65_535

log = structlog.get_logger(__name__)


class UdpSource:
    """A bound UDP socket; implements `contracts.Source`.

    Args:
        host: IPv4 or IPv6 address or name to bind to.
        port: UDP port; 0 for a free one (see `address`).
        receive_buffer: bytes asked for as SO_RCVBUF.

    Raises:
        RetryableError: the address cannot be bound, for example because another process still has it.
    """

    exhausted = False
    replayable = False
    flush_wanted = False

    def __init__(self, host: str, port: int, *, receive_buffer: int) -> None:
        self._lines: deque[Record] = deque()
        try:
            family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
            self._socket = socket.socket(family, kind)
        except OSError as error:
            raise RetryableError(f"udp://{host}:{port}: {error.strerror or error}") from error
        try:
            self._socket.setblocking(False)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            self._socket.bind(address)
        except OSError as error:
            self._socket.close()
            raise RetryableError(f"udp://{host}:{port}: cannot be bound: {error.strerror}") from error
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
        """See `contracts.Source.poll`. A datagram may hold several lines; empty ones are passed over."""
        if not self._lines:
            select.select([self._socket], [], [], timeout_s)
        while len(self._lines) < limit:
            try:
                datagram = self._socket.recv(_LARGEST_DATAGRAM)
            except BlockingIOError:
                break
            except OSError as error:
                raise RetryableError(f"UDP socket: {error.strerror}") from error
            now_ms = int(time.time() * 1000)
            for line in datagram.split(b"\n"):
                if line.strip():
                    self._lines.append(Record(line.rstrip(b"\r"), timestamp_ms=now_ms))
        return [self._lines.popleft() for _ in range(min(limit, len(self._lines)))]

    def commit(self, positions: Positions) -> None:
        """Nothing: what was received cannot be asked for again."""

    def close(self) -> None:
        """Let go of the address."""
        self._socket.close()
