# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Batches to columns of values, and those to the text that MySQL reads."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elworkers.connectors.sql.literals import fields, literals
from elworkers.events.columns import ColumnType, columns
from elworkers.events.convert import ColumnValues, by_column, row

SCHEMA = {
    "properties": {
        "truth": {"type": "boolean"},
        "count": {"type": "integer"},
        "share": {"type": "number"},
        "at": {"type": "string", "format": "date-time"},
        "text": {"type": "string"},
        "inside": {"type": "object", "properties": {"deep": {"type": "object", "properties": {"a": {}}}}},
    }
}
COLUMNS = columns(SCHEMA)

TEXTS = st.text(st.sampled_from("a'\\\t\n\0ж"), max_size=5)
TIMES = st.sampled_from(["2016-07-29T12:34:56Z", "2016-07-29T12:34:56.789+02:00", "yesterday", "0001-01-01T00:00:00"])
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS | TIMES,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXTS, inner, max_size=2),
    max_leaves=4,
)
INSIDE = st.fixed_dictionaries({}, optional={"deep": st.fixed_dictionaries({}, optional={"a": ANYTHING}) | ANYTHING})
EVENTS = st.fixed_dictionaries(
    {},
    optional={
        "truth": st.booleans() | ANYTHING,
        "count": st.integers() | ANYTHING,
        "share": st.floats() | ANYTHING,
        "at": TIMES | ANYTHING,
        "text": TEXTS | ANYTHING,
        "inside": INSIDE | ANYTHING,
    },
)
CAPSULES = st.fixed_dictionaries(
    {},
    optional={
        "uuid": TEXTS,
        "timestamp": st.integers(0, 2**31) | st.floats(0, 2**31) | ANYTHING,
        "dt": TIMES,
        "userAgent": st.dictionaries(TEXTS, TEXTS | st.booleans() | st.none(), max_size=3) | ANYTHING,
        "event": EVENTS | ANYTHING,
    },
)


@given(st.lists(CAPSULES, max_size=5))
def test_a_batch_has_the_values_of_its_events(capsules: list[dict[str, Any]]) -> None:
    storable: list[dict[str, Any]] = []
    alone: list[dict[str, Any]] = []
    for capsule in capsules:
        try:
            alone.append(row(capsule, COLUMNS))
        except ValueError:
            with pytest.raises(ValueError, match="column "):
                by_column([capsule], COLUMNS)
        else:
            storable.append(capsule)
    found = by_column(storable, COLUMNS)
    names = [column.name for column in COLUMNS]
    together = [dict(zip(names, line, strict=True)) for line in zip(*(one.values for one in found), strict=True)]
    assert repr(together) == repr(alone)
    for one in found:
        assert one.nulls == (None in one.values)
        assert len({type(value) for value in one.values} - {type(None)}) <= 1
        assert one.type is not ColumnType.DOUBLE or all(
            math.isfinite(value) for value in one.values if value is not None
        )


@pytest.mark.parametrize(
    ("kind", "value", "literal", "field"),
    [
        (ColumnType.BOOLEAN, True, "1", "1"),
        (ColumnType.BOOLEAN, False, "0", "0"),
        (ColumnType.BIGINT, -(2**63), "-9223372036854775808", "-9223372036854775808"),
        (ColumnType.DOUBLE, 0.1, "0.1e0", "0.1e0"),
        (ColumnType.DOUBLE, -0.0, "-0.0e0", "-0.0e0"),
        (ColumnType.DOUBLE, 1e308, "1e+308", "1e+308"),
        (ColumnType.DATETIME, datetime(2016, 7, 29, 12, 34, 56), "'2016-07-29 12:34:56'", "2016-07-29 12:34:56"),  # noqa: DTZ001
        (ColumnType.CHAR14, "20160729123456", "'20160729123456'", "20160729123456"),
        (ColumnType.VARCHAR, "", "''", ""),
        (ColumnType.VARCHAR, "it's\ta\\b\n", r"'it\'s" + "\t" + r"a\\b" + "\n'", r"it's\ta\\b\n"),
        (ColumnType.TEXT, r"\N", r"'\\N'", r"\\N"),
        (ColumnType.TEXT, "NULL", "'NULL'", "NULL"),
        (ColumnType.TEXT, "%s \0 \r ж 𝄞", "'%s \0 \r ж 𝄞'", "%s \0 \r ж 𝄞"),
    ],
)
def test_texts(kind: ColumnType, value: Any, literal: str, field: str) -> None:
    assert literals(ColumnValues(kind, [value], False)) == [literal]
    assert fields(ColumnValues(kind, [value], False)) == [field]
    assert literals(ColumnValues(kind, [None, value], True)) == ["NULL", literal]
    assert fields(ColumnValues(kind, [None, value], True)) == [r"\N", field]


def test_a_double_beyond_all_doubles_is_rejected() -> None:
    with pytest.raises(ValueError, match="column event_share: inf is no double"):
        row({"event": {"share": float("inf")}}, COLUMNS)
