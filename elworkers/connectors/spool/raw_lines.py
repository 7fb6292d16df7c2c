# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Writes an event's request as the line that varnishkafka would write of it.

Tab-separated: query string with its `?`, host name, sequence number, UTC time, client address or `-`, and the user
agent in quotes.
"""

from __future__ import annotations

import re
import socket
from datetime import UTC, datetime

from elworkers.connectors.spool.sequence import Sequence

_NEVER_IN_A_QUERY = re.compile(rb"[\x00-\x20\x7f]")
_NEVER_IN_A_FIELD = re.compile(rb"[\x00-\x1f\x7f]")
_ESCAPE = re.compile(rb"\\(x[0-9a-fA-F]{2}|[0-7]{3}|.)", re.DOTALL)
_LETTERS = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"0": b"\0"}


class RawLines:
    """Makes the lines of one listener.

    Args:
        host: what becomes `recvFrom`; None for the name of this host.
        numbers: this host's sequence numbers, which are closed with the lines.
    """

    def __init__(self, host: str | None, numbers: Sequence) -> None:
        self._host = (host or socket.gethostname()).encode()
        self._numbers = numbers

    def line(self, query: bytes, time: bytes, address: bytes, agent: bytes) -> bytes:
        """Return one line, without its LF.

        Args:
            query: as received, from its `?` on.
            time: UTC, as 2016-07-29T12:34:56.
            address: of the client; empty where nobody wants it kept.
            agent: the header User-Agent; empty where there was none.

        Raises:
            RetryableError: there are no sequence numbers.
        """
        query = _NEVER_IN_A_QUERY.sub(lambda match: b"%%%02X" % ord(match[0]), query)
        agent = _NEVER_IN_A_FIELD.sub(b" ", agent)
        parts = (
            query,
            self._host,
            str(self._numbers.next()).encode(),
            time,
            address or b"-",
            b'"%b"' % (agent or b"-"),
        )
        return b"\t".join(parts)

    def close(self) -> None:
        """Stop making lines; never raises."""
        self._numbers.close()


def utc(unix_s: float) -> bytes:
    """Return a time as it stands in a line."""
    return datetime.fromtimestamp(int(unix_s), UTC).strftime("%Y-%m-%dT%H:%M:%S").encode("ascii")


def unescaped(field: bytes) -> bytes:
    """Return a field as the client sent it; varnishncsa prints a backslash before what it escapes."""
    if b"\\" not in field:
        return field
    return _ESCAPE.sub(_plain, field)


def _plain(match: re.Match[bytes]) -> bytes:
    what = match[1]
    if len(what) == 3:
        return bytes([int(what[1:], 16) if what[:1] == b"x" else int(what, 8) & 255])
    return _LETTERS.get(what, what)
