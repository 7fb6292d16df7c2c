# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Hides passwords in everything that is shown.

Hidden is what was read as a password (`remember`), wherever and however it turns up, and what stands where passwords
stand: before the @ of a URI, behind `password=`, `"token":` and the like. The time it takes grows with the length of
the text alone: each part of it is looked at a fixed number of times.
"""

from __future__ import annotations

import json
import re
import sys
import traceback
from types import TracebackType
from urllib.parse import quote

from elworkers.core.terminal import printable

HIDDEN = "***"

SECRET_NAME = re.compile(
    r"(?:pass(?:word|wd|phrase)?|secret|token)(?![\w.-]{0,40}_(?:file|endpoint)(?![\w.-]))", re.IGNORECASE
)
"""What the names of options with a secret value have in them, unless they are of the file or server that has it."""

_NAMED = re.compile(
    rf"((?:{SECRET_NAME.pattern})[\w.-]{{0,20}}[\"']?\s{{0,3}}(?:[=:]|(?<=[\"'])\s?,)\s{{0,3}})"
    r"(?!(?:YES|NO|PASSWORD|None|null)\b)"
    r"(b?\"(?:[^\"\\\n]|\\.){0,1000}\"|b?'(?:[^'\\\n]|\\.){0,1000}'|[\"']?[^\s&,;)}\]\"']{1,1000})",
    re.IGNORECASE,
)
_AUTHORIZATION = re.compile(
    r"(authorization[\"']?\s{0,3}[:=]\s{0,3}[\"']?(?:basic|bearer|negotiate|digest)?\s{0,3})[^\s\"',]{1,4000}",
    re.IGNORECASE,
)
_SCHEME_END = re.compile(r"://")
_LOGIN = re.compile(r"[^/\s:@\[]{0,255}:")
_PORT = re.compile(r"\d{1,5}(?=[/,?\s\"')\]]|$)")
_NONE = (f"{HIDDEN}@", "PASSWORD@")
"""What is hidden already, and what stands for a password in a sentence."""

_SHORTEST = 5

_secrets: set[str] = set()
_forms: set[str] = set()
_pattern: re.Pattern[str] | None = None


def remember(secret: str | None) -> None:
    """Hide this from now on wherever it turns up, unless it is so short or plain that it may be part of any text."""
    global _pattern  # noqa: PLW0603 - what one part of a process has read, no other may show
    if secret is None or len(secret) < _SHORTEST or secret.isalpha() or secret in _forms:
        return
    _secrets.add(secret)
    forms = {secret, quote(secret, safe=""), quote(secret), repr(secret)[1:-1], repr(secret.encode())[2:-1]}
    forms |= {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
    _forms.update(forms)
    _pattern = re.compile("|".join(sorted(map(re.escape, _forms), key=len, reverse=True)))


def remembered() -> list[str]:
    """Return what is hidden, for another process that is to hide it as well."""
    return sorted(_secrets)


def without_passwords(text: str) -> str:
    """Return the text with each password in it replaced by `***`."""
    return _without_unread(_pattern.sub(HIDDEN, text) if _pattern is not None else text)


def has_password(text: str) -> bool:
    """Return whether there is something where passwords stand."""
    return _without_unread(text) != text


def _without_unread(text: str) -> str:
    if "://" in text and "@" in text:
        text = "\n".join(map(_without_logins, text.split("\n")))
    text = _NAMED.sub(rf"\1{HIDDEN}", text)
    return _AUTHORIZATION.sub(rf"\1{HIDDEN}", text)


def _without_logins(line: str) -> str:
    """Return one line without the passwords of its URIs.

    A password may hold whatever an operator has forgotten to escape, also blanks, quotes, slashes and an @: it ends at
    the last @ before the next URI.
    """
    parts, done, last = [], 0, line.rfind("@")
    begins = [found.end() for found in _SCHEME_END.finditer(line)]
    for begin, following in zip(begins, (*begins[1:], len(line)), strict=False):
        login = _LOGIN.match(line, begin)
        if begin < done or login is None or _PORT.match(line, login.end()):
            continue
        end = line.rfind("@", login.end(), following)
        # One with a :// in it seems to begin a URI of its own.
        end = last if end < 0 else end
        if end > login.end() and not line.startswith(_NONE, login.end()):
            parts += [line[done : login.end()], HIDDEN]
            done = end
    return "".join((*parts, line[done:]))


def shown(argument: str, longest: int = 60) -> str:
    """Return an argument as it can be shown where it is wrong and so may hold a password anywhere, in quotes.

    Of what has a colon, the text before it.
    """
    before, colon, rest = argument.partition(":")
    if "@" in before or (SECRET_NAME.search(before) and re.search(r"[=\s]", before)):
        return "'…'"
    text = f"{before[:longest]}{'…' if len(before) > longest else ''}{colon}{'…' if rest else ''}"
    return repr(without_passwords(text))


def guard_tracebacks() -> None:
    """Have Python print tracebacks of uncaught exceptions without passwords."""

    def print_uncaught(error_type: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        text = without_passwords("".join(traceback.format_exception(error_type, error, trace)))
        print(printable(text, keep="\n\t"), end="", file=sys.stderr)

    sys.excepthook = print_uncaught
