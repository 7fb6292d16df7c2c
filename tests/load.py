# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""A steady load on an HTTP address, and what became of it. Imports nothing of elworkers."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from types import TracebackType

EVERY_S = 1 / 150


class Load:
    """Sends numbers, 150 a second, on a thread of its own, until the end of the block.

    Attributes:
        sent: how many numbers were sent, counted from 0.
        troubles: what went wrong with a request.
    """

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self.place = (host, port)
        self.sent = 0
        self.troubles: list[str] = []
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        due = time.monotonic()
        while not self._stopped.is_set():
            self.send(self.sent)
            self.sent += 1
            due += EVERY_S
            self._stopped.wait(max(0.0, due - time.monotonic()))

    def send(self, number: int) -> None:
        """Send one number."""
        raise NotImplementedError


class Datagrams(Load):
    """Each number a datagram."""

    def send(self, number: int) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.sendto(self.line(number), self.place)

    def line(self, number: int) -> bytes:
        """What stands in the datagram."""
        return b"?%d." % number


class Requests(Load):
    """Each number a request, on a connection of its own unless it is to be kept."""

    def __init__(self, port: int, *, kept: bool = False) -> None:
        super().__init__(port)
        self._kept = kept
        self._connection: http.client.HTTPConnection | None = None

    def send(self, number: int) -> None:
        connection = self._connection or http.client.HTTPConnection(*self.place, timeout=20)
        try:
            connection.request("GET", f"/beacon/event?{number}.")
            reply = connection.getresponse()
            reply.read()
            if reply.status != 204:
                self.troubles.append(f"{number}: {reply.status}")
        except (OSError, http.client.HTTPException) as error:
            self.troubles.append(f"{number}: {error!r}")
            reply = None
        if reply is None or not self._kept or reply.will_close:
            connection.close()
            self._connection = None
        else:
            self._connection = connection
