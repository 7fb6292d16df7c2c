# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Writes column values as the text that MySQL and MariaDB read. Pure: no database here.

`literals` are for SQL, `fields` for LOAD DATA with its usual tabs, newlines and backslashes. Both want a session whose
sql_mode has neither NO_BACKSLASH_ESCAPES nor ANSI_QUOTES.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from elworkers.events.columns import ColumnType
from elworkers.events.convert import ColumnValues

_LITERAL_ESCAPES = {"\\": r"\\", "'": r"\'"}
_FIELD_ESCAPES = {"\\": r"\\", "\t": r"\t", "\n": r"\n"}


def literals(column: ColumnValues) -> list[str]:
    """Return each value as a literal of SQL."""
    if column.type in _LITERALS:
        return _written(column, _LITERALS[column.type], "NULL")
    escaped = _escaped(column, _LITERAL_ESCAPES)
    if column.nulls:
        return ["NULL" if text is None else f"'{text}'" for text in escaped]
    return [f"'{text}'" for text in escaped]


def fields(column: ColumnValues) -> list[str]:
    """Return each value as a field of a line."""
    if column.type in _FIELDS:
        return _written(column, _FIELDS[column.type], r"\N")
    escaped = _escaped(column, _FIELD_ESCAPES)
    return [r"\N" if text is None else text for text in escaped] if column.nulls else escaped


def _written(column: ColumnValues, write: Callable[[Any], str], null: str) -> list[str]:
    if column.nulls:
        return [null if value is None else write(value) for value in column.values]
    return list(map(write, column.values))


def _escaped(column: ColumnValues, escapes: Mapping[str, str]) -> list[Any]:
    # Few columns hold anything to escape, and one search through all of it is cheaper than one for each value.
    joined = "".join(filter(None, column.values))
    if not any(character in joined for character in escapes):
        return column.values
    table = str.maketrans(dict(escapes))
    return [text and text.translate(table) for text in column.values]


def _double(value: float) -> str:
    # Without an exponent it would be a literal of the type DECIMAL, which knows no -0.0.
    text = repr(value)
    return text if "e" in text else f"{text}e0"


_FIELDS: Mapping[ColumnType, Callable[[Any], str]] = {
    ColumnType.BOOLEAN: {True: "1", False: "0"}.__getitem__,
    ColumnType.BIGINT: str,
    ColumnType.DOUBLE: _double,
    ColumnType.DATETIME: str,
}
_LITERALS: Mapping[ColumnType, Callable[[Any], str]] = {**_FIELDS, ColumnType.DATETIME: "'{}'".format}
"""How values of types other than text are written."""
