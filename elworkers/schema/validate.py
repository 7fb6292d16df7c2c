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

ROUTED = frozenset(("schema", "revision"))
"""Fields of a capsule that say which schema it is of."""

FIRST, SCHEMA, REFUSED = "first", "schema", "refused"
"""Why the fast validator does not accept an event: its schema is new, or too much for it, or it says no."""


@dataclass(slots=True)
class CachedSchema:
    """A revision of a schema that events were valid by.

    Attributes:
        schema: which one; told after each batch that it was used.
        name, revision: of it.
        accepts: of an event proper, as `FastValidator` has it.
        routed: the fields `ROUTED` of its capsules; nobody may change it.
        events: how many were accepted and are not counted yet. Here, because an event finds all else of its schema in
            the processor's cache only where few others come between.
    """

    schema: CompiledSchema
    name: str
    revision: int
    accepts: Callable[[Any], bool]
    routed: Event
    events: int = 0


class Validator:
    """Validates capsules and the events in them.

    `jsonschema` decides. Where a schema has only what `jsonschema-rs` decides the same, that one is asked first, in
    a hundredth of the time: what it accepts is valid.
    """

    def __init__(self, store: SchemaStore) -> None:
        self._store = store
        self._capsule = store.schema(*CAPSULE)
        self._capsule_judge = fast_capsule_validator(self._capsule)
        self._accepts_capsule = self._capsule_judge.accepts if self._capsule_judge else lambda _: False
        self._judges: dict[Key, FastValidator | None] = {}
        self._newest: dict[object, CachedSchema] = {}
        self._known: dict[object, CachedSchema] = {}
        store.on_forget(self._forget)

    def validate(self, event: Event) -> None:
        """Validate one capsule.

        Raises:
            InvalidEventError: names the field and what was expected; its code is `validation`.
            InvalidSchemaError: its schema is itself invalid.
            RetryableError: the schema cannot be had now.
        """
        self._capsule.validate(event, "capsule")
        self._judge(self._store.schema(event["schema"], event["revision"]), event["event"])

    def tend(self) -> None:
        """See `SchemaStore.tend`."""
        self._store.tend()

    def accepted(self, event: Event) -> CachedSchema | None:
        """Return the schema of a capsule that is surely valid; None where `explain` has to be asked.

        Args:
            event: as `orjson` reads it and `capsule.complete` leaves it.
        """
        try:
            # 1.0 and True find the schema of revision 1 too, and are refused by it.
            name, revision = event.get("schema"), event.get("revision")
            known = self._newest.get(name)
            if known is not None and known.revision != revision:
                known = self._known.get((name, revision))
            if known is not None and self._accepts_capsule(event) and known.accepts(event["event"]):
                return known
        except (TypeError, ValueError):
            pass
        return None

    def doubt(self, event: Event) -> str:
        """Return why a capsule is not `accepted`."""
        key = (event.get("schema"), event.get("revision"))
        try:
            if self._known.get(key) is None:
                return SCHEMA if key in self._judges else FIRST
        except TypeError:
            pass
        return REFUSED

    def explain(self, event: Event) -> None:
        """Validate one capsule that is not `accepted`; as `validate`.

        Args:
            event: the same, where `json_text.reads_alike`.
        """
        if not self._accepts_capsule(event):
            self._capsule.validate(event, "capsule", _suspects(self._capsule_judge, event))
        schema = self._store.schema(event["schema"], event["revision"])
        judge = self._met(schema)
        self._judge(schema, event["event"], _suspects(judge, event["event"]))

    def _judge(self, schema: CompiledSchema, event: Event, suspects: Container[Any] | None = None) -> None:
        try:
            schema.validate(event, "event", suspects)
        except InvalidSchemaError as error:
            self._store.set_aside(schema, error.message)
            raise

    def _met(self, schema: CompiledSchema) -> FastValidator | None:
        # An event's time may run out between any two steps; whoever comes next takes those that are missing.
        name, revision = key = schema.name, schema.revision
        if key not in self._judges:
            self._judges[key] = fast_validator(schema)
        judge = self._judges[key]
        if judge is not None and (key not in self._known or name not in self._newest):
            known = CachedSchema(schema, name, revision, judge.accepts, {"schema": name, "revision": revision})
            self._known[key] = known
            self._newest[name] = known
        return judge

    def _forget(self, key: Key) -> None:
        self._judges.pop(key, None)
        self._known.pop(key, None)
        newest = self._newest.get(key[0])
        if newest is not None and newest.revision == key[1]:
            del self._newest[key[0]]


def _suspects(judge: FastValidator | None, instance: Any) -> Container[Any] | None:
    if judge is None:
        return None
    try:
        return judge.suspects(instance)
    except ValueError:
        return None
