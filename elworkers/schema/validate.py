# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Validates capsules against the capsule's schema and their own."""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import dataclass
from typing import Any

from elworkers.core.contracts import Event
from elworkers.core.errors import InvalidSchemaError
from elworkers.schema.bad_schemas import Key
from elworkers.schema.compile import CompiledSchema
from elworkers.schema.fast_validate import FastValidator, fast_capsule_validator, fast_validator
from elworkers.schema.store import SchemaStore

CAPSULE = ("EventCapsule", 1)

ROUTING_FIELDS = frozenset(("schema", "revision"))
"""Fields of a capsule that name its schema."""

NEW_SCHEMA, UNSUPPORTED_SCHEMA, REJECTED = "first", "schema", "refused"
"""Why the fast validator does not accept an event: its schema is new, or too much for it, or it finds it invalid."""


@dataclass(slots=True)
class CachedSchema:
    """A revision of a schema that events were valid by.

    Attributes:
        schema: the compiled one; marked as used after each batch.
        name, revision: of it.
        is_valid: of an event proper, as `FastValidator` has it.
        routing_fields: the fields `ROUTING_FIELDS` of its capsules; nobody may change them.
        events: how many took the fast path and are not counted yet. Here, because an event finds all else of its schema
            in the processor's cache only where few others come between.
    """

    schema: CompiledSchema
    name: str
    revision: int
    is_valid: Callable[[Any], bool]
    routing_fields: Event
    events: int = 0


class Validator:
    """Validates capsules and the events in them.

    `jsonschema` decides (`validate`). Where a schema has only what `jsonschema-rs` decides the same, that one is asked
    first (`validate_fast`), in a hundredth of the time: what it accepts is valid. Of what it does not accept,
    `validate_slow` says what is wrong.
    """

    def __init__(self, store: SchemaStore) -> None:
        self._store = store
        self._capsule = store.schema(*CAPSULE)
        self._fast_capsule = fast_capsule_validator(self._capsule)
        self._is_valid_capsule = self._fast_capsule.is_valid if self._fast_capsule else lambda _: False
        self._fast: dict[Key, FastValidator | None] = {}
        self._latest: dict[object, CachedSchema] = {}
        self._cached: dict[object, CachedSchema] = {}
        store.on_evict(self._forget)

    def validate(self, event: Event) -> None:
        """Validate one capsule.

        Raises:
            InvalidEventError: names the field and what was expected; its code is `validation`.
            InvalidSchemaError: its schema is itself invalid.
            RetryableError: the schema cannot be had now.
        """
        self._capsule.validate(event, "capsule")
        self._validate_event(self._store.schema(event["schema"], event["revision"]), event["event"])

    def expire(self) -> None:
        """See `SchemaStore.expire`."""
        self._store.expire()

    def validate_fast(self, event: Event) -> CachedSchema | None:
        """Return the schema of a capsule that is surely valid; None where `validate_slow` has to be asked.

        Args:
            event: as `orjson` reads it and `capsule.add_defaults` leaves it.
        """
        try:
            # 1.0 and True find the schema of revision 1 too, and are rejected by it.
            name, revision = event.get("schema"), event.get("revision")
            cached = self._latest.get(name)
            if cached is not None and cached.revision != revision:
                cached = self._cached.get((name, revision))
            if cached is not None and self._is_valid_capsule(event) and cached.is_valid(event["event"]):
                return cached
        except (TypeError, ValueError):
            pass
        return None

    def slow_path_reason(self, event: Event) -> str:
        """Return why `validate_fast` gives None for a capsule: `NEW_SCHEMA`, `UNSUPPORTED_SCHEMA` or `REJECTED`."""
        key = (event.get("schema"), event.get("revision"))
        try:
            if self._cached.get(key) is None:
                return UNSUPPORTED_SCHEMA if key in self._fast else NEW_SCHEMA
        except TypeError:
            pass
        return REJECTED

    def validate_slow(self, event: Event) -> None:
        """Validate one capsule for which `validate_fast` gives None; raises as `validate` does.

        Args:
            event: the same, where `json_text.orjson_is_exact`.
        """
        if not self._is_valid_capsule(event):
            self._capsule.validate(event, "capsule", _failing_properties(self._fast_capsule, event))
        schema = self._store.schema(event["schema"], event["revision"])
        fast = self._compile(schema)
        self._validate_event(schema, event["event"], _failing_properties(fast, event["event"]))

    def _validate_event(self, schema: CompiledSchema, event: Event, failing: Container[Any] | None = None) -> None:
        try:
            schema.validate(event, "event", failing)
        except InvalidSchemaError as error:
            self._store.set_aside(schema, error.message)
            raise

    def _compile(self, schema: CompiledSchema) -> FastValidator | None:
        """Return the schema's fast validator, compiled and cached if it is not yet; None where it can have none."""
        # An event's time may run out between any two steps; the next event takes those that are missing.
        name, revision = key = schema.name, schema.revision
        if key not in self._fast:
            self._fast[key] = fast_validator(schema)
        fast = self._fast[key]
        if fast is not None and (key not in self._cached or name not in self._latest):
            cached = CachedSchema(schema, name, revision, fast.is_valid, {"schema": name, "revision": revision})
            self._cached[key] = cached
            self._latest[name] = cached
        return fast

    def _forget(self, key: Key) -> None:
        self._fast.pop(key, None)
        self._cached.pop(key, None)
        latest = self._latest.get(key[0])
        if latest is not None and latest.revision == key[1]:
            del self._latest[key[0]]


def _failing_properties(fast: FastValidator | None, instance: Any) -> Container[Any] | None:
    if fast is None:
        return None
    try:
        return fast.failing_properties(instance)
    except ValueError:
        return None
