# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Sends counts and gauges to statsd."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator, Sequence

from elworkers.core.datagrams import Sender

PREFIX = "eventlogging.{host}"
"""What names begin with; `{host}` is this host's name."""

NAMES = {"host": PREFIX, "original": "eventlogging"}
"""What names begin with by `--statsd-names`; the original's have no host in them."""

LONGEST_LEVEL = 249
"""Characters of one level of a name: as long as the names of Kafka's topics can be."""

_DATAGRAM_BYTES = 1_432
"""Fits into one Ethernet frame, behind the headers of IPv6 and UDP; statsd's own advice."""

_UNKNOWN = re.compile(r"[^A-Za-z0-9_-]")


def plain(name: str) -> str:
    """Return a name as one level of a metric name: letters, digits, `_` and `-`, and limited in length.

    A dot begins a new level there, and a colon, a bar or a line end would end them.
    """
    return _UNKNOWN.sub("_", name[:LONGEST_LEVEL]) or "_"


def prefixed(prefix: str) -> str:
    """Return a prefix with this host's name in it."""
    return prefix.replace("{host}", plain(socket.gethostname()))


_SENDERS: dict[tuple[str, int], Sender] = {}
"""Reused, because an error may come after the datagram that caused it."""


def send(host: str, port: int, lines: Sequence[str]) -> None:
    """Send lines such as `name:1|c`; one that no datagram can carry is dropped and logged, and holds up no other.

    Where one of the host's addresses refuses them, they go to the next. Where nobody listens at any, they are gone, as
    is usual for statsd.

    Raises:
        OSError: the host is not known, or there is no way to it.
    """
    datagrams = list(_datagrams(lines))
    try:
        too_long = _SENDERS.setdefault((host, port), Sender(host, port)).send(datagrams)
    except ConnectionRefusedError:
        return
    for number in too_long:
        _say_dropped(datagrams[number])


def _say_dropped(datagram: bytes) -> None:
    # Control reads the roles' options without any log.
    import structlog

    log = structlog.get_logger(__name__)
    log.warning(
        "dropped what is too long for statsd",
        code="statsd_datagram_too_long",
        bytes=len(datagram),
        begins=repr(datagram[:80]),
    )


def _datagrams(lines: Sequence[str]) -> Iterator[bytes]:
    """Yield the lines, as many in each as fit; one that is longer by itself goes alone."""
    held: list[bytes] = []
    size = 0
    for line in lines:
        encoded = line.encode("utf-8", "replace")
        if held and size + len(encoded) + 1 > _DATAGRAM_BYTES:
            yield b"\n".join(held)
            held, size = [], 0
        held.append(encoded)
        size += len(encoded) + 1
    if held:
        yield b"\n".join(held)
