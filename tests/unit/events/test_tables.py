# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Tables as databases have them: names that stay what they are, rows that fit, as many columns as can be."""

from __future__ import annotations

from typing import Any

import pytest

from elworkers.events.columns import (
    REST,
    Column,
    ColumnType,
    columns,
    is_literal,
    new_table,
    other_name,
    table_name,
)

CAPSULE = ["uuid", "timestamp", "webHost", "wiki", "userAgent"]


def fields(*named: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    return {"properties": dict(named)}


@pytest.mark.parametrize(
    ("schema", "name", "other"),
    [
        ("Edit", "Edit_7", "Edit_7_d7ade0ac"),
        ("a/b.c-é", "a_b_c___7", "a_b_c___7_"),
        ("S" * 62, "S" * 62 + "_7", "S" * 55 + "_"),
        ("S" * 63, "S" * 55 + "_", "S" * 55 + "_"),
    ],
)
def test_the_names_of_tables_stay_what_they_are(schema: str, name: str, other: str) -> None:
    assert table_name(schema, 7).startswith(name)
    assert other_name(schema, 7).startswith(other)
    assert is_literal(schema) == schema.isalnum()


def test_names_that_a_database_cannot_have_get_a_digest_and_stay_what_they_are() -> None:
    named = ["a b ", "é`\0", "x" * 58, "x" * 59, "a_b", "A", "rest", ""]
    schema = fields(("a", {"properties": {"b": {}}}), *((name, {}) for name in named))
    assert [column.name for column in columns(schema)[len(CAPSULE) :]] == [
        "event_a_b_3e0fcef4",
        "event_a b__2ce20868",
        "event_é___3f76b812",
        "event_" + "x" * 58,
        "event_" + "x" * 49 + "_f2d57b6c",
        "event_a_b_70483368",
        "event_A",
        "event_rest_2349ecb3",
        "event_",
    ]


def test_a_lone_surrogate_in_a_name_is_none_of_a_database() -> None:
    assert columns(fields(("\ud800", {})))[-1].name.startswith("event___")


@pytest.mark.parametrize(
    ("field", "column"),
    [
        ({"properties": {}}, Column("event_a", ColumnType.VARCHAR, ("event", "a"))),
        ({"properties": 3}, Column("event_a", ColumnType.VARCHAR, ("event", "a"))),
        ({"properties": {"b": {"type": "null"}}}, Column("event_a_b", ColumnType.VARCHAR, ("event", "a", "b"))),
        ({"properties": {"b": None}}, Column("event_a_b", ColumnType.VARCHAR, ("event", "a", "b"))),
        ({"type": ["null"]}, Column("event_a", ColumnType.VARCHAR, ("event", "a"))),
        ({"type": [{}, "integer"]}, Column("event_a", ColumnType.BIGINT, ("event", "a"))),
        ({"type": "integer", "format": "date-time"}, Column("event_a", ColumnType.BIGINT, ("event", "a"))),
        (
            {"type": ["string", "null"], "format": "date-time"},
            Column("event_a", ColumnType.DATETIME, ("event", "a"), indexed=True),
        ),
    ],
)
def test_the_column_of_a_field(field: dict[str, Any], column: Column) -> None:
    assert columns(fields(("a", field)))[len(CAPSULE) :] == [column]


def test_the_columns_of_the_capsule() -> None:
    assert (
        columns({})
        == columns({"properties": []})
        == [
            Column("uuid", ColumnType.CHAR32, ("uuid",)),
            Column("timestamp", ColumnType.CHAR14, ("timestamp",), indexed=True),
            *(Column(name, ColumnType.VARCHAR, (name,)) for name in CAPSULE[2:]),
        ]
    )


def test_a_raw_event_has_room_for_a_long_line() -> None:
    schema = fields(("rawEvent", {"type": "string"}), ("a", {"properties": {"rawEvent": {"type": "string"}}}))
    raw, inner = columns(schema)[len(CAPSULE) :]
    assert (raw.type, inner.type) == (ColumnType.MEDIUMTEXT, ColumnType.VARCHAR)
    assert columns(fields(("rawEvent", {"type": "integer"})))[-1].type is ColumnType.BIGINT


@pytest.mark.parametrize(("flags", "varchars", "row_bytes"), [(3438, 15, 65_535), (3439, 14, 61_451)])
def test_a_row_is_filled_to_its_last_byte(flags: int, varchars: int, row_bytes: int) -> None:
    texts = [(f"text{number}", {"type": "string"}) for number in range(12)]
    booleans = [(f"flag{number}", {"type": "boolean"}) for number in range(flags)]
    types = [column.type for column in columns(fields(*texts, *booleans))]
    assert (types.count(ColumnType.VARCHAR), types.count(ColumnType.TEXT)) == (varchars, 15 - varchars)
    assert sum(one.value for one in types) + 8 + len(types) // 8 + 1 == row_bytes


def test_only_so_many_times_are_indexed_as_a_table_can_have_indexes() -> None:
    times = [(f"at{number}", {"type": "string", "format": "date-time"}) for number in range(45)]
    found = columns(fields(*times))
    assert [column.indexed for column in found if column.type is ColumnType.DATETIME] == [True] * 39 + [False] * 6


@pytest.mark.parametrize(
    ("schema", "rest"), [(fields(), False), ({"additionalProperties": True}, True), ({"allOf": [{"a": 1}]}, True)]
)
def test_a_new_table_has_a_column_for_what_has_none(schema: dict[str, Any], rest: bool) -> None:
    found = new_table(schema)
    assert found[: len(CAPSULE)] == columns(schema)
    assert found[len(CAPSULE) :] == [Column(REST, ColumnType.MEDIUMTEXT, ())] * rest


@pytest.mark.parametrize(("count", "rest"), [(995, []), (996, ["event_rest"])])
def test_a_new_table_has_a_thousand_columns_at_most(count: int, rest: list[str]) -> None:
    schema = fields(*((f"f{number}", {"type": "boolean"}) for number in range(count)))
    names = [column.name for column in new_table(schema)]
    assert names == [column.name for column in columns(schema)][:1000] + rest
