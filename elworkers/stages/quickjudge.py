"""The schemas of a capsule and of its event come in; one call goes out that is sure where it says an event is valid."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jsonschema_rs

from elworkers.contracts import Event
from elworkers.stages.compiled import CompiledSchema
from elworkers.stages.translate import translated

Judge = Callable[[Event], bool]
"""True: the capsule and its event are valid. False, or a ValueError: ask `jsonschema`."""

_ANY_OBJECT = translated({"type": "object"}, 3)


def quick_judge(capsule: CompiledSchema, schema: CompiledSchema | None = None) -> Judge | None:
    """Compiled by `jsonschema-rs`, for capsules as `orjson` reads them and `capsule.complete` leaves them.

    Args:
        capsule: the schema of capsules.
        schema: that of the event in it; None: the event is not judged.

    Returns:
        None where one of them has what the two libraries may judge differently.
    """
    try:
        outer = _translated(capsule)
        # `complete` has seen to it that the uuid is one.
        outer["properties"]["uuid"].pop("pattern", None)
        if schema is None:
            return _compiled(capsule, outer)
        inner = _translated(schema)
        if _is_early(capsule) == _is_early(schema):
            whole = outer["properties"]["event"]
            # What is in an object of any kind, the event's own schema says.
            outer["properties"]["event"] = {"allOf": [{"type": "object"} if whole == _ANY_OBJECT else whole, inner]}
            return _compiled(capsule, outer)
        accepts_capsule, accepts_event = _compiled(capsule, outer), _compiled(schema, inner)
    except (ValueError, KeyError):
        return None
    return lambda event: accepts_capsule(event) and accepts_event(event["event"])


def _translated(schema: CompiledSchema) -> dict[str, Any]:
    return translated(schema.strict, schema.draft)


def _is_early(schema: CompiledSchema) -> bool:
    # To drafts 3 and 4 1.0 is no integer, to those after them it is one.
    return schema.draft <= 4


def _compiled(schema: CompiledSchema, made: dict[str, Any]) -> Callable[[Any], bool]:
    cls = jsonschema_rs.Draft4Validator if _is_early(schema) else jsonschema_rs.Draft7Validator
    return cls(made, validate_formats=False, offline=True).is_valid
