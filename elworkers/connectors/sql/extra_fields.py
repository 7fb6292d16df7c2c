# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Collects the fields of events that have no column. Pure: no database here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from elworkers.events.columns import Column

KnownFields = Mapping[str, Any]
"""The fields that have columns: None under the name of one, and a mapping of the same kind under that of an object."""


def known(columns: Iterable[Column]) -> KnownFields:
    """Return the fields of the event proper that these columns hold."""
    tree: dict[str, Any] = {}
    for column in columns:
        if column.path[:1] != ("event",):
            continue
        inside = tree
        for step in column.path[1:-1]:
            inside = inside.setdefault(step, {})
        inside[column.path[-1]] = None
    return tree


def rests(events: Iterable[Any], fields: KnownFields) -> list[Any]:
    """Return for each event its fields without a column, in their own structure; None if there are none."""
    names = fields.keys()
    deep = [(name, inner) for name, inner in fields.items() if inner is not None]
    return [
        None if type(event) is dict and event.keys() <= names and _all_held(event, deep) else _rest(event, fields)
        for event in events
    ]


def _all_held(event: Mapping[str, Any], deep: Iterable[tuple[str, KnownFields]]) -> bool:
    for name, inner in deep:
        found = event.get(name)
        if found is not None and _rest(found, inner) is not None:
            return False
    return True


def _rest(event: Any, fields: KnownFields) -> Any:
    if not isinstance(event, dict):
        # PHP writes an empty object as [].
        return None if event is None or event == [] else event
    left = {name: value for name, value in _left(event, fields) if value is not None}
    return left or None


def _left(event: Mapping[str, Any], fields: KnownFields) -> Iterator[tuple[str, Any]]:
    for name, value in event.items():
        if name not in fields:
            yield name, value
        elif fields[name] is not None:
            yield name, _rest(value, fields[name])


def count(rest: Any) -> int:
    """Return how many values are in it."""
    return sum(map(count, rest.values())) if isinstance(rest, dict) and rest else 1
