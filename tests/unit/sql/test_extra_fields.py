# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Whatever an event holds is in a column or in the rest."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from elworkers.connectors.sql import extra_fields
from elworkers.events.columns import columns

FIELD = st.sampled_from([{"type": "string"}, {"type": "object"}, {}])
SCHEMAS = st.recursive(
    FIELD,
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3).map(lambda named: {"properties": named}),
    max_leaves=8,
)
EVENTS = st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abcd"), inner, max_size=4),
    max_leaves=10,
)


def leaves(value: Any, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    """By its path each value that is something, and no object with anything in it."""
    if isinstance(value, dict):
        return {deep: one for name, inner in value.items() for deep, one in leaves(inner, (*path, name)).items()}
    return {} if value is None or value == [] else {path: value}


@given(st.dictionaries(st.sampled_from("abc"), SCHEMAS, max_size=3), EVENTS)
def test_nothing_of_an_event_is_neither_in_a_column_nor_in_the_rest(properties: dict[str, Any], event: Any) -> None:
    held = [column.path[1:] for column in columns({"properties": properties}) if column.path[0] == "event"]
    (left,) = extra_fields.rests([event], extra_fields.known(columns({"properties": properties})))
    everything = leaves(event)
    in_columns = {path for path in everything if path and any(path[: len(column)] == column for column in held)}
    in_rest = leaves(left)
    assert {path: everything[path] for path in everything.keys() - in_columns} == in_rest
