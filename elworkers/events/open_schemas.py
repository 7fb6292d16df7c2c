# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Decides whether events of a JSON schema may have fields without a column. Pure: no database here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_OPENING_KEYWORDS = (
    "$ref",
    "$dynamicRef",
    "$recursiveRef",
    "allOf",
    "anyOf",
    "oneOf",
    "extends",
    "if",
    "then",
    "else",
    "dependencies",
    "dependentSchemas",
    "patternProperties",
)
"""Keywords by which fields come in that `properties` does not name."""


def is_open(schema: Mapping[str, Any]) -> bool:
    """Return whether events that are valid may hold what has no column.

    Without `additionalProperties` a schema has none at its top; an object inside it has.

    Args:
        schema: of the event proper, as it was read.
    """
    return schema.get("additionalProperties", False) is not False or _admits_more(schema)


def _admits_more(schema: Mapping[str, Any]) -> bool:
    if any(schema.get(keyword) for keyword in _OPENING_KEYWORDS):
        return True
    properties = schema.get("properties")
    return isinstance(properties, dict) and any(
        _has_columns(field) and _is_open_inside(field) for field in properties.values()
    )


def _has_columns(field: Any) -> bool:
    # Another field's whole value is in its own column.
    return isinstance(field, dict) and isinstance(field.get("properties"), dict) and bool(field["properties"])


def _is_open_inside(field: Mapping[str, Any]) -> bool:
    is_object = field.get("type") in ("object", ["object"], ["object", "null"], ["null", "object"])
    return not is_object or field.get("additionalProperties", True) is not False or _admits_more(field)
