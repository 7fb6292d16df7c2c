# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Validates capsules fast and slowly: which path is taken, what is remembered, and what is said of invalid ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from elworkers.core.errors import EventTimeout, InvalidEventError, InvalidSchemaError
from elworkers.core.metrics import Counters
from elworkers.schema import validate as validate_module
from elworkers.schema.store import SchemaStore
from elworkers.schema.validate import NEW_SCHEMA, REJECTED, UNSUPPORTED_SCHEMA, Validator

FIELDS = {"action": {"type": "string", "required": True}, "count": {"type": "integer"}}
SCHEMAS: dict[str, dict[str, Any]] = {
    "Edit/1": {"properties": FIELDS},
    "Edit/2": {"properties": {"action": {"type": "integer"}}},
    "Edit/3": {"properties": {}},
    "Pattern/1": {"properties": {"action": {"type": "string", "pattern": "^a"}, "count": {"type": "integer"}}},
    "Loop/1": {"properties": {"action": {"$ref": "http://example.org/"}}},
}


class Aside(Counters):
    """Counters that remember what is set aside."""

    def __init__(self) -> None:
        super().__init__()
        self.standing: dict[str, str] = {}

    def set_aside(self, what: str, why: str, since: float | None = None) -> None:
        self.standing[what] = why

    def resumed(self, what: str) -> None:
        self.standing.pop(what)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, schema in SCHEMAS.items():
        path = tmp_path / f"{name}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(schema), encoding="utf-8")
    return tmp_path


@pytest.fixture
def store(folder: Path) -> SchemaStore:
    return SchemaStore([str(folder)])


def capsule(schema: object = "Edit", revision: object = 1, event: object = None, **fields: Any) -> dict[str, Any]:
    given = {"action": "open"} if event is None else event
    return {
        "schema": schema,
        "revision": revision,
        "event": given,
        "wiki": "w",
        "recvFrom": "h",
        "uuid": "0" * 32,
        **fields,
    }


def messages(validator: Validator, event: dict[str, Any]) -> list[str]:
    """What is said of an invalid capsule, whichever way it is validated."""
    said = []
    for validate in (validator.validate, validator.validate_slow):
        with pytest.raises(InvalidEventError) as caught:
            validate(event)
        assert caught.value.code == "validation"
        said.append(caught.value.message)
    return said


@pytest.mark.parametrize(
    ("event", "message"),
    [
        (capsule(wiki=1), "capsule.wiki: 1 is not of type 'string'"),
        (capsule(event=[]), "capsule.event: [] is not of type 'object'"),
        (capsule(event={"action": 1}), "event.action: 1 is not of type 'string'"),
        (capsule(event={}), "event.action: 'action' is a required property"),
        (capsule(revision=2), "event.action: 'open' is not of type 'integer'"),
        (capsule("Pattern", event={"action": "b"}), "event.action: 'b' does not match '^a'"),
        (capsule("Nobodys"), "there is no schema Nobodys of revision 1"),
        (capsule(revision=1.0), "capsule.revision: 1.0 is not of type 'integer'"),
        (capsule(schema=["Edit"]), "capsule.schema: ['Edit'] is not of type 'string'"),
    ],
)
def test_what_is_invalid_names_its_field(store: SchemaStore, event: dict[str, Any], message: str) -> None:
    validator = Validator(store)
    said = messages(validator, event)
    assert said == [said[0]] * 2
    assert said[0].startswith(message)
    assert validator.validate_fast(event) is None


def test_a_schema_takes_the_fast_path_once_an_event_was_valid_by_it(store: SchemaStore) -> None:
    validator = Validator(store)
    event = capsule()
    assert validator.validate_fast(event) is None
    assert validator.slow_path_reason(event) == NEW_SCHEMA
    validator.validate(event)
    assert validator.validate_fast(event) is None, "`validate` is for those who validate one now and then"
    validator.validate_slow(event)
    found = validator.validate_fast(event)
    assert found is not None
    assert (found.name, found.revision, found.events) == ("Edit", 1, 0)
    assert found.routing_fields == {"schema": "Edit", "revision": 1}
    assert found.schema is store.schema("Edit", 1)
    validator.validate_slow(event)
    assert validator.validate_fast(capsule(event={"action": "x", "count": 3})) is found


def test_revisions_of_a_schema_are_told_apart(store: SchemaStore) -> None:
    validator = Validator(store)
    first, second = capsule(), capsule(revision=2, event={"action": 1})
    validator.validate_slow(first)
    assert validator.validate_fast(second) is None
    assert validator.slow_path_reason(second) == NEW_SCHEMA
    validator.validate_slow(second)
    for event in (first, second, first):
        found = validator.validate_fast(event)
        assert found is not None
        assert found.revision == event["revision"]
    assert validator.validate_fast(capsule(revision=2)) is None
    assert validator.validate_fast(capsule(event={"action": 1})) is None


def test_why_the_fast_path_is_not_taken(store: SchemaStore) -> None:
    validator = Validator(store)
    validator.validate_slow(capsule())
    pattern = capsule("Pattern", event={"action": "a"})
    assert validator.slow_path_reason(pattern) == NEW_SCHEMA
    validator.validate_slow(pattern)
    assert validator.validate_fast(pattern) is None
    assert validator.slow_path_reason(pattern) == UNSUPPORTED_SCHEMA
    for event in (capsule(event={"action": 1}), capsule(wiki=1), capsule(schema=[]), capsule(revision={})):
        assert validator.validate_fast(event) is None
        assert validator.slow_path_reason(event) == REJECTED


