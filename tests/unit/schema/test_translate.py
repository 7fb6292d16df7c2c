# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""What a schema of each draft becomes in draft 4's keywords, and what is said of what is not taken."""

from __future__ import annotations

import re
from typing import Any

import pytest

from elworkers.schema.translate import TranslationError, translated

LARGEST = 9 * 10**18
BOUNDS = {"minimum": -LARGEST, "maximum": LARGEST}
SIMPLE = {"type": ["boolean", "null", "string"]}
NUMBER = {"type": "number", **BOUNDS}


def free(levels: int) -> dict[str, Any]:
    """What accepts any value of so many levels."""
    if not levels:
        return {"anyOf": [SIMPLE, NUMBER]}
    inner = free(levels - 1)
    return {
        "anyOf": [
            SIMPLE,
            {"type": "object", "additionalProperties": inner},
            {"type": "array", "items": inner},
            NUMBER,
        ]
    }


OPEN = {"properties": {}, "additionalProperties": free(3)}


@pytest.mark.parametrize(
    ("schema", "draft", "made"),
    [
        ({"type": "string"}, 4, {"type": ["string"]}),
        ({"type": ["null", "boolean"]}, 4, {"type": ["boolean", "null"]}),
        ({"type": "number"}, 3, {"type": ["number"], **BOUNDS}),
        ({"type": "integer"}, 3, {"type": ["integer"]}),
        ({"type": "integer"}, 4, {"type": ["integer"]}),
        ({"type": "integer"}, 6, {"type": ["integer"], **BOUNDS}),
        ({"type": "any"}, 3, {**BOUNDS, "items": free(3), **OPEN}),
        ({"type": ["string", "any"]}, 3, {**BOUNDS, "items": free(3), **OPEN}),
        ({}, 7, {**BOUNDS, "items": free(3), **OPEN}),
        (
            {"type": ["object", "array", "string", "number", "integer", "boolean", "null"]},
            4,
            {**BOUNDS, "items": free(3), **OPEN},
        ),
        ({"type": "array"}, 4, {"type": ["array"], "items": free(3)}),
        ({"type": "array", "items": {"type": "null"}}, 4, {"type": ["array"], "items": {"type": ["null"]}}),
        ({"type": "object"}, 4, {"type": ["object"], **OPEN}),
        (
            {"type": "object", "additionalProperties": False},
            4,
            {"type": ["object"], "properties": {}, "additionalProperties": False},
        ),
        (
            {"type": "object", "additionalProperties": {"type": "null"}},
            4,
            {"type": ["object"], "properties": {}, "additionalProperties": {"type": ["null"]}},
        ),
        ({"type": "object", "required": ["a", "b"]}, 4, {"type": ["object"], **OPEN, "required": ["a", "b"]}),
        (
            {"type": "object", "properties": {"a": {"type": "null", "required": True}, "b": {"type": "null"}}},
            3,
            {
                "type": ["object"],
                "properties": {"a": {"type": ["null"]}, "b": {"type": ["null"]}},
                "additionalProperties": free(3),
                "required": ["a"],
            },
        ),
        ({"type": "object", "required": True}, 3, {"type": ["object"], **OPEN}),
        (
            {"enum": [1, "a", None, True, -(2**53) + 1]},
            4,
            {"enum": [1, "a", None, True, -(2**53) + 1], "items": free(3), **OPEN},
        ),
        ({"type": "number", "enum": [1]}, 4, {"type": ["number"], "enum": [1]}),
        ({"type": "number", "enum": [1], "minimum": 0}, 4, {"type": ["number"], "enum": [1], "minimum": 0}),
        ({"type": "number", "minimum": -1.5}, 4, {"type": ["number"], "minimum": -1.5, "maximum": LARGEST}),
        ({"type": "integer", "maximum": 2**53 - 1}, 4, {"type": ["integer"], "maximum": 2**53 - 1}),
        ({"type": "string", "maximum": 1, "minItems": 1}, 4, {"type": ["string"]}),
        (
            {"type": "string", "minLength": 0, "maxLength": 2**53 - 1, "pattern": "^[0-9a-f]{32}$"},
            4,
            {"type": ["string"], "minLength": 0, "maxLength": 2**53 - 1, "pattern": "^[0-9a-f]{32}$"},
        ),
        (
            {"type": "array", "items": {"type": "null"}, "minItems": 1, "maxItems": 2, "minLength": 1},
            4,
            {"type": ["array"], "items": {"type": ["null"]}, "minItems": 1, "maxItems": 2},
        ),
        (
            {"$schema": "x", "$id": "http://x/y#", "id": "", "title": 1, "description": 1, "default": 1, "format": 1}
            | {"examples": 1, "$comment": 1, "type": "null"},
            4,
            {"type": ["null"]},
        ),
    ],
)
def test_what_is_taken(schema: dict[str, Any], draft: int, made: dict[str, Any]) -> None:
    assert translated(schema, draft) == made


