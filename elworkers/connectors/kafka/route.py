# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Decides which topic and key each record is written with, and which a blacklist leaves out."""

from __future__ import annotations

import re

from elworkers.config.templates import Template, field_of
from elworkers.core.contracts import Event, OwnTopic, Record
from elworkers.core.errors import ConfigurationError, InvalidEventError

_NOT_IN_TOPIC = re.compile(r"[^A-Za-z0-9._-]")
_MAX_LENGTH = 249
_MAX_NAMES = 10_000


class Route:
    """Chooses topic and key of the records of a Kafka output.

    Args:
        topic: template of the topic; characters that no topic may have become `_`. Where that makes the names of
            several schemas one, the producer knows which of them has the topic.
        key: template of the message key, or None.
        blacklist: events whose schema this regular expression matches (from its beginning) are left out.
        raw: the records are unparsed lines.

    Raises:
        ConfigurationError: a template is wrong, or asks unparsed lines for a field.
    """

    def __init__(self, topic: str, key: str | None, blacklist: str | None, *, raw: bool = False) -> None:
        self._topic = Template(topic)
        self._key = Template(key) if key else None
        self._is_blacklisted = re.compile(blacklist).match if blacklist else None
        if raw and (blacklist or not self._topic.is_constant or not (self._key is None or self._key.is_constant)):
            raise ConfigurationError("kafka URI: topic, key and blacklist can ask only parsed events for their fields")
        self._names: dict[tuple[str | None, str], str | OwnTopic] = {}
        self._by_field: dict[object, str | OwnTopic] = {}

    @property
    def is_constant(self) -> bool:
        """Whether all records go to one topic, whatever is in them."""
        return self._topic.is_constant

    def __call__(self, record: Record) -> tuple[str | OwnTopic, bytes | None] | None:
        """Return topic and key, or None where the record is left out.

        Raises:
            InvalidEventError: the topic's name would be too long.
        """
        event = record.event
        if self._is_blacklisted is not None and event is not None and self._is_blacklisted(str(event.get("schema"))):
            return None
        field = self._topic.single_field
        value = event.get(field) if field is not None and event is not None else None
        # A number may equal another that is written otherwise; text is what it is.
        topic = self._by_field.get(value) if type(value) is str else None
        if topic is None:
            topic = self._topic_for(self._topic(event), event)
            if type(value) is str:
                self._by_field[value] = topic
        return topic, self._key(event).encode() if self._key is not None else record.key

    def _topic_for(self, text: str, event: Event | None) -> str | OwnTopic:
        schema = field_of(event, "schema") if "schema" in self._topic.required_fields else None
        topic = self._names.get((schema, text))
        if topic is None:
            if len(self._names) > _MAX_NAMES:
                self._names.clear()
                self._by_field.clear()
            topic = _NOT_IN_TOPIC.sub("_", text)[:_MAX_LENGTH]
            if schema is not None:
                topic = self._own_topic(topic, text, schema)
            self._names[schema, text] = topic
        return topic

    def _own_topic(self, topic: str, text: str, schema: str) -> str | OwnTopic:
        if len(text) > _MAX_LENGTH:
            raise InvalidEventError(
                f"the topic of schema {schema[:100]} would have {len(text)} characters; Kafka takes {_MAX_LENGTH}",
                "storage",
            )
        plain = _NOT_IN_TOPIC.sub("_", schema)
        # With no field beside it, only a name with `_` can be what another name was made into.
        if self._topic.single_field == "schema" and "_" not in plain:
            return topic
        return OwnTopic(topic, schema, plain)
