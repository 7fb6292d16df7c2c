# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""A listener of datagrams that never end."""

from __future__ import annotations

import socket
import threading
from collections.abc import Sequence

from waiting import wait_for

from elworkers.connectors.spool.listener import Arrival
from elworkers.connectors.udp.listener import UdpListener
from elworkers.connectors.udp.source import UdpSource
from elworkers.core.metrics import Counters


class Echo:
    """Sends another datagram for each that it is given: the socket is never empty. Implements `listener.LineKeeper`."""

    def __init__(self, place: tuple[str, int]) -> None:
        self.place = place
        self.kept = 0
        self.client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def keep(self, arrivals: Sequence[Arrival]) -> None:
        """See `listener.LineKeeper.keep`."""
        self.kept += sum(len(one.lines) for one in arrivals)
        self.send()

    def send(self) -> None:
        self.client.sendto(b"one", self.place)


def test_a_flood_does_not_keep_a_listener_from_closing() -> None:
    udp = UdpSource("127.0.0.1", 0, receive_buffer=100_000, metrics=Counters())
    listener, keeper = UdpListener(udp), Echo(udp.address)
    listener.open(keeper, lambda _: None)
    keeper.send()
    wait_for(lambda: keeper.kept > 10, 10.0, "datagrams")
    closing = threading.Thread(target=listener.close, daemon=True)
    closing.start()
    closing.join(10.0)
    keeper.client.close()
    assert not closing.is_alive()
