# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

r"""Parses raw lines of the usual form fast; all others are left to `parse`.

Most formats are columns with blanks between them. For those, splitting a line at its white space finds what the
regular expression of `parse` finds first: its runs of white space and of anything else take all there is, and so does
the split. What is read here is read as `parse` reads it. A line with anything unusual about it is left to `parse`,
which also finds what is wrong.

The function that reads is generated for the format, as those of data classes are: a loop over fields and tests for
what the format has would take a tenth of an event's whole time. For `%q %{recvFrom}s %{seqId}d %t %o %u` it is::

    def read(line):
        line = line.rstrip(b'\r\n')
        columns = line.split(None, 5)
        if (
            len(columns) != 6
            or line[0] < 33
            or not (line.isascii() or is_utf8(line))
            or 9 in columns[-1]
        ):
            return None
        try:
            event = loads(unquote_query(columns[0]))
            if type(event) is not dict:
                return None
            expected = len(event) + 4
            event['recvFrom'] = convert_1(columns[1])
            event['seqId'] = convert_2(columns[2])
            event['timestamp'] = convert_3(columns[3])
            event['userAgent'] = convert_5(columns[5])
        except ValueError:
            return None
        return event if len(event) == expected else None

`convert_3` converts a time to Unix seconds (`_CONVERSIONS`). Fewer fields than expected means that the capsule had one
of them itself, which `parse` decides on.
"""

from __future__ import annotations

import re
from binascii import a2b_qp
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import orjson

from elworkers.core.contracts import Event
from elworkers.core.errors import InvalidEventError
from elworkers.events import user_agent
from elworkers.events.parse import FIELD_NAMES, TIME, unix_seconds

_COLUMN = re.compile(r"%(?:\{(?P<name>\w+)\}(?P<named>[isd])|(?P<letter>[jqtDhuo]))", re.ASCII)
_LONGEST_INTEGER = 18
_SIGN = ord("=")
_QUOTED_PRINTABLE = bytes.maketrans(b"%+", b"= ")


def unquote_query(query: bytes) -> bytes:
    """Return what a query string holds, without its `?` and a `;` behind it: percent-decoded, with `+` as a blank.

    Quoted-printable (RFC 2045) is the same but for the sign, and the standard library decodes it in C.

    Args:
        query: without line ends, which would mean something in quoted-printable.

    Raises:
        ValueError: it does not begin with `?`, or an escape is bad or breaks off.
    """
    if query[:1] != b"?":
        raise ValueError("no query string")
    quoted = query.lstrip(b"?").rstrip(b";").replace(b"=", b"=3D").translate(_QUOTED_PRINTABLE)
    plain = a2b_qp(quoted)
    # A bad escape leaves its sign in the text, or is the last character. Only escapes that are good shorten it by two.
    # (To look for a number is four times as fast as to look for bytes.)
    suspicious = _SIGN in plain or quoted[-1:] == b"="
    if suspicious and len(quoted) - 2 * quoted.count(b"=") != len(plain):
        raise ValueError("a percent escape is bad or breaks off")
    return plain


def _integer(digits: bytes) -> int:
    if len(digits) > _LONGEST_INTEGER or not digits.isdigit():
        raise ValueError
    return int(digits)


@lru_cache(maxsize=4_096)
def _dt(time: bytes) -> str:
    text = time.decode()
    if not re.fullmatch(TIME, text, re.ASCII):
        raise ValueError
    try:
        unix_seconds(text)
    except InvalidEventError:
        raise ValueError from None
    return text


@lru_cache(maxsize=4_096)
def _timestamp(time: bytes) -> Any:
    return unix_seconds(_dt(time))


_CONVERSIONS: dict[str, Callable[[bytes], Any]] = {
    "t": _timestamp,
    "D": _dt,
    "h": bytes.decode,
    "u": user_agent.of_header,
    "i": bytes.decode,
    "s": bytes.decode,
    "d": _integer,
}
"""Each raises ValueError where the slow parser has to look."""