@pytest.mark.parametrize("revision", [True, 1.0])
def test_only_an_integer_is_a_revision(store: SchemaStore, revision: object) -> None:
    validator = Validator(store)
    validator.validate_slow(capsule())
    assert validator.validate_fast(capsule(revision=revision)) is None
    with pytest.raises(InvalidEventError, match=r"^capsule\.revision: "):
        validator.validate_slow(capsule(revision=revision))


@pytest.mark.parametrize("name", ["schema", "revision", "event"])
def test_a_capsule_without_a_field_is_left_to_the_slow_path(store: SchemaStore, name: str) -> None:
    validator = Validator(store)
    validator.validate_slow(capsule())
    event = capsule()
    del event[name]
    assert validator.validate_fast(event) is None
    assert validator.slow_path_reason(event) in (NEW_SCHEMA, REJECTED)
    assert messages(validator, event) == [f"capsule.{name}: '{name}' is a required property"] * 2


def test_what_the_fast_validator_cannot_read_is_left_to_the_slow_path(store: SchemaStore) -> None:
    validator = Validator(store)
    validator.validate_slow(capsule())
    for event in (capsule(event={"action": {1, 2}}), capsule(wiki={1, 2})):
        assert validator.validate_fast(event) is None
        assert validator.slow_path_reason(event) == REJECTED


def test_only_what_may_be_wrong_is_looked_at_again(store: SchemaStore) -> None:
    validator = Validator(store)
    validator.validate_slow(capsule())
    outer, inner = store.schema("EventCapsule", 1).strict, store.schema("Edit", 1).strict
    assert outer.failing is None
    with pytest.raises(InvalidEventError):
        validator.validate_slow(capsule(event={"action": "a", "count": "b"}))
    assert (outer.failing, inner.failing) == (None, {"count"}), "the capsule is valid, and is not looked at again"
    with pytest.raises(InvalidEventError):
        validator.validate_slow(capsule(wiki=1))
    assert (outer.failing, inner.failing) == ({"wiki"}, {"count"})
    validator.validate(capsule())
    assert (outer.failing, inner.failing) == (None, None)
    validator.validate_slow(capsule("Pattern", event={"action": "a"}))
    assert store.schema("Pattern", 1).strict.failing is None


@pytest.mark.parametrize("way", ["validate", "validate_slow"])
def test_a_schema_that_cannot_be_used_is_set_aside_until_no_event_names_it(folder: Path, way: str) -> None:
    now, metrics = [0.0], Aside()
    validator = Validator(SchemaStore([str(folder)], unknown_for_s=60, clock=lambda: now[0], metrics=metrics))
    for _ in range(2):
        with pytest.raises(InvalidSchemaError, match="leads out of the schema"):
            getattr(validator, way)(capsule("Loop"))
    (why,) = metrics.standing.values()
    assert metrics.standing == {"schema Loop/1": why}
    assert why.startswith("the schema Loop of revision 1 is itself invalid: ")
    now[0] = 601
    validator.expire()
    assert metrics.standing == {}


def test_what_is_made_of_an_evicted_schema_is_forgotten(store: SchemaStore) -> None:
    validator = Validator(store)
    first, second = capsule(), capsule(revision=2, event={"action": 1})
    validator.validate_slow(first)
    validator.validate_slow(second)
    store.set_aside(store.schema("Edit", 1), "Edit 1")
    assert validator.slow_path_reason(first) == NEW_SCHEMA
    assert validator.validate_fast(first) is None
    assert validator.validate_fast(second) is not None, "it is the latest"
    store.set_aside(store.schema("Edit", 2), "Edit 2")
    assert validator.validate_fast(second) is None
    assert validator.slow_path_reason(second) == NEW_SCHEMA


def test_an_older_revision_takes_the_fast_path_again_after_the_latest_was_evicted(store: SchemaStore) -> None:
    validator = Validator(store)
    for revision, event in ((1, {"action": "a"}), (2, {"action": 1})):
        validator.validate_slow(capsule(revision=revision, event=event))
    store.set_aside(store.schema("Edit", 2), "Edit 2")
    store.set_aside(store.schema("Pattern", 1), "of which nothing was made yet")
    assert validator.validate_fast(capsule()) is None
    validator.validate_slow(capsule())
    assert validator.validate_fast(capsule()) is not None


def test_what_an_event_had_no_time_for_the_next_one_does(store: SchemaStore, monkeypatch: pytest.MonkeyPatch) -> None:
    validator = Validator(store)

    def too_long(*_: Any) -> Any:
        raise EventTimeout

    with monkeypatch.context() as patched:
        patched.setattr(validate_module, "CachedSchema", too_long)
        with pytest.raises(EventTimeout):
            validator.validate_slow(capsule())
    assert validator.validate_fast(capsule()) is None
    validator.validate_slow(capsule())
    assert validator.validate_fast(capsule()) is not None


def test_without_a_fast_capsule_every_event_takes_the_slow_path(
    store: SchemaStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(validate_module, "fast_capsule_validator", lambda _: None)
    validator = Validator(store)
    validator.validate_slow(capsule())
    assert validator.validate_fast(capsule()) is None
    with pytest.raises(InvalidEventError, match=r"^capsule\.wiki: 1 is not of type 'string'$"):
        validator.validate_slow(capsule(wiki=1))
