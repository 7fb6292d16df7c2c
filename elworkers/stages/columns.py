"""A format string comes in and then raw lines; capsules go out, or None where only `parse` can tell.

Most formats are columns with blanks between them. For those, splitting a line at its white space finds what the
regular expression of `parse` finds first: its runs of white space and of anything else take all there is, and so does
the split. What is read here is read as `parse` reads it. A line with anything unusual about it is left to `parse`,
which also says what is wrong.
"""

from __future__ import annotations

import re
from binascii import a2b_qp
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import orjson

from elworkers.contracts import Event
from elworkers.errors import InvalidEventError
from elworkers.stages import useragent
from elworkers.stages.parse import FIELD_NAMES, TIME, unix_seconds

_COLUMN = re.compile(r"%(?:\{(?P<name>\w+)\}(?P<named>[isd])|(?P<letter>[jqtDhuo]))", re.ASCII)
_LONGEST_INTEGER = 18
_QUOTED_PRINTABLE = bytes.maketrans(b"%+", b"= ")


def unquoted(query: bytes) -> bytes:
    """What a query string holds, without its `?` and a `;` behind it: percent-decoded, with `+` as a blank.

    Quoted-printable (RFC 2045) is the same but for the sign, and the standard library decodes it in C.

    Args:
        query: without line ends, which would mean something in quoted-printable.

    Raises:
        ValueError: it does not begin with `?`, or an escape is bad or breaks off.
    """
    if not query.startswith(b"?"):
        raise ValueError("no query string")
    quoted = query.lstrip(b"?").rstrip(b";").replace(b"=", b"=3D").translate(_QUOTED_PRINTABLE)
    plain = a2b_qp(quoted)
    # A bad escape leaves its sign in the text, or is the last character. Only escapes that are good shorten it by two.
    suspicious = b"=" in plain or quoted.endswith(b"=")
    if suspicious and len(quoted) - 2 * quoted.count(b"=") != len(plain):
        raise ValueError("a percent escape is bad or breaks off")
    return plain


def _whole(digits: bytes) -> int:
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
    "u": useragent.of_header,
    "i": bytes.decode,
    "s": bytes.decode,
    "d": _whole,
}
"""Each raises ValueError where the slow parser has to look."""


class Columns:
    """Reads the lines of one format.

    Attributes:
        json: JSON text of the capsule that was read last.

    Args:
        text: the format string. Where it is no row of columns, every line is left to `parse`.
    """

    def __init__(self, text: str) -> None:
        self.json = b""
        self._literals: list[tuple[int, bytes]] = []
        self._fields: list[tuple[str, int, Callable[[bytes], Any]]] = []
        words = text.split()
        if not all(_COLUMN.fullmatch(word) or "%" not in word for word in words):
            self._count, self._most_splits = -1, 0
            return
        kinds = [self._add(at, word) for at, word in enumerate(words)]
        self._count = len(words)
        # What ends the format may hold blanks: all but %j stop at a tab.
        self._has_rest = kinds[-1] in ("i", "u", "j")
        self._most_splits = self._count - 1 if self._has_rest else self._count
        self._stops_at_tab = kinds[-1] in ("i", "u")
        self._only_tabs_between = "i" in kinds[:-1] or "u" in kinds[:-1]
        self._has_more = bool(self._literals) or not self._has_rest or self._only_tabs_between

    def _add(self, at: int, word: str) -> str:
        match = _COLUMN.fullmatch(word)
        if match is None:
            self._literals.append((at, word.encode()))
            return ""
        kind = match["named"] or match["letter"]
        if kind in ("j", "q"):
            self._capsule_at = at
            self._is_query = kind == "q"
        elif kind != "o":
            self._fields.append((match["name"] or FIELD_NAMES[kind], at, _CONVERSIONS[kind]))
        return kind

    def read(self, line: bytes) -> Event | None:
        """The capsule of a raw line, or None where `parse` has to look."""
        line = line.rstrip(b"\r\n")
        columns = line.split(None, self._most_splits)
        # White space is below 33; at an end of the line it is for `parse` to judge.
        if len(columns) != self._count or line[0] < 33 or not (line.isascii() or _is_utf8(line)):
            return None
        if (self._stops_at_tab and b"\t" in columns[-1]) or (self._has_more and not self._fits(line, columns)):
            return None
        text = columns[self._capsule_at]
        try:
            if self._is_query:
                text = unquoted(text)
            event: Event = orjson.loads(text)
            if type(event) is not dict:
                return None
            fields = len(event) + len(self._fields)
            for name, at, convert in self._fields:
                event[name] = convert(columns[at])
        except ValueError:
            return None
        if len(event) != fields:
            # The capsule had one of them itself.
            return None
        self.json = text
        return event

    def _fits(self, line: bytes, columns: list[bytes]) -> bool:
        for at, literal in self._literals:
            if columns[at] != literal:
                return False
        if not self._has_rest and line[-1] < 33:
            return False
        return not self._only_tabs_between or columns == line.split(b"\t")


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True
