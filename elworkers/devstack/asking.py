# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Asks a broker of any version which brokers its cluster has, by Kafka's protocol and without a client library.

Requests and answers are laid out as Kafka's protocol guide says: Metadata (key 3) in version 5, which brokers of 1.0
to 4.x speak.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
from typing import NamedTuple

_METADATA, _VERSION = 3, 5
_TIMEOUT_S = 2.0
# An id of the request, no name of the client; then -1 topics, which is all of them, and none made.
_REQUEST = struct.pack(">hhihi?", _METADATA, _VERSION, 1, -1, -1, False)


class Cluster(NamedTuple):
    """What a broker says of its cluster: the ids of those that take part, and how many replicas are not in sync."""

    brokers: frozenset[int] = frozenset()
    behind: int = 0


def cluster(host: str, port: int, tls: ssl.SSLContext | None = None) -> Cluster:
    """Return what the broker at an address knows; no brokers where nothing answers as a broker does."""
    try:
        with contextlib.ExitStack() as opened:
            asked = opened.enter_context(socket.create_connection((host, port), timeout=_TIMEOUT_S))
            if tls:
                asked = opened.enter_context(tls.wrap_socket(asked, server_hostname=host))
            asked.sendall(struct.pack(">i", len(_REQUEST)) + _REQUEST)
            answer = opened.enter_context(asked.makefile("rb"))
            (length,) = struct.unpack(">i", answer.read(4))
            return _read(_Fields(answer.read(length)))
    except (OSError, struct.error):
        return Cluster()


class _Fields:
    """Takes one field after the other from an answer."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def number(self, layout: str = "i") -> int:
        (found,) = struct.unpack_from(f">{layout}", self._data, self._at)
        self._at += struct.calcsize(f">{layout}")
        return int(found)

    def numbers(self) -> list[int]:
        return [self.number() for _ in range(self.number())]

    def skip(self, layout: str) -> None:
        """Pass over fields; an `s` is a string with its length before it."""
        for field in layout:
            length = max(self.number("h"), 0) if field == "s" else struct.calcsize(f">{field}")
            self._at += length


def _read(answer: _Fields) -> Cluster:
    # The id of the request, the throttle time.
    answer.skip("ii")
    brokers = frozenset(_broker(answer) for _ in range(answer.number()))
    # The cluster's id, the controller.
    answer.skip("si")
    return Cluster(brokers, sum(_behind_of_topic(answer) for _ in range(answer.number())))


def _broker(answer: _Fields) -> int:
    node = answer.number()
    # Host, port, rack.
    answer.skip("sis")
    return node


def _behind_of_topic(answer: _Fields) -> int:
    # An error, the name, whether it is internal.
    answer.skip("hs?")
    return sum(_behind_of_partition(answer) for _ in range(answer.number()))


def _behind_of_partition(answer: _Fields) -> int:
    # An error, the partition's number, its leader.
    answer.skip("hii")
    replicas, in_sync, _offline = answer.numbers(), answer.numbers(), answer.numbers()
    return len(replicas) - len(in_sync)
