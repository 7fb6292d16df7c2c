# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Schemas to columns, events to rows."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elworkers.events.columns import LONGEST_NAME, ColumnType, columns, table_name
from elworkers.events.convert import row

DEMO = Path(__file__).parent.parent.parent.parent / "demo" / "schemas"
CAPSULE = ["uuid", "timestamp", "webHost", "wiki", "userAgent"]


def fields(*named: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    return {"properties": dict(named)}


def strings(count: int) -> dict[str, Any]:
    return fields(*((f"field{number}", {"type": "string"}) for number in range(count)))


def value(field: dict[str, Any], given: Any) -> Any:
    return row({"event": {"a": given}}, columns(fields(("a", field))))["event_a"]


def test_the_capsule_comes_first_and_then_the_event_flattened() -> None:
    schema = fields(
        ("action", {"type": "string"}),
        ("page", {"type": "object", "properties": {"id": {"type": "integer"}, "title": {"type": "string"}}}),
    )
    assert [column.name for column in columns(schema)] == [
        *CAPSULE,
        "event_action",
        "event_page_id",
        "event_page_title",
    ]


@pytest.mark.parametrize(
    ("field", "kind"),
    [
        ({"type": "boolean"}, ColumnType.BOOLEAN),
        ({"type": "integer"}, ColumnType.BIGINT),
        ({"type": "number"}, ColumnType.DOUBLE),
        ({"type": ["integer", "number"]}, ColumnType.DOUBLE),
        ({"type": "string"}, ColumnType.VARCHAR),
        ({"type": "string", "format": "date-time"}, ColumnType.DATETIME),
        ({"type": ["string", "null"]}, ColumnType.VARCHAR),
        ({"type": ["integer", "null"]}, ColumnType.BIGINT),
        ({"type": ["integer", "string"]}, ColumnType.VARCHAR),
        ({"type": "array", "items": {"type": "integer"}}, ColumnType.VARCHAR),
        ({"type": "object"}, ColumnType.VARCHAR),
        ({"type": "any"}, ColumnType.VARCHAR),
        ({"enum": ["a", "b"]}, ColumnType.VARCHAR),
        ({}, ColumnType.VARCHAR),
    ],
)
def test_kinds(field: dict[str, Any], kind: ColumnType) -> None:
    assert columns(fields(("a", field)))[-1].type is kind


def test_times_are_indexed() -> None:
    found = columns(fields(("at", {"type": "string", "format": "date-time"}), ("a", {"type": "string"})))
    assert [column.name for column in found if column.indexed] == ["timestamp", "event_at"]


@pytest.mark.parametrize(
    ("schema", "revision", "name"),
    [
        ("Edit", 7, "Edit_7"),
        ("analytics/legacy.Edit-x", 7, "analytics_legacy_Edit_x_7"),
    ],
)
def test_table_names(schema: str, revision: int, name: str) -> None:
    assert table_name(schema, revision) == name


def test_long_table_names_do_not_meet() -> None:
    names = {table_name("S" * 63, revision) for revision in range(10**9, 10**9 + 50)}
    assert len(names) == 50
    assert max(map(len, names)) <= LONGEST_NAME


@pytest.mark.parametrize("count", [1, 13, 100, 200, 400])
def test_strings_are_varchars_while_they_fit_into_a_row(count: int) -> None:
    found = columns(strings(count))
    assert sum(column.type.value for column in found) + 8 + len(found) // 8 + 1 <= 65_535
    types = [column.type for column in found if column.path[0] == "event"]
    varchars = types.count(ColumnType.VARCHAR)
    assert types == [ColumnType.VARCHAR] * varchars + [ColumnType.TEXT] * (count - varchars)
    if count <= 12:
        assert varchars == count


NAMES = st.text(st.sampled_from("aAbB_é"), min_size=1, max_size=100)
SCHEMAS = st.recursive(
    st.sampled_from([{"type": "string"}, {"type": "integer"}, {"type": "array"}, {}, True, None]),
    lambda inner: st.dictionaries(NAMES, inner, max_size=4).map(lambda named: {"type": "object", "properties": named}),
    max_leaves=12,
)


@given(st.dictionaries(NAMES, SCHEMAS, max_size=8))
def test_no_two_columns_of_a_table_meet(properties: dict[str, Any]) -> None:
    found = columns({"properties": properties})
    names = [column.name.lower() for column in found]
    assert len(set(names)) == len(names)
    assert all(len(name) <= LONGEST_NAME for name in names)


@pytest.mark.parametrize("path", sorted(DEMO.glob("*/*.json")), ids=lambda path: path.parent.name)
def test_a_real_schemas_table_does_not_change(path: Path) -> None:
    schema = json.loads(path.read_text(encoding="utf-8"))
    first, second = columns(schema), columns(json.loads(path.read_text(encoding="utf-8")))
    assert first == second
    assert {column.path[1] for column in first if column.path[0] == "event"} == set(schema["properties"])


@pytest.mark.parametrize(
    ("field", "given", "stored"),
    [
        ({"type": "boolean"}, False, False),
        ({"type": "integer"}, 2**62, 2**62),
        ({"type": "integer"}, 3.0, 3),
        ({"type": "number"}, 3, 3.0),
        ({"type": "string"}, "ünï 𝄞", "ünï 𝄞"),
        ({"type": "array"}, [1, "ü"], '[1,"ü"]'),
        ({"type": "object"}, {"b": None}, '{"b":null}'),
        ({"type": "string", "format": "date-time"}, "2016-07-29T12:34:56Z", datetime(2016, 7, 29, 12, 34, 56)),  # noqa: DTZ001
        ({"type": "string", "format": "date-time"}, "2016-07-29T12:34:56+02:00", datetime(2016, 7, 29, 10, 34, 56)),  # noqa: DTZ001
        ({"type": "string"}, None, None),
    ],
)
def test_values(field: dict[str, Any], given: Any, stored: Any) -> None:
    assert value(field, given) == stored
    assert type(value(field, given)) is type(stored)


@pytest.mark.parametrize(
    ("field", "given"),
    [
        ({"type": "boolean"}, 1),
        ({"type": "integer"}, "1"),
        ({"type": "integer"}, True),
        ({"type": "integer"}, 1.5),
        ({"type": "integer"}, float("inf")),
        ({"type": "number"}, 10**400),
        ({"type": "number"}, "x" * 10_000),
        ({"type": "string", "format": "date-time"}, "yesterday"),
        ({"type": "string", "format": "date-time"}, "2016-02-30T00:00:00Z"),
        ({"type": "string", "format": "date-time"}, 7),
    ],
)
def test_what_cannot_be_stored_names_its_column_shortly(field: dict[str, Any], given: Any) -> None:
    with pytest.raises(ValueError, match="column event_a: ") as caught:
        value(field, given)
    assert len(str(caught.value)) < 150


@pytest.mark.parametrize(
    ("capsule", "stamp"),
    [
        ({"timestamp": 1469795696}, "20160729123456"),
        ({"timestamp": 1469795696.9}, "20160729123456"),
        ({"dt": "2016-07-29T12:34:56Z"}, "20160729123456"),
        ({"dt": "2016-07-29T12:34:56"}, "20160729123456"),
        ({"timestamp": 0}, "19700101000000"),
        ({}, None),
    ],
)
def test_the_timestamp_is_fourteen_digits(capsule: dict[str, Any], stamp: str | None) -> None:
    assert row(capsule, columns({}))["timestamp"] == stamp


@pytest.mark.parametrize("timestamp", [10**30, float("inf"), -(10**18)])
def test_a_time_that_is_none_is_rejected(timestamp: float) -> None:
    with pytest.raises(ValueError, match="column timestamp"):
        row({"timestamp": timestamp}, columns({}))


def test_only_what_has_a_column_is_stored() -> None:
    capsule = {
        "uuid": "0" * 32,
        "timestamp": 0,
        "wiki": "w",
        "webHost": "h",
        "userAgent": {"os_family": "Linux"},
        "event": {"a": "x"},
        **dict.fromkeys(("recvFrom", "revision", "schema", "seqId", "topic", "ip"), "left out"),
    }
    stored = row(capsule, columns(fields(("a", {"type": "string"}))))
    assert set(stored) == {*CAPSULE, "event_a"}
    assert stored["userAgent"] == '{"os_family":"Linux"}'
    assert "left out" not in stored.values()
