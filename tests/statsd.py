# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""A statsd that only adds up; imports nothing of elworkers."""

from __future__ import annotations

import re
import socket
from collections import Counter


class Statsd:
    """A UDP socket that adds up counters and keeps the last value of gauges."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.setblocking(False)
        self.port: int = self._socket.getsockname()[1]
        self.counters: Counter[str] = Counter()
        self.gauges: dict[str, int] = {}

    def read(self) -> Statsd:
        while True:
            try:
                datagram = self._socket.recv(65_535)
            except BlockingIOError:
                return self
            assert len(datagram) < 1_500
            for line in datagram.decode().splitlines():
                name, _, rest = line.partition(":")
                value, _, kind = rest.partition("|")
                if kind == "c":
                    self.counters[name] += int(value)
                else:
                    self.gauges[name] = int(value)


HOST = re.sub("[^A-Za-z0-9_-]", "_", socket.gethostname())
