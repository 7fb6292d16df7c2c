"""Counts and gauges come in as statsd's lines; datagrams go out."""

from __future__ import annotations

import socket
from collections.abc import Sequence

PREFIX = "eventlogging.{host}"
"""What names begin with; `{host}` is this host's name."""

_LINES_A_DATAGRAM = 15
"""Of some 60 bytes each, so that a datagram fits into one Ethernet frame."""


def plain(name: str) -> str:
    """A name as one level of statsd's names: a dot begins a new level there, and a colon ends them."""
    return "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in name)


def prefixed(prefix: str) -> str:
    """A prefix with this host's name in it."""
    return prefix.replace("{host}", plain(socket.gethostname()))


def send(host: str, port: int, lines: Sequence[str]) -> None:
    """Send lines such as `name:1|c`.

    Raises:
        OSError: the host is not known, or there is no way to it.
    """
    family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, kind) as udp:
        for begin in range(0, len(lines), _LINES_A_DATAGRAM):
            udp.sendto("\n".join(lines[begin : begin + _LINES_A_DATAGRAM]).encode(), address)
