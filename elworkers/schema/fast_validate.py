# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Makes fast validators: what they accept is valid, and what they do not accept may be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jsonschema_rs

from elworkers.schema.compile import CompiledSchema
from elworkers.schema.translate import translated


class FastValidator(NamedTuple):
    """Validates objects as `orjson` reads them.

    Attributes:
        is_valid: whether an object is valid. False, or a ValueError: ask `jsonschema`.
        failing_properties: the properties that may be wrong in an object that is not accepted; all others are right.
    """

    is_valid: Callable[[Any], bool]
    failing_properties: Callable[[Any], frozenset[Any]]


_ANY_OBJECT = translated({"type": "object"}, 3)


def fast_validator(schema: CompiledSchema) -> FastValidator | None:
    """Compile a schema with `jsonschema-rs`; None if the two libraries may decide something in it differently."""
    try:
        return _compiled(schema, _translated(schema))
    except Exception:  # noqa: BLE001 - then `jsonschema` decides, and names what is wrong
        return None


def fast_capsule_validator(schema: CompiledSchema) -> FastValidator | None:
    """Return the same for capsules as `capsule.add_defaults` leaves them, whose event is validated by its own schema.

    There is one for all schemas: compiled into each of them, a thousand would hold hundreds of mebibytes.
    """
    try:
        made = _translated(schema)
        if made["properties"]["event"] == _ANY_OBJECT:
            made["properties"]["event"] = {"type": "object"}
        # `add_defaults` has seen to it that the uuid is one.
        made["properties"]["uuid"].pop("pattern", None)
        return _compiled(schema, made)
    except (ValueError, KeyError):
        return None


def _translated(schema: CompiledSchema) -> dict[str, Any]:
    # Only objects come here; with this type the schema needs no keywords for other values.
    return translated({"type": "object", **schema.strict}, schema.draft)


def _compiled(schema: CompiledSchema, made: dict[str, Any]) -> FastValidator:
    # To drafts 3 and 4 1.0 is no integer, to those after them it is one.
    cls = jsonschema_rs.Draft4Validator if schema.draft <= 4 else jsonschema_rs.Draft7Validator
    validator = cls(made, validate_formats=False, offline=True)

    def failing_properties(instance: Any) -> frozenset[Any]:
        return frozenset(error.instance_path[0] for error in validator.iter_errors(instance) if error.instance_path)

    return FastValidator(validator.is_valid, failing_properties)
