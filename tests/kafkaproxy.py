# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""A proxy before a Kafka broker that keeps back requests which end transactions, and delivers them later.

Clients stay behind it, because in every answer it puts its own port for the broker's: the address stands there as text
with the port as four bytes behind it.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable
from typing import NamedTuple

END_TXN = 26
_HOST = b"127.0.0.1"
_SIZE = struct.Struct(">i")
_HEAD = struct.Struct(">hhih")
_CODE_AT = 8
"""Where the error code stands in an answer to EndTxn of version 0 or 1: behind correlation id and throttle time."""

Pick = Callable[["EndTxn"], bool]


class EndTxn(NamedTuple):
    """A request that ends a transaction."""

    transactional_id: str
    commit: bool


class KafkaProxy:
    """Takes connections for one broker.

    Args:
        broker: its `host:port`; the host is 127.0.0.1.

    Attributes:
        address: the proxy's own `host:port`.
        held: the requests that are kept back.
    """

    def __init__(self, broker: str) -> None:
        self._broker = ("127.0.0.1", int(broker.rpartition(":")[2]))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._port = self._listener.getsockname()[1]
        self.address = f"127.0.0.1:{self._port}"
        self.held: list[bytes] = []
        self._pick: Pick | None = None
        self._cuts = self._delivers = False
        self._count = 0
        self._open: list[socket.socket] = []
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def hold(self, pick: Pick, *, count: int = 1, cut: bool = False, deliver: bool = False) -> None:
        """Keep the next requests of a kind back.

        Args:
            pick: which.
            count: how many of them.
            cut: break the connection then; otherwise the client waits for an answer.
            deliver: the broker gets them all the same, and only the answers are kept back.
        """
        with self._lock:
            self._pick, self._count, self._cuts, self._delivers = pick, count, cut, deliver

    def release(self) -> list[int]:
        """Deliver what was kept back; gives the broker's error codes."""
        with self._lock:
            held, self.held = self.held, []
            self._count = 0
        return [self._deliver(request) for request in held]

    def _deliver(self, request: bytes) -> int:
        with socket.create_connection(self._broker, timeout=30) as connection:
            connection.sendall(request)
            stream = connection.makefile("rb")
            answer = stream.read(_SIZE.unpack(stream.read(_SIZE.size))[0])
            return int(struct.unpack_from(">h", answer, _CODE_AT)[0])

    def close(self) -> None:
        """Break all connections, and take no more."""
        for one in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                broker = socket.create_connection(self._broker)
                self._open += [client, broker]
                for pump in (self._requests, self._answers):
                    threading.Thread(target=self._run, args=(pump, client, broker), daemon=True).start()

    @staticmethod
    def _run(
        pump: Callable[[socket.socket, socket.socket], None], client: socket.socket, broker: socket.socket
    ) -> None:
        with contextlib.suppress(OSError, ValueError, struct.error):
            pump(client, broker)
        for one in (client, broker):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _requests(self, client: socket.socket, broker: socket.socket) -> None:
        stream = client.makefile("rb")
        while head := stream.read(_SIZE.size):
            frame = head + stream.read(_SIZE.unpack(head)[0])
            if not self._takes(frame):
                broker.sendall(frame)
            elif self._cuts:
                return

    def _takes(self, frame: bytes) -> bool:
        found = _end_txn(frame)
        with self._lock:
            if found is None or self._pick is None or not self._count or not self._pick(found):
                return False
            self._count -= 1
            if self._delivers:
                self._deliver(frame)
            else:
                self.held.append(frame)
            return True

    def _answers(self, client: socket.socket, broker: socket.socket) -> None:
        stream = broker.makefile("rb")
        old, new = (_HOST + _SIZE.pack(port) for port in (self._broker[1], self._port))
        while head := stream.read(_SIZE.size):
            client.sendall(head + stream.read(_SIZE.unpack(head)[0]).replace(old, new))


def _end_txn(frame: bytes) -> EndTxn | None:
    api, _, _, length = _HEAD.unpack_from(frame, _SIZE.size)
    if api != END_TXN:
        return None
    at = _SIZE.size + _HEAD.size + max(0, length)
    (size,) = struct.unpack_from(">h", frame, at)
    return EndTxn(frame[at + 2 : at + 2 + size].decode(), bool(frame[-1]))
