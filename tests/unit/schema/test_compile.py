# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Compiled schemas: every draft validates by its own keywords, and nothing is fetched for it."""

from __future__ import annotations

from typing import Any

import pytest
from schemawiki import SchemaWiki

from elworkers.core.errors import InvalidEventError
from elworkers.schema.compile import CompiledSchema

DRAFT = {
    3: "http://json-schema.org/draft-03/schema#",
    4: "http://json-schema.org/draft-04/schema#",
    6: "http://json-schema.org/draft-06/schema#",
    7: "http://json-schema.org/draft-07/schema#",
    2019: "https://json-schema.org/draft/2019-09/schema",
    2020: "https://json-schema.org/draft/2020-12/schema",
}


def validator(schema: dict[str, Any], event: Any) -> str | None:
    """None where the event is valid, else the reason."""
    try:
        CompiledSchema("Edit", 1, schema).validate(event, "event")
    except InvalidEventError as error:
        return f"{error.message}" if error.code == "validation" else f"wrong code {error.code}"
    return None


CASES: list[tuple[int, dict[str, Any], Any, Any]] = [
    (3, {"properties": {"a": {"type": "string", "required": True}}}, {"a": "x"}, {}),
    (3, {"properties": {"a": {"type": "number", "divisibleBy": 2}}}, {"a": 4}, {"a": 3}),
    (3, {"properties": {"a": {"disallow": ["string"]}}}, {"a": 1}, {"a": "x"}),
    (4, {"properties": {"a": {}}, "required": ["a"]}, {"a": 1}, {}),
    (4, {"properties": {"a": {"maximum": 3, "exclusiveMaximum": True}}}, {"a": 2}, {"a": 3}),
    (6, {"properties": {"a": {"exclusiveMaximum": 3}}}, {"a": 2}, {"a": 3}),
    (6, {"properties": {"a": {"const": "x"}}}, {"a": "x"}, {"a": "y"}),
    (7, {"properties": {"a": {}, "b": {}}, "if": {"required": ["a"]}, "then": {"required": ["b"]}}, {"b": 1}, {"a": 1}),
    (2019, {"properties": {"a": {}, "b": {}}, "dependentRequired": {"a": ["b"]}}, {"b": 1}, {"a": 1}),
    (2020, {"properties": {"a": {"prefixItems": [{"type": "string"}]}}}, {"a": ["x"]}, {"a": [1]}),
]


@pytest.mark.parametrize(("draft", "schema", "good", "bad"), CASES)
def test_each_draft_by_a_word_of_its_own(draft: int, schema: dict[str, Any], good: Any, bad: Any) -> None:
    named = {"$schema": DRAFT[draft], **schema}
    assert validator(named, good) is None
    assert validator(named, bad)


@pytest.mark.parametrize("draft", [3, 4, 6, 7, 2019, 2020])
def test_an_empty_fragment_of_the_drafts_name_makes_no_difference(draft: int) -> None:
    for name in (DRAFT[draft].rstrip("#"), DRAFT[draft].rstrip("#") + "#"):
        assert validator({"$schema": name, "properties": {"a": {"type": "string"}}}, {"a": "x"}) is None


def test_without_a_name_it_is_draft_3() -> None:
    assert validator({"properties": {"a": {"required": True}}}, {}) == "event.a: 'a' is a required property"


def test_only_the_top_level_is_closed_where_the_schema_says_nothing() -> None:
    schema = {"properties": {"a": {"type": "object", "properties": {"b": {"type": "string"}}}}}
    assert validator(schema, {"a": {"b": "x", "other": 1}}) is None
    assert validator(schema, {"other": 1}) == "event: Additional properties are not allowed ('other' was unexpected)"
    assert validator({**schema, "additionalProperties": True}, {"other": 1}) is None


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"properties": {"a": {"type": 12}}}, "is itself invalid: properties.a.type"),
        ({"properties": []}, "is itself invalid: properties"),
        ({"$schema": "http://example.org/my-own"}, r"\$schema 'http://example.org/my-own' is no draft that is known"),
        ({"$schema": 4}, r"\$schema 4 is no draft"),
        ({"$schema": DRAFT[4], "properties": {"a": {"required": True}}}, "is itself invalid: properties.a.required"),
    ],
)
def test_a_schema_that_is_itself_invalid_is_named(schema: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidEventError, match=said):
        CompiledSchema("Edit", 1, schema)


def test_a_pattern_that_is_none_makes_events_invalid() -> None:
    assert "itself invalid" in str(validator({"properties": {"a": {"type": "string", "pattern": "("}}}, {"a": "x"}))


def test_a_reference_inside_the_schema_is_followed() -> None:
    schema = {
        "$schema": DRAFT[7],
        "definitions": {"word": {"type": "string"}},
        "properties": {"a": {"$ref": "#/definitions/word"}},
    }
    assert validator(schema, {"a": "x"}) is None
    assert validator(schema, {"a": 1}) == "event.a: 1 is not of type 'string'"


@pytest.mark.parametrize("draft", [3, 4, 6, 7, 2019, 2020])
def test_a_reference_never_goes_over_the_network(draft: int) -> None:
    wiki = SchemaWiki()
    try:
        schema = {"$schema": DRAFT[draft], "properties": {"a": {"$ref": f"{wiki.api}?revid=1"}}}
        assert "leads out of the schema" in str(validator(schema, {"a": "x"}))
        assert wiki.asked == []
    finally:
        wiki.close()


def test_a_schema_that_refers_to_itself_ends() -> None:
    schema = {"$schema": DRAFT[7], "properties": {"a": {"$ref": "#"}}}
    deep: dict[str, Any] = {}
    for _ in range(50_000):
        deep = {"a": deep}
    assert validator(schema, {"a": {"a": {}}}) is None
    assert validator(schema, deep) == "event: nested too deeply to be validated"


def test_a_long_value_does_not_fill_the_message() -> None:
    assert len(str(validator({"properties": {"a": {"type": "integer"}}}, {"a": "x" * 100_000}))) < 300


@pytest.mark.parametrize("ending", ["", "#"])
@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(
    ("path", "draft"),
    [
        ("draft-03/schema", 3),
        ("draft-04/schema", 4),
        ("draft-06/schema", 6),
        ("draft-07/schema", 7),
        ("draft/2019-09/schema", 2019),
        ("draft/2020-12/schema", 2020),
    ],
)
def test_a_draft_is_the_same_by_http_and_https(scheme: str, path: str, draft: int, ending: str) -> None:
    assert CompiledSchema("S", 1, {"$schema": f"{scheme}://json-schema.org/{path}{ending}"}).draft == draft


def test_a_draft_that_does_not_exist_names_the_nearest() -> None:
    with pytest.raises(InvalidEventError, match=r"the nearest is http://json-schema\.org/draft-0[3467]/schema#"):
        CompiledSchema("S", 1, {"$schema": "http://json-schema.org/draft-05/schema#"})
