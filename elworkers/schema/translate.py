# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Translates a JSON schema of any draft to draft 4, accepting no event that the original schema rejects.

Only keywords on which `jsonschema` and `jsonschema-rs` agree are taken; any other is an error that names it. What goes
out is a little stricter than what came in, because the events that it validates were read by `orjson`: it rejects
numbers beyond ±9e18, since an integer beyond 64 bits has become a double there, and what is nested deeper than the
schema says.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_TYPES = frozenset(("object", "array", "string", "number", "integer", "boolean", "null"))
_NUMBERS = frozenset(("number", "integer"))
_VALIDATING = frozenset(
    (
        "additionalProperties",
        "enum",
        "items",
        "maxItems",
        "maxLength",
        "maximum",
        "minItems",
        "minLength",
        "minimum",
        "pattern",
        "properties",
        "required",
        "type",
    )
)
_ANNOTATING = frozenset(("title", "description", "default", "format", "examples", "$comment"))
"""`format` among them, because formats are not checked here."""

_NAMING = frozenset(("$id", "id"))
"""They resolve a `$ref`, which is not taken, and so constrain no event."""

_IDENTIFIER = re.compile(r"[\w.~:/#?&=%+-]*", re.ASCII).fullmatch
"""What `jsonschema` is sure to take for one; it resolves them all the same."""

_PATTERNS = frozenset(("^[0-9a-f]{32}$",))
"""That mean the same in both, but that Python lets a line end follow."""

_DEEPEST = 50
_FREE_LEVELS = 3
_LARGEST = 9 * 10**18
_EXACT = 2**53
"""Below this a double is as exact as an integer, whichever way two numbers are compared."""


class TranslationError(ValueError):
    """Names what the schema has that is not taken."""


def translated(schema: Mapping[str, Any], draft: int) -> dict[str, Any]:
    """Return the schema without annotations, in draft 4's keywords.

    Args:
        schema: as `check_schema` of its own draft let it pass.
        draft: 3 to 7, or the year. In 3, `required` stands in the property and `any` is a type; to 3 and 4, 1.0 is no
            integer, to those after them it is one.

    Raises:
        TranslationError: names the keyword that is not taken, or the value of one.
    """
    return _schema({name: value for name, value in schema.items() if name != "$schema"}, draft, 0)


def _schema(schema: Any, draft: int, depth: int) -> dict[str, Any]:
    if not isinstance(schema, dict):
        raise TranslationError("a schema that is no object")
    if depth > _DEEPEST:
        raise TranslationError(f"a schema nested deeper than {_DEEPEST} levels")
    for name in schema.keys() & _NAMING:
        if not (isinstance(schema[name], str) and _IDENTIFIER(schema[name])):
            raise TranslationError(f"the keyword {name} that is no plain identifier")
    for name in schema.keys() - _VALIDATING - _ANNOTATING - _NAMING:
        raise TranslationError(f"the keyword {name}")
    types = _types(schema.get("type"), draft)
    made: dict[str, Any] = {"type": sorted(types)} if types != _TYPES else {}
    if "enum" in schema:
        made["enum"] = _members(schema["enum"])
    elif "number" in types or (draft > 4 and "integer" in types):
        made.update(minimum=-_LARGEST, maximum=_LARGEST)
    if types & _NUMBERS:
        made.update((name, _limit(schema[name])) for name in ("minimum", "maximum") if name in schema)
    if "string" in types:
        made.update((name, _size(schema[name])) for name in ("minLength", "maxLength") if name in schema)
        made.update((name, _pattern(schema[name])) for name in ("pattern",) if name in schema)
    if "array" in types:
        made.update((name, _size(schema[name])) for name in ("minItems", "maxItems") if name in schema)
        made["items"] = _schema(schema["items"], draft, depth + 1) if "items" in schema else _free(_FREE_LEVELS)
    if "object" in types:
        made.update(_object(schema, draft, depth))
    return made


def _types(given: Any, draft: int) -> frozenset[str]:
    if given is None:
        return _TYPES
    names = [given] if isinstance(given, str) else given
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise TranslationError("a type that is neither a name nor a list of names")
    if draft == 3 and "any" in names:
        return _TYPES
    types = frozenset(names)
    if not types <= _TYPES:
        raise TranslationError(f"the type {min(types - _TYPES)}")
    return types


def _object(schema: Mapping[str, Any], draft: int, depth: int) -> dict[str, Any]:
    properties = schema.get("properties", {})
    if not isinstance(properties, dict):
        raise TranslationError("properties that are no object")
    made: dict[str, Any] = {name: _schema(inner, draft, depth + 1) for name, inner in properties.items()}
    if draft == 3:
        required = [name for name, inner in properties.items() if _flag(inner)]
    else:
        required = schema.get("required", [])
    if not isinstance(required, list) or not all(isinstance(name, str) for name in required):
        raise TranslationError("required that is no list of names")
    others = schema.get("additionalProperties", True)
    if isinstance(others, dict):
        others = _schema(others, draft, depth + 1)
    elif others is True:
        others = _free(_FREE_LEVELS)
    elif others is not False:
        raise TranslationError("additionalProperties that is neither true nor false nor a schema")
    found: dict[str, Any] = {"properties": made, "additionalProperties": others}
    return {**found, "required": required} if required else found


def _flag(schema: Any) -> bool:
    given = schema.get("required", False)
    if not isinstance(given, bool):
        raise TranslationError("required that is neither true nor false")
    return given


def _members(given: Any) -> list[Any]:
    if not isinstance(given, list) or not given:
        raise TranslationError("an enum without members")
    for member in given:
        if isinstance(member, bool | str) or member is None:
            continue
        if type(member) is not int or abs(member) >= _EXACT:
            raise TranslationError("an enum of other than strings, integers, true, false and null")
    return given


def _limit(given: Any) -> int | float:
    if isinstance(given, bool) or not isinstance(given, int | float) or not abs(given) < _EXACT:
        raise TranslationError("a bound beyond 2**53")
    return given


def _size(given: Any) -> int:
    if type(given) is not int or not 0 <= given < _EXACT:
        raise TranslationError("a size that is no integer of 0 to 2**53")
    return given


def _pattern(given: Any) -> str:
    if given not in _PATTERNS:
        raise TranslationError("the keyword pattern")
    return str(given)


def _free(levels: int) -> dict[str, Any]:
    # Whatever an event may hold where the schema has no constraint; most of it is text.
    simple = {"type": ["boolean", "null", "string"]}
    number: dict[str, Any] = {"type": "number", "minimum": -_LARGEST, "maximum": _LARGEST}
    if levels == 0:
        return {"anyOf": [simple, number]}
    inner = _free(levels - 1)
    return {
        "anyOf": [
            simple,
            {"type": "object", "additionalProperties": inner},
            {"type": "array", "items": inner},
            number,
        ]
    }
