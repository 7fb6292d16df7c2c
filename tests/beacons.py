# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""HTTP listeners on free ports for tests, with what they handed over."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Sequence
from pathlib import Path

from elworkers.connectors.http.limits import Limits
from elworkers.connectors.http.listener import HttpListener
from elworkers.connectors.http.request_handler import HandlerConfig
from elworkers.connectors.spool.listener import Arrival, Room
from elworkers.connectors.spool.raw_lines import RawLines
from elworkers.connectors.spool.sequence import Sequence as Numbers
from elworkers.core.errors import RetryableError

DEADLINE_S = 30.0


class RunningListener:
    """A listener on a free port, and what it has handed over."""

    def __init__(self, folder: Path, limits: Limits | None = None, host: str = "127.0.0.1", **answers: object) -> None:
        self.lines: list[bytes] = []
        self.full = False
        self.held = threading.Event()
        self.held.set()
        self.at_work = threading.Event()
        self.failures: list[RetryableError] = []
        given = {
            "path": "/beacon/event",
            "lines": RawLines("host", Numbers(folder / "sequence")),
            "limits": limits or Limits(),
            "client_address": False,
            "trusted": (),
            "files": None,
        }
        self.listener = HttpListener((host, 0), HandlerConfig(**(given | answers)))  # type: ignore[arg-type]
        self.port = self.listener.address[1]
        self.listener.open(self, self.failures.append)

    def keep(self, arrivals: Sequence[Arrival]) -> None:
        self.at_work.set()
        assert self.held.wait(DEADLINE_S)
        for arrival in arrivals:
            if not self.full:
                self.lines += arrival.lines
            assert arrival.acknowledge is not None
            arrival.acknowledge(not self.full)

    def room(self, size: int) -> Room:
        assert self.held.wait(DEADLINE_S)
        return Room("full", 990_000, 1_000_000, "no space") if self.full else Room("ok", 0, 1_000_000)

    def ask(
        self, method: str, path: str, body: bytes | None = None, at: str = "127.0.0.1", **headers: str
    ) -> tuple[int, str, http.client.HTTPResponse]:
        """Status, text and reply."""
        connection = http.client.HTTPConnection(at, self.port, timeout=DEADLINE_S)
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        reply = connection.getresponse()
        text = reply.read().decode()
        connection.close()
        return reply.status, text, reply

    def raw(self, content: bytes) -> socket.socket:
        """A connection on which something was sent."""
        made = socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE_S)
        made.sendall(content)
        return made
