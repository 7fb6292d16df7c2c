# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Turns the body of a POST, one event as JSON or an array of them, into the query strings of GETs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from urllib.parse import quote

# What encodeURIComponent leaves as it is beside letters and digits (ECMA-262, section 19.2.6).
_AS_THEY_ARE = "-_.!~*'()"
_BLANK = " \t\r\n"
_DECODER = json.JSONDecoder()


class BodyError(ValueError):
    """The body is no event, nor several; says what was expected."""


def queries(body: bytes) -> list[bytes]:
    """Return `?`, the percent-encoded text and `;` of each event, as the browser client sends it.

    An element that is no object goes on as well: it becomes an EventError, which says so to whoever instruments.

    Raises:
        BodyError: says what is wrong with the body as a whole.
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BodyError(f"the body is not UTF-8 (byte {error.start + 1}); expected an event as JSON") from None
    try:
        found = list(_elements(text))
    except json.JSONDecodeError as error:
        raise BodyError(
            f"the body is not JSON: {error.msg} at character {error.pos + 1}; expected an event or an array of events"
        ) from None
    except (RecursionError, ValueError):
        raise BodyError("the body is nested too deeply, or has a number of too many digits") from None
    if not found:
        raise BodyError("the body holds no event; expected an event or an array of events")
    return [b"?%b;" % quote(element, safe=_AS_THEY_ARE).encode("ascii") for element in found]


def _elements(text: str) -> Iterator[str]:
    """Yield the text of each event, untouched: parsed and written anew, a number might become another one."""
    at = _after_blanks(text, 0)
    if text[at : at + 1] != "[":
        yield _element(text, at)
        _nothing_more(text, _after_blanks(text, at + len(_element(text, at))))
        return
    at = _after_blanks(text, at + 1)
    while text[at : at + 1] != "]":
        element = _element(text, at)
        yield element
        at = _after_blanks(text, at + len(element))
        if text[at : at + 1] == ",":
            at = _after_blanks(text, at + 1)
            if text[at : at + 1] == "]":
                raise json.JSONDecodeError("Illegal trailing comma", text, at)
        elif text[at : at + 1] != "]":
            raise json.JSONDecodeError("Expecting ',' or ']'", text, at)
    _nothing_more(text, _after_blanks(text, at + 1))


def _element(text: str, at: int) -> str:
    return text[at : _DECODER.raw_decode(text, at)[1]]


def _after_blanks(text: str, at: int) -> int:
    while text[at : at + 1] in _BLANK and at < len(text):
        at += 1
    return at


def _nothing_more(text: str, at: int) -> None:
    if at < len(text):
        raise json.JSONDecodeError("Extra data", text, at)
