# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""What the fast validators leave out, because another has looked at it, and what they do not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from elworkers.schema.compile import CompiledSchema
from elworkers.schema.fast_validate import FastValidator, fast_capsule_validator, fast_validator
from elworkers.schema.store import BUILT_IN

DRAFTS = {
    3: None,
    4: "http://json-schema.org/draft-04/schema#",
    6: "http://json-schema.org/draft-06/schema#",
    7: "http://json-schema.org/draft-07/schema#",
    2020: "https://json-schema.org/draft/2020-12/schema",
}
SOURCE = json.loads((BUILT_IN / "EventCapsule" / "1.json").read_text(encoding="utf-8"))
ENVELOPE = {"schema": "X", "revision": 1, "wiki": "w", "recvFrom": "h", "uuid": "0" * 32}


def compiled(schema: dict[str, Any]) -> FastValidator | None:
    return fast_validator(CompiledSchema("X", 1, schema))


def capsule_with(**changed: Any) -> FastValidator | None:
    """The fast validator of the capsule's schema with some of its fields changed; None takes one away."""
    fields = {name: field for name, field in {**SOURCE["properties"], **changed}.items() if field is not None}
    return fast_capsule_validator(CompiledSchema("EventCapsule", 1, {**SOURCE, "properties": fields}))


def usual_capsules() -> FastValidator:
    fast = capsule_with()
    assert fast is not None
    return fast


def test_the_event_in_a_capsule_is_left_to_its_own_schema() -> None:
    deep = {"a": {"b": {"c": {"d": {"e": 10**30}}}}}
    assert usual_capsules().is_valid({**ENVELOPE, "event": deep})
    assert not usual_capsules().is_valid({**ENVELOPE, "event": {}, "userAgent": deep})
    assert not usual_capsules().is_valid({**ENVELOPE, "event": [deep]})


def test_a_capsule_that_constrains_its_event_does() -> None:
    fast = capsule_with(event={"type": "object", "properties": {"a": {"type": "string"}}})
    assert fast is not None
    assert fast.is_valid({**ENVELOPE, "event": {"a": "x"}})
    assert not fast.is_valid({**ENVELOPE, "event": {"a": 1}})
    assert fast.failing_properties({**ENVELOPE, "event": {"a": 1}, "wiki": 2}) == {"event", "wiki"}
    assert fast.failing_properties({"event": {}}) == frozenset()


def test_the_uuid_is_not_looked_at_again() -> None:
    for fast in (usual_capsules(), capsule_with(uuid={"type": "string"})):
        assert fast is not None
        assert fast.is_valid({**ENVELOPE, "event": {}, "uuid": "no uuid"})
        assert not fast.is_valid({**ENVELOPE, "event": {}, "uuid": 1})


@pytest.mark.parametrize("changed", [{"uuid": None}, {"event": None}, {"wiki": {"$ref": "#"}}])
def test_a_capsule_that_cannot_be_translated_has_no_fast_validator(changed: dict[str, Any]) -> None:
    assert capsule_with(**changed) is None


@pytest.mark.parametrize(("draft", "valid"), [(3, False), (4, False), (6, True), (7, True), (2020, True)])
def test_whether_a_double_is_an_integer_is_up_to_the_draft(draft: int, valid: bool) -> None:
    name = DRAFTS[draft]
    fields = {"properties": {"a": {"type": "integer"}}}
    fast = compiled({"$schema": name, **fields} if name else fields)
    assert fast is not None
    assert fast.is_valid({"a": 1})
    assert fast.is_valid({"a": 1.0}) is valid
    assert fast.failing_properties({"a": "x", "b": 1}) == {"a"}


def test_formats_are_not_checked() -> None:
    fast = compiled({"$schema": DRAFTS[7], "properties": {"a": {"type": "string", "format": "date-time"}}})
    assert fast is not None
    assert fast.is_valid({"a": "yesterday"})