class FastParser:
    """Reads the lines of one format.

    Attributes:
        read: gives the capsule of a raw line, or None where `parse` has to look.
        source: the generated code of `read`; empty where every line is left to `parse`.

    Args:
        text: the format string. Where it is no row of columns, every line is left to `parse`.
    """

    def __init__(self, text: str) -> None:
        self.read: Callable[[bytes], Event | None] = lambda _: None
        self.source = ""
        tokens = text.split()
        if not all(_COLUMN.fullmatch(token) or "%" not in token for token in tokens):
            return
        self._literals: list[tuple[int, bytes]] = []
        self._fields: list[tuple[str, int, Callable[[bytes], Any]]] = []
        specifiers = [self._add(at, token) for at, token in enumerate(tokens)]
        self._count = len(tokens)
        # What ends the format may hold blanks: all but %j stop at a tab.
        self._has_rest = specifiers[-1] in ("i", "u", "j")
        self._most_splits = self._count - 1 if self._has_rest else self._count
        self._stops_at_tab = specifiers[-1] in ("i", "u")
        self._only_tabs_between = "i" in specifiers[:-1] or "u" in specifiers[:-1]
        self.source = self._generate()
        self.read = self._compile(self.source)

    def _add(self, at: int, token: str) -> str:
        match = _COLUMN.fullmatch(token)
        if match is None:
            self._literals.append((at, token.encode()))
            return ""
        specifier = match["named"] or match["letter"]
        if specifier in ("j", "q"):
            self._capsule_at = at
            self._is_query = specifier == "q"
        elif specifier != "o":
            self._fields.append((match["name"] or FIELD_NAMES[specifier], at, _CONVERSIONS[specifier]))
        return specifier

    def _generate(self) -> str:
        # White space is below 33; at an end of the line it is for `parse` to decide.
        unusual = [
            f"len(columns) != {self._count}",
            "line[0] < 33",
            "not (line.isascii() or is_utf8(line))",
            *(f"columns[{at}] != {literal!r}" for at, literal in self._literals),
            *(["9 in columns[-1]"] if self._stops_at_tab else []),
            *([] if self._has_rest else ["line[-1] < 33"]),
            *(["columns != line.split(b'\\t')"] if self._only_tabs_between else []),
        ]
        capsule = f"columns[{self._capsule_at}]"
        lines = [
            "def read(line):",
            "    line = line.rstrip(b'\\r\\n')",
            f"    columns = line.split(None, {self._most_splits})",
            "    if (",
            *(f"        {'or ' if number else ''}{condition}" for number, condition in enumerate(unusual)),
            "    ):",
            "        return None",
            "    try:",
            f"        event = loads({f'unquote_query({capsule})' if self._is_query else capsule})",
            "        if type(event) is not dict:",
            "            return None",
            f"        expected = len(event) + {len(self._fields)}",
            *(f"        event[{name!r}] = convert_{at}(columns[{at}])" for name, at, _ in self._fields),
            "    except ValueError:",
            "        return None",
            "    return event if len(event) == expected else None",
        ]
        return "\n".join(lines)

    def _compile(self, source: str) -> Callable[[bytes], Event | None]:
        names: dict[str, Any] = {"loads": orjson.loads, "unquote_query": unquote_query, "is_utf8": _is_utf8}
        names.update((f"convert_{at}", convert) for _, at, convert in self._fields)
        exec(source, names)  # noqa: S102 - of what was matched above, names of fields among them
        read: Callable[[bytes], Event | None] = names["read"]
        return read

    def capsule_json(self, line: bytes) -> bytes:
        """Return the JSON text of the capsule of a line that `read` can read."""
        text = line.rstrip(b"\r\n").split(None, self._most_splits)[self._capsule_at]
        return unquote_query(text) if self._is_query else text


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True
