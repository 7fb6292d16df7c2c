# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Parses raw lines by a format string into capsules.

==========  =============================================  =====================================================
specifier   matches                                        becomes
==========  =============================================  =====================================================
%j          JSON up to a blank; at the end: all the rest   the capsule
%q          `?` and percent-encoded JSON, `;` may end it   the capsule
%t  %D      2016-07-29T12:34:56 (UTC)                      `timestamp`, Unix seconds; `dt`, the same as text
%h          up to a blank                                  `clientIp`
%l  %n      up to a blank; digits                          `recvFrom`; `seqId` (files of 2013)
%u          up to a tab                                    `userAgent`, parsed (`user_agent.parsed`)
%{name}i    up to a tab                                    the field, a string
%{name}s    up to a blank                                  the field, a string
%{name}d    digits                                         the field, an integer
%o          up to a blank                                  nothing
==========  =============================================  =====================================================

A blank in the format matches any run of white space; anything else matches itself, and `%%` a percent sign.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, unquote_to_bytes

from elworkers.core.contracts import Event
from elworkers.core.errors import ConfigurationError, InvalidEventError
from elworkers.events import user_agent
from elworkers.events.json_text import parse_object

Conversion = Callable[[Any], Any]

_TOKEN = re.compile(r"%(?:\{(?P<name>[^}]*)\})?(?P<letter>.)?|(?P<blank>\s+)|(?P<text>[^%\s]+)", re.DOTALL)
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d"
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_LONGEST_SHOWN = 80


def unix_seconds(value: Any) -> Any:
    """Return `2016-07-29T12:34:56` (UTC) as Unix seconds; a number is returned as it is."""
    if not isinstance(value, str):
        return value
    match = re.match(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)", value, re.ASCII)
    if match is None:
        raise InvalidEventError(f"timestamp {value[:_LONGEST_SHOWN]!r}; expected YYYY-MM-DDTHH:MM:SS")
    year, month, day, hour, minute, second = map(int, match.groups())
    real = 1 <= month <= 12 and 1 <= day <= 31 and hour < 24 and minute < 60 and second <= 60
    if not real or day > calendar.monthrange(max(1, year), month)[1]:
        raise InvalidEventError(f"there is no such time as {value[:_LONGEST_SHOWN]!r}")
    return calendar.timegm((year, month, day, hour, minute, second))


def _iso_time(value: Any) -> Any:
    unix_seconds(value)
    return value


def _integer(value: Any) -> Any:
    if isinstance(value, str) and re.fullmatch(r"-?\d{1,4000}", value, re.ASCII):
        return int(value)
    return value


def _user_agent(value: Any) -> Any:
    # varnishkafka puts the header into quotes.
    return user_agent.parsed(value.strip('"')) if isinstance(value, str) else value


def _from_query(text: str) -> Event:
    if _BAD_ESCAPE.search(text):
        raise InvalidEventError("the query string breaks off in a percent escape, or has a bad one")
    try:
        json_text = unquote_to_bytes(text.lstrip("?").rstrip(";").replace("+", " ")).decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidEventError("the query string is not UTF-8 behind its percent escapes") from None
    return parse_object(json_text)


_LETTERS: dict[str, tuple[str | None, str, Conversion | None]] = {
    "t": ("timestamp", TIME, unix_seconds),
    "D": ("dt", TIME, _iso_time),
    "h": ("clientIp", r"\S+", None),
    "l": ("recvFrom", r"\S+", None),
    "n": ("seqId", r"\d+", _integer),
    "u": ("userAgent", r"[^\t]+", _user_agent),
    "o": (None, r"\S+", None),
}
_NAMED: dict[str, tuple[str, Conversion | None]] = {
    "i": (r"[^\t]+", None),
    "s": (r"\S+", None),
    "d": (r"\d+", _integer),
}
FIELD_NAMES = {letter: name for letter, (name, _, _) in _LETTERS.items() if name is not None}
"""The fields that specifiers of a single letter set."""

_CAPSULES: dict[str, tuple[str, Callable[[str], Event]]] = {
    "j": (r"\{\S*", parse_object),
    "q": (r"\?\S*", _from_query),
}


