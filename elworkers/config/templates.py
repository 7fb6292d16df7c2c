# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Formats topics and keys from format strings over an event.

`%(schema)s`, as files of 2015 have it, is `{schema}`, and `{meta[topic]}` is `{meta.topic}`.
"""

from __future__ import annotations

import re
from typing import Any

from elworkers.core.contracts import Event
from elworkers.core.errors import ConfigurationError

_FIELD = re.compile(r"\{(?P<braces>[^{}]*)\}|%\((?P<percent>[^()]*)\)[sdi]")
_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_FIELD_NAME = re.compile(rf"{_NAME}(?:\.{_NAME}|\[{_NAME}\])*")
_NOT_IN_TOPIC = re.compile(r"[^A-Za-z0-9._-]")
_LONGEST_TOPIC = 249


def template(text: str) -> str:
    """Return the format string with each field written as `{name}` or `{name.deeper}`.

    Raises:
        ValueError: says what was expected, and where something else is.
    """
    return "".join(f"{{{part}}}" if index % 2 else part for index, part in enumerate(_parts(text)))


def topic_template(text: str) -> str:
    """Return the format string of a topic's name, as `template` does.

    Raises:
        ValueError: as well, where a character that no topic may have stands outside of the fields.
    """
    made = template(text)
    # What is left of the fields keeps the others where they are.
    outside = _FIELD.sub(lambda field: "_" * len(field.group()), text)
    wrong = _NOT_IN_TOPIC.search(outside)
    if wrong:
        what = f"the character at position {wrong.start() + 1} is {wrong.group()!r}"
        raise ValueError(f"a topic of letters, digits, '.', '_', '-' and fields as {{schema}}; {what}")
    if made in ("", ".", "..") or len(outside) > _LONGEST_TOPIC:
        raise ValueError(f"a topic of 1 to {_LONGEST_TOPIC} characters other than '.' and '..'")
    return made


def _parts(text: str) -> list[str]:
    """Return the texts between fields and the names of fields, in turn."""
    parts: list[str] = []
    end = 0
    for field in _FIELD.finditer(text):
        name = field["braces"] if field["percent"] is None else field["percent"]
        if not _FIELD_NAME.fullmatch(name):
            raise ValueError(f"a field's name such as {{schema}} instead of {field.group()}")
        parts += [text[end : field.start()], name.replace("[", ".").replace("]", "")]
        end = field.end()
    parts.append(text[end:])
    for part in parts[::2]:
        if "{" in part or "}" in part:
            raise ValueError("each brace with its partner")
        if "%(" in part:
            raise ValueError("%(name)s, or {name}, for each field")
    return parts


class Template:
    """A format string over an event: `eventlogging_{schema}`; `{event.action}` reaches into the event proper.

    Attributes:
        is_constant: it has no field.
        required_fields: the capsule's own fields among those it has, or that hold them.
        single_field: the only one it has, where that is the event's own.

    Raises:
        ConfigurationError: it is none; says what was expected.
    """

    def __init__(self, text: str) -> None:
        try:
            self._parts = _parts(text)
        except ValueError as error:
            raise ConfigurationError(f"template {text!r}; expected {error}") from None
        self._text = text
        self.is_constant = len(self._parts) == 1
        self.required_fields = frozenset(name.partition(".")[0] for name in self._parts[1::2])
        self.single_field = self._parts[1] if len(self._parts) == 3 and "." not in self._parts[1] else None

    def __call__(self, event: Event | None) -> str:
        """Return the text with each field replaced by its value; `unknown` where the event does not have it."""
        if self.is_constant:
            return self._text
        parts = list(self._parts)
        parts[1::2] = [field_of(event, name) for name in parts[1::2]]
        return "".join(parts)


def field_of(event: Event | None, name: str) -> str:
    """Return a field's value as text; `unknown` where the event does not have it, or has no text or number there.

    Args:
        event: the capsule.
        name: with a `.` before each step that leads deeper.
    """
    value: Any = event
    for step in name.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    return "unknown" if value is None or isinstance(value, dict | list) else str(value)
