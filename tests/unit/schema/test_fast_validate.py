# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""The fast validator beside `jsonschema`, on schemas and events of every kind."""

from __future__ import annotations

import json
from collections.abc import Container, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from elworkers.core.errors import InvalidEventError
from elworkers.events.capsule import add_defaults
from elworkers.events.json_text import parse_object
from elworkers.schema.compile import CompiledSchema
from elworkers.schema.fast_validate import FastValidator, fast_capsule_validator, fast_validator
from elworkers.schema.store import BUILT_IN
from elworkers.schema.translate import TranslationError, translated

DEMO = Path(__file__).parent.parent.parent.parent / "demo" / "schemas"
DRAFTS = {
    3: None,
    4: "http://json-schema.org/draft-04/schema#",
    6: "http://json-schema.org/draft-06/schema#",
    7: "http://json-schema.org/draft-07/schema#",
    2019: "https://json-schema.org/draft/2019-09/schema",
    2020: "https://json-schema.org/draft/2020-12/schema",
}
CAPSULE = CompiledSchema(
    "EventCapsule", 1, json.loads((BUILT_IN / "EventCapsule" / "1.json").read_text(encoding="utf-8"))
)
ENVELOPE = {"schema": "X", "revision": 1, "wiki": "w", "recvFrom": "h", "uuid": "0" * 32}

NAMES = st.sampled_from(["a", "b", "$ref", "id", "required", "type", "properties", "ж", "𝄞"])
STRINGS = st.sampled_from(["", "a", "1", "𝄞", "𝄞𝄞", "é", "e\u0301", "\0", "a\n", "ab"])
NUMBERS = st.sampled_from(
    (0, 1, 2, -1, 1.0, 0.5, -0.0, 1e16, 1e300, 2**31, 2**53 - 1, 2**53, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1)
) | st.sampled_from((-(2**63), 9 * 10**18, 9 * 10**18 + 1, 9e18, 9007199254740992.0, 0.1, 0.30000000000000004))
SCALARS = st.none() | st.booleans() | NUMBERS | STRINGS
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)
TYPES = st.sampled_from(["object", "array", "string", "number", "integer", "boolean", "null"])
BOUNDS = st.sampled_from([0, 1, 2, -1, 0.5, 1.0, 1e16, 2**53 - 1, 2**53])
SIZES = st.integers(0, 3)
OUTSIDE: dict[str, st.SearchStrategy[Any]] = {
    "$ref": st.just("#"),
    "pattern": st.sampled_from(["^a$", r"\d", "a"]),
    "uniqueItems": st.booleans(),
    "patternProperties": st.just({"^a": {"type": "string"}}),
    "dependencies": st.just({"a": ["b"]}),
    "exclusiveMinimum": st.booleans(),
    "extends": st.just({"type": "string"}),
    "disallow": st.just(["string"]),
    "divisibleBy": st.sampled_from([2, 0.1]),
    "unknown": VALUES,
}


