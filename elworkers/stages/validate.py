"""Capsules come in; those that fit both the capsule's schema and their own pass, the others get a reason."""

from __future__ import annotations

from elworkers.contracts import Event
from elworkers.stages.quickjudge import Judge, quick_capsule_judge, quick_judge
from elworkers.stages.schemas import SchemaStore

CAPSULE = ("EventCapsule", 1)


FIRST, SCHEMA, REFUSED = "first", "schema", "refused"
"""Why the quick judge does not say that an event is valid: it has not seen its schema, cannot judge it, or says no."""


class Validator:
    """Validates capsules and the events in them.

    `jsonschema` is the judge. Where a schema has only what `jsonschema-rs` judges the same, that one is asked first, in
    a hundredth of the time: what it accepts is valid.
    """

    def __init__(self, store: SchemaStore) -> None:
        self._store = store
        self._capsule = store.schema(*CAPSULE)
        self._accepts_capsule: Judge = quick_capsule_judge(self._capsule) or (lambda _: False)
        self._judges: dict[object, Judge | None] = {}

    def validate(self, event: Event) -> None:
        """Judge one capsule.

        Raises:
            InvalidEventError: names the field and what was expected; its code is `validation`.
            RetryableError: the schema cannot be had now.
        """
        self._capsule.validate(event, "capsule")
        self._store.schema(event["schema"], event["revision"]).validate(event["event"], "event")

    def doubt(self, event: Event) -> str | None:
        """None where a capsule is valid; otherwise why `explain` has to be asked.

        Args:
            event: as `orjson` reads it and `capsule.complete` leaves it.
        """
        # 1.0 and True find the schema of revision 1 too, and are refused by its judge.
        key = (event.get("schema"), event.get("revision"))
        try:
            judge = self._judges.get(key)
            if judge is not None:
                return None if self._accepts_capsule(event) and judge(event["event"]) else REFUSED
        except (TypeError, ValueError):
            return REFUSED
        return SCHEMA if key in self._judges else FIRST

    def explain(self, event: Event) -> None:
        """Judge one capsule that `doubt` has doubts about; as `validate`.

        Args:
            event: the same, where `jsontext.reads_alike`.
        """
        if not self._accepts_capsule(event):
            self._capsule.validate(event, "capsule")
        schema = self._store.schema(event["schema"], event["revision"])
        key = (schema.name, schema.revision)
        if key not in self._judges:
            self._judges[key] = quick_judge(schema)
        schema.validate(event["event"], "event")
