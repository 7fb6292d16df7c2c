"""Capsules come in; those that fit both the capsule's schema and their own pass, the others get a reason."""

from __future__ import annotations

from elworkers.contracts import Event
from elworkers.stages.schemas import SchemaStore

CAPSULE = ("EventCapsule", 1)


class Validator:
    """Validates capsules and the events in them."""

    def __init__(self, store: SchemaStore) -> None:
        self._store = store
        self._capsule = store.schema(*CAPSULE)

    def validate(self, event: Event) -> None:
        """Judge one capsule.

        Raises:
            InvalidEventError: names the field and what was expected; its code is `validation`.
            RetryableError: the schema cannot be had now.
        """
        self._capsule.validate(event, "capsule")
        self._store.schema(event["schema"], event["revision"]).validate(event["event"], "event")