def schemas(draft: int) -> st.SearchStrategy[dict[str, Any]]:
    """Of one draft, most within the allow-list, some with a keyword outside."""
    types: st.SearchStrategy[Any] = TYPES | st.lists(TYPES, min_size=1, max_size=3, unique=True)
    if draft == 3:
        types |= st.just("any")

    def extended(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
        words: dict[str, st.SearchStrategy[Any]] = {
            "type": types,
            "properties": st.dictionaries(NAMES, inner, max_size=3),
            "required": st.booleans() if draft == 3 else st.lists(NAMES, min_size=1, max_size=2, unique=True),
            "enum": st.lists(SCALARS, min_size=1, max_size=3, unique_by=json.dumps),
            "minimum": BOUNDS,
            "maximum": BOUNDS,
            "minLength": SIZES,
            "maxLength": SIZES,
            "minItems": SIZES,
            "maxItems": SIZES,
            "items": inner,
            "additionalProperties": st.booleans() | inner,
            "title": STRINGS,
            "description": STRINGS,
            "default": VALUES,
            "format": st.sampled_from(["ipv4", "date-time", "uri"]),
            "$id": st.sampled_from(["http://x/y#", "#/a", "", "a b", "http://["]),
            "id": st.sampled_from(["http://x/y#", "#a", "urn:x:y"]),
        }
        usual = st.sets(st.sampled_from(sorted(words)), max_size=4)
        unusual = (
            st.just(set()) | st.just(set()) | st.just(set()) | st.sets(st.sampled_from(sorted(OUTSIDE)), max_size=1)
        )
        cached = {**OUTSIDE, **words}
        return st.tuples(usual, unusual).flatmap(
            lambda names: st.fixed_dictionaries({name: cached[name] for name in sorted(names[0] | names[1])})
        )

    return st.recursive(extended(st.just({})), extended, max_leaves=6)


BY_TYPE: dict[str, st.SearchStrategy[Any]] = {
    "string": STRINGS,
    "number": NUMBERS,
    "integer": st.integers(-3, 3),
    "boolean": st.booleans(),
    "null": st.none(),
}


def fitting(schema: Any) -> st.SearchStrategy[Any]:
    """Values that the schema may well accept, and any others."""
    if not isinstance(schema, dict):
        return VALUES
    if "enum" in schema:
        return st.sampled_from(schema["enum"]) | SCALARS
    named = schema.get("type")
    kind = named[0] if isinstance(named, list) and named else named
    if kind == "array":
        return st.lists(fitting(schema.get("items")), max_size=3)
    if kind == "object" or "properties" in schema:
        inner = schema.get("properties", {})
        others = st.dictionaries(NAMES, VALUES, max_size=1) if schema.get("additionalProperties") else st.just({})
        fields = st.fixed_dictionaries({}, optional={name: fitting(one) for name, one in inner.items()})
        return st.builds(lambda first, second: {**first, **second}, fields, others)
    return st.one_of(BY_TYPE.get(kind, VALUES), BY_TYPE.get(kind, VALUES), VALUES)


@st.composite
def cases(draw: st.DrawFn) -> tuple[dict[str, Any], Any]:
    """A schema and an event that fits it now and then."""
    draft = draw(st.sampled_from(sorted(DRAFTS)))
    schema = {**draw(schemas(draft)), "properties": draw(st.dictionaries(NAMES, schemas(draft), max_size=3))}
    schema.pop("enum", None)
    if "type" in schema:
        schema["type"] = "object"
    event = draw(fitting(schema) | st.dictionaries(NAMES, VALUES, max_size=3))
    name = DRAFTS[draft]
    return ({"$schema": name, **schema} if name else schema), event


def fast_capsules() -> FastValidator:
    """The fast validator of capsules."""
    validator = fast_capsule_validator(CAPSULE)
    assert validator is not None
    return validator


def compiled(schema: dict[str, Any]) -> tuple[CompiledSchema, FastValidator | None]:
    """By both, or none where the schema is itself invalid."""
    try:
        slow = CompiledSchema("X", 1, schema)
    except InvalidEventError:
        assume(False)
    return slow, fast_validator(slow)


def is_valid_fast(validator: FastValidator, capsule: dict[str, Any]) -> bool:
    """The fast validators of the capsule and of the event in it, as `Validator.validate_fast` puts them together."""
    return fast_capsules().is_valid(capsule) and validator.is_valid(capsule["event"])


def explained(slow: CompiledSchema, instance: Any, failing: Container[Any] | None = None) -> str:
    """What jsonschema says is wrong, if anything is."""
    try:
        slow.validate(instance, "event", failing)
    except InvalidEventError as error:
        return error.message
    return ""


def is_valid(slow: CompiledSchema, capsule: dict[str, Any]) -> bool:
    """What jsonschema says of the capsule and its event."""
    try:
        CAPSULE.validate(capsule, "capsule")
        slow.validate(capsule["event"], "event")
    except InvalidEventError:
        return False
    return True


def held(value: Any) -> Iterator[tuple[Any, int]]:
    """Every value in a value, with its depth."""
    level = [value]
    depth = 0
    while level:
        yield from ((one, depth) for one in level)
        level = [
            inner
            for one in level
            if isinstance(one, dict | list)
            for inner in (one.values() if isinstance(one, dict) else one)
        ]
        depth += 1


def is_large(value: Any) -> bool:
    """Left to the slow validator: numbers that could have been integers beyond 64 bits, deep nesting."""
    return any(
        depth > 3 or (isinstance(one, int | float) and not isinstance(one, bool) and abs(one) >= 9 * 10**18)
        for one, depth in held(value)
    )


@settings(max_examples=120)
@given(cases())
@example(({"properties": {"$ref": {"type": "string", "required": True}}}, {"$ref": "#"}))
@example(({"properties": {"required": {"type": "integer"}}}, {"required": 1.0}))
@example(({"properties": {"a": {"enum": [1]}}}, {"a": True}))
@example(({"properties": {"a": {"enum": [1]}}}, {"a": 1.0}))
@example(({"properties": {"a": {"maximum": 2**53 - 1}}}, {"a": 2**53}))
@example(({"properties": {"a": {"maxLength": 1}}}, {"a": "𝄞"}))
@example(({"$schema": DRAFTS[7], "properties": {"a": {"type": "integer"}}}, {"a": 1.0}))
def test_both_validators_say_the_same(case: tuple[dict[str, Any], Any]) -> None:
    schema, event = case
    slow, fast = compiled(schema)
    if fast is None:
        # Only a schema that cannot be translated has none.
        with pytest.raises(TranslationError):
            translated({"type": "object", **slow.strict}, slow.draft)
        return
    capsule = {**ENVELOPE, "event": event}
    valid_fast, valid = is_valid_fast(fast, capsule), is_valid(slow, capsule)
    if valid_fast:
        assert valid
    elif not is_large(event):
        assert not valid
    assert explained(slow, event, fast.failing_properties(event)) == explained(slow, event)


@settings(max_examples=50)
@given(cases(), st.sampled_from(["9" * 19, "-9223372036854775809", "18446744073709551616", "1" + "0" * 300, "1e19"]))
def test_an_integer_beyond_64_bits_is_never_accepted_as_a_double(case: tuple[dict[str, Any], Any], number: str) -> None:
    schema, event = case
    _, fast = compiled(schema)
    names = sorted(schema.get("properties", {})) or ["a"]
    text = json.dumps({**ENVELOPE, "event": {**event, names[0]: "HERE"}}).replace('"HERE"', number)
    if fast is not None and is_valid_fast(fast, orjson.loads(text)):
        assert orjson.loads(text) == parse_object(text)


@given(st.dictionaries(st.sampled_from(sorted([*ENVELOPE, "userAgent", "timestamp", "seqId", "no"])), VALUES))
def test_both_validators_say_the_same_of_capsules(fields: dict[str, Any]) -> None:
    capsule = {**ENVELOPE, "event": {}, **fields}
    add_defaults(capsule, 0)
    fast = fast_capsules()
    why = explained(CAPSULE, capsule)
    if why:
        assert not fast.is_valid(capsule)
    else:
        assert fast.is_valid(capsule) or is_large(fields)
    assert explained(CAPSULE, capsule, fast.failing_properties(capsule)) == why


@pytest.mark.parametrize(
    "path", sorted(DEMO.glob("*/*.json")) + sorted(BUILT_IN.glob("*/*.json")), ids=lambda p: p.parent.name
)
def test_real_schemas_are_all_taken(path: Path) -> None:
    schema = CompiledSchema(path.parent.name, int(path.stem), json.loads(path.read_text(encoding="utf-8")))
    assert fast_validator(schema) is not None


@pytest.mark.parametrize(
    ("draft", "schema", "named"),
    [
        (3, {"$ref": "http://example.org/schema"}, r"\$ref"),
        (3, {"properties": {"a": {"pattern": r"\d"}}}, "pattern"),
        (3, {"divisibleBy": 0.1}, "divisibleBy"),
        (3, {"extends": {}}, "extends"),
        (3, {"id": ["http://example.org/"]}, "id that is no plain identifier"),
        (3, {"type": ["string", {"type": "object"}]}, "list of names"),
        (3, {"type": "text"}, "the type text"),
        (3, {"items": [{}]}, "a schema that is no object"),
        (3, {"enum": [[1]]}, "an enum of other"),
        (3, {"enum": [2**53]}, "an enum of other"),
        (3, {"maximum": 2**53}, "a bound"),
        (3, {"minLength": 1.0}, "a size"),
        (4, {"maximum": 3, "exclusiveMaximum": True}, "exclusiveMaximum"),
        (6, {"properties": {"a": True}}, "a schema that is no object"),
        (2019, {"unevaluatedProperties": False}, "unevaluatedProperties"),
    ],
)
def test_what_is_outside_the_allow_list_is_named(draft: int, schema: dict[str, Any], named: str) -> None:
    with pytest.raises(TranslationError, match=named):
        translated(schema, draft)


def test_a_schema_nested_too_deeply_is_not_taken() -> None:
    schema: dict[str, Any] = {}
    for _ in range(60):
        schema = {"properties": {"a": schema}}
    with pytest.raises(TranslationError, match="deeper than 50 levels"):
        translated(schema, 3)
