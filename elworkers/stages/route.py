"""Records come in; the topic and the key of each, or None where a blacklist leaves it out, go out."""

from __future__ import annotations

import re
from typing import Any

from elworkers.contracts import Event, Record
from elworkers.errors import ConfigurationError

_FIELD = re.compile(r"\{([^{}]*)\}")
_FIELD_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")
_NOT_IN_TOPIC = re.compile(r"[^A-Za-z0-9._-]")
_LONGEST_TOPIC = 249


class Template:
    """A format string over an event: `eventlogging_{schema}`; `{event.action}` reaches into the event proper.

    Raises:
        ConfigurationError: what stands in braces is no field name.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._parts = _FIELD.split(text)
        for name in self._parts[1::2]:
            if not _FIELD_NAME.fullmatch(name):
                raise ConfigurationError(
                    f"template {text!r}: {{{name}}} is no field; expected a name such as {{schema}}"
                )
        if any("{" in part or "}" in part for part in self._parts[::2]):
            raise ConfigurationError(f"template {text!r} has a brace without its partner")
        self.is_plain = len(self._parts) == 1

    def __call__(self, event: Event | None) -> str:
        """The text with each field in its place; `unknown` where the event does not have it."""
        if self.is_plain:
            return self._text
        parts = list(self._parts)
        parts[1::2] = [_field(event, name) for name in parts[1::2]]
        return "".join(parts)


def _field(event: Event | None, name: str) -> str:
    value: Any = event
    for step in name.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    return "unknown" if value is None or isinstance(value, dict | list) else str(value)


class Route:
    """Where a Kafka output sends records.

    Args:
        topic: template of the topic; characters that no topic may have become `_`.
        key: template of the message key, or None.
        blacklist: events whose schema this regular expression matches (from its beginning) are left out.
        raw: the records are unparsed lines.

    Raises:
        ConfigurationError: a template is wrong, or asks unparsed lines for a field.
    """

    def __init__(self, topic: str, key: str | None, blacklist: str | None, *, raw: bool = False) -> None:
        self._topic = Template(topic)
        self._key = Template(key) if key else None
        self._left_out = re.compile(blacklist).match if blacklist else None
        if raw and (blacklist or not self._topic.is_plain or not (self._key is None or self._key.is_plain)):
            raise ConfigurationError("kafka URI: topic, key and blacklist can ask only parsed events for their fields")
        self._names: dict[str, str] = {}

    def __call__(self, record: Record) -> tuple[str, bytes | None] | None:
        """Topic and key, or None where the record is left out."""
        event = record.event
        if self._left_out is not None and event is not None and self._left_out(str(event.get("schema"))):
            return None
        name = self._topic(event)
        topic = self._names.get(name)
        if topic is None:
            topic = self._names[name] = _NOT_IN_TOPIC.sub("_", name)[:_LONGEST_TOPIC]
        return topic, self._key(event).encode() if self._key is not None else record.key