_SAMPLE = (
    '{"schema":"EventError","revision":14035058,"wiki":"w","recvFrom":"h","event":'
    '{"rawEvent":"x","message":"x","code":"processor","schema":"unknown","revision":-1}}'
)
_SAMPLES = {
    "j": _SAMPLE,
    "q": f"?{quote(_SAMPLE)};",
    "t": "2016-07-29T12:34:56",
    "D": "2016-07-29T12:34:56",
    "%": "%",
}
"""What stands in a line for a specifier; `1` for all others."""


class LineParser:
    """Parses the lines of one format; made by `compile_format`.

    Attributes:
        format: the format string.
        sample: a line of the format, whose capsule is one of an EventError.
        from_client: whether its capsules are query strings of browsers, which anybody can write.
    """

    def __init__(
        self,
        expression: str,
        fields: dict[str, Conversion | None],
        capsule: Callable[[str], Event],
        text: str,
    ) -> None:
        self._match = re.compile(expression, re.ASCII | re.DOTALL).fullmatch
        self._fields = tuple(fields.items())
        self._capsule = capsule
        self.format = text
        self.sample = _TOKEN.sub(_sampled, text).encode()
        self.from_client = capsule is _from_query

    def __call__(self, line: bytes) -> Event:
        """Return the capsule of a raw line.

        Raises:
            InvalidEventError: the line is not of this format.
        """
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError as error:
            raise InvalidEventError(f"the line is not UTF-8 (byte {error.start + 1})") from None
        match = self._match(text.rstrip("\r\n"))
        if match is None:
            raise InvalidEventError(f"the line does not match the format {self.format!r}")
        event = self._capsule(match["capsule"])
        for name, conversion in self._fields:
            value = event[name] if name in event else match[name]
            event[name] = value if conversion is None else conversion(value)
        return event


def compile_format(text: str) -> LineParser:
    """Return a parser for lines of a format.

    Raises:
        ConfigurationError: names the specifier that is unknown, incomplete or given twice, and its position.
    """
    expression: list[str] = []
    fields: dict[str, Conversion | None] = {}
    capsule: Callable[[str], Event] | None = None
    text = text.strip()
    for token in _TOKEN.finditer(text):
        if token["blank"]:
            expression.append(r"\s+")
        elif token["text"]:
            expression.append(re.escape(token["text"]))
        elif token.group() == "%%":
            expression.append("%")
        elif token["letter"] in _CAPSULES and token["name"] is None:
            if capsule is not None:
                raise _format_error(text, token, "is a second capsule; expected one %j or %q")
            pattern, capsule = _CAPSULES[token["letter"]]
            # MediaWiki's own JSON has blanks inside its strings.
            rest = token["letter"] == "j" and token.end() == len(text)
            expression.append(f"(?P<capsule>{'.+' if rest else pattern})")
        else:
            expression.append(_field(text, token, fields))
    if capsule is None:
        raise ConfigurationError(f"format {text!r} has no capsule; expected %j or %q in it")
    # What is behind the format would be lost silently; that does not matter for white space.
    return LineParser("".join(expression) + r"\s*", fields, capsule, text)


def _field(text: str, token: re.Match[str], fields: dict[str, Conversion | None]) -> str:
    name, letter = token["name"], token["letter"]
    if name is None and letter in _LETTERS:
        name, pattern, conversion = _LETTERS[letter]
    elif name is not None and letter in _NAMED:
        pattern, conversion = _NAMED[letter]
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise _format_error(text, token, "has no field name; expected letters, digits and '_' in the braces")
    else:
        expected = "%j %q %t %D %h %l %n %u %o %{name}i %{name}s %{name}d"
        raise _format_error(text, token, f"is no specifier; expected one of {expected}")
    if name is None:
        return pattern
    if name in fields or name == "capsule":
        raise _format_error(text, token, f"sets the field {name} a second time")
    fields[name] = conversion
    return f"(?P<{name}>{pattern})"


def _sampled(token: re.Match[str]) -> str:
    if token["blank"]:
        return "\t"
    if token["text"]:
        return token["text"]
    return _SAMPLES.get(token["letter"], "1")


def _format_error(text: str, token: re.Match[str], what: str) -> ConfigurationError:
    return ConfigurationError(f"format {text!r}: {token.group()!r} at position {token.start() + 1} {what}")