SIZE = "a size that is no integer of 0 to 2**53"
BOUND = "a bound beyond 2**53"
MEMBERS = "an enum of other than strings, integers, true, false and null"
TYPES = "a type that is neither a name nor a list of names"


@pytest.mark.parametrize(
    ("schema", "draft", "message"),
    [
        ({"items": []}, 4, "a schema that is no object"),
        ({"properties": {"$schema": 1}}, 4, "a schema that is no object"),
        ({"properties": {"a": {"$schema": "x"}}}, 4, "the keyword $schema"),
        ({"not": {}}, 4, "the keyword not"),
        ({"id": "a b"}, 4, "the keyword id that is no plain identifier"),
        ({"$id": 1}, 4, "the keyword $id that is no plain identifier"),
        ({"type": 1}, 4, TYPES),
        ({"type": []}, 4, TYPES),
        ({"type": ["string", {}]}, 3, TYPES),
        ({"type": {"string": 1}}, 4, TYPES),
        ({"type": "any"}, 4, "the type any"),
        ({"type": ["b", "string", "a"]}, 3, "the type a"),
        ({"properties": []}, 4, "properties that are no object"),
        ({"required": "a"}, 4, "required that is no list of names"),
        ({"required": [1]}, 4, "required that is no list of names"),
        ({"required": {"a": 1}}, 4, "required that is no list of names"),
        ({"properties": {"a": {"required": 1}}}, 3, "required that is neither true nor false"),
        ({"additionalProperties": 1}, 4, "additionalProperties that is neither true nor false nor a schema"),
        ({"additionalProperties": {"not": {}}}, 4, "the keyword not"),
        ({"enum": []}, 4, "an enum without members"),
        ({"enum": {"a": 1}}, 4, "an enum without members"),
        ({"enum": ["a", 1.0]}, 4, MEMBERS),
        ({"enum": [True, None, [1]]}, 4, MEMBERS),
        ({"enum": [2**53]}, 4, MEMBERS),
        ({"enum": [-(2**53)]}, 4, MEMBERS),
        ({"minimum": True}, 4, BOUND),
        ({"minimum": "1"}, 4, BOUND),
        ({"maximum": 2**53}, 4, BOUND),
        ({"maximum": float("nan")}, 4, BOUND),
        ({"minimum": -(2**53)}, 4, BOUND),
        ({"minLength": -1}, 4, SIZE),
        ({"maxLength": 2**53}, 4, SIZE),
        ({"minItems": 1.0}, 4, SIZE),
        ({"maxItems": True}, 4, SIZE),
        ({"pattern": "a"}, 4, "the keyword pattern"),
    ],
)
def test_what_is_not_taken_is_named(schema: dict[str, Any], draft: int, message: str) -> None:
    with pytest.raises(TranslationError, match=f"^{re.escape(message)}$"):
        translated(schema, draft)


@pytest.mark.parametrize("keyword", ["items", "additionalProperties", "properties"])
def test_a_schema_may_be_nested_fifty_levels_deep(keyword: str) -> None:
    def nested(levels: int) -> dict[str, Any]:
        schema: dict[str, Any] = {}
        for _ in range(levels):
            schema = {keyword: {"a": schema} if keyword == "properties" else schema}
        return schema

    translated(nested(50), 4)
    with pytest.raises(TranslationError, match=r"^a schema nested deeper than 50 levels$"):
        translated(nested(51), 4)


@pytest.mark.parametrize("draft", [3, 4])
def test_the_draft_holds_for_what_is_inside(draft: int) -> None:
    inner = {"properties": {"a": {"type": "null", "required": True}}} if draft == 3 else {"required": ["a"]}
    for schema, found in (
        ({"items": inner}, lambda made: made["items"]),
        ({"additionalProperties": inner}, lambda made: made["additionalProperties"]),
        ({"properties": {"b": inner}}, lambda made: made["properties"]["b"]),
    ):
        assert found(translated(schema, draft))["required"] == ["a"]
