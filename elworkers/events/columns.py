# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Derives the columns of a table from a JSON schema. Pure: no database here."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from elworkers.events.open_schemas import is_open

LONGEST_NAME = 64
"""Characters of a table's or column's name in MySQL and MariaDB."""

VARCHAR = 1024
ROW_BYTES = 65_535
"""Of a row in MySQL and MariaDB, at most; long texts count with a few bytes."""

_BYTES_A_CHARACTER = 4
_MOST_INDEXES = 40
_MOST_COLUMNS = 1000
"""Of a new table; InnoDB takes 1,017."""

_HASH_DIGITS = 8

REST = "event_rest"
"""The column of what has no column, as JSON."""


class ColumnType(Enum):
    """How a value is stored, and the bytes it takes of MariaDB's 65,535-byte row at most."""

    BOOLEAN = 1
    BIGINT = 8
    DOUBLE = 9
    DATETIME = 10
    MEDIUMTEXT = 11
    CHAR14 = 14 * _BYTES_A_CHARACTER + 1
    CHAR32 = 32 * _BYTES_A_CHARACTER + 2
    VARCHAR = VARCHAR * _BYTES_A_CHARACTER + 2
    TEXT = 12


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        name: at most 64 characters, unlike every other of the table also in lower case.
        type: its type.
        path: where its value is in the capsule.
        indexed: whether it has an index of its own.
    """

    name: str
    type: ColumnType
    path: tuple[str, ...]
    indexed: bool = False


# MySQL and MariaDB take no NUL, nothing beyond U+FFFF and no blank at the end. With a backtick a table cannot be
# described by them so that SQLAlchemy understands.
_UNWRITABLE = re.compile(r"[\0`\ud800-\udfff\U00010000-\U0010ffff]|\s+$")

_TYPES = {
    "boolean": ColumnType.BOOLEAN,
    "integer": ColumnType.BIGINT,
    "number": ColumnType.DOUBLE,
    "string": ColumnType.VARCHAR,
}


def table_name(schema: str, revision: int) -> str:
    """Return `<schema>_<revision>`; other characters than letters and digits become `_`."""
    name = literal(f"{schema}_{revision}")
    return name if len(name) <= LONGEST_NAME else _shortened(name, f"{schema}_{revision}")


def literal(schema: str) -> str:
    """Return a schema's name as a table's can hold it: other characters than letters and digits become `_`."""
    return re.sub(r"[^A-Za-z0-9]", "_", schema)


def is_literal(schema: str) -> bool:
    """Return whether a table's name holds the schema's as it is."""
    return literal(schema) == schema


def other_name(schema: str, revision: int) -> str:
    """Return the name of the table where another schema has `table_name` already; a digest distinguishes them."""
    full_name = f"{schema}_{revision}"
    return _shortened(literal(full_name), full_name)


def new_table(schema: Mapping[str, Any]) -> list[Column]:
    """Return the columns of a new table: as many of `columns` as a table can have, and `REST` where it is of use."""
    wanted = columns(schema)
    surplus = len(wanted) > _MOST_COLUMNS
    return [*wanted[:_MOST_COLUMNS], *([rest_column()] if surplus or is_open(schema) else [])]


def rest_column() -> Column:
    """Return the column of what has no column; its value is not found by a path."""
    return Column(REST, ColumnType.MEDIUMTEXT, ())


def columns(schema: Mapping[str, Any]) -> list[Column]:
    """Return the columns of events of a schema, in its order; `id` is the database's own.

    Strings are varchar(1024) while they fit into a row, and text from there on. Names that the databases cannot have,
    and those that meet, get a digest.

    Args:
        schema: of the event proper, as it was read.
    """
    found = [
        Column("uuid", ColumnType.CHAR32, ("uuid",)),
        Column("timestamp", ColumnType.CHAR14, ("timestamp",), indexed=True),
        Column("webHost", ColumnType.VARCHAR, ("webHost",)),
        Column("wiki", ColumnType.VARCHAR, ("wiki",)),
        Column("userAgent", ColumnType.VARCHAR, ("userAgent",)),
        *_fields(schema, ("event",)),
    ]
    return _fit_into_row(_with_unique_names(found))


def _fields(schema: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[Column]:
    properties = schema.get("properties")
    for name, described in properties.items() if isinstance(properties, dict) else ():
        here = (*path, str(name))
        field = described if isinstance(described, dict) else {}
        if isinstance(field.get("properties"), dict) and field["properties"]:
            yield from _fields(field, here)
            continue
        column_type = _column_type(field)
        if here == ("event", "rawEvent") and column_type is ColumnType.VARCHAR:
            column_type = ColumnType.MEDIUMTEXT
        yield Column("_".join(here), column_type, here, indexed=column_type is ColumnType.DATETIME)


def _column_type(field: Mapping[str, Any]) -> ColumnType:
    named = field.get("type")
    types = {one for one in (named if isinstance(named, list) else [named]) if isinstance(one, str) and one != "null"}
    if types == {"string"} and field.get("format") == "date-time":
        return ColumnType.DATETIME
    if types == {"integer", "number"}:
        return ColumnType.DOUBLE
    return _TYPES.get(next(iter(types)), ColumnType.VARCHAR) if len(types) == 1 else ColumnType.VARCHAR


def _with_unique_names(found: Sequence[Column]) -> list[Column]:
    # Databases compare column names without regard to case, and a_b may be both a field and one inside another.
    names = [_UNWRITABLE.sub("_", column.name) for column in found]
    wanted = Counter(name.lower() for name in (*names, REST))
    return [
        replace(column, name=_shortened(name, "\0".join(column.path)))
        if name != column.name or len(name) > LONGEST_NAME or wanted[name.lower()] > 1
        else column
        for column, name in zip(found, names, strict=True)
    ]


def _shortened(name: str, full_name: str) -> str:
    digest = hashlib.sha256(full_name.encode(errors="surrogatepass")).hexdigest()[:_HASH_DIGITS]
    return f"{name[: LONGEST_NAME - _HASH_DIGITS - 1]}_{digest}"


def _fit_into_row(found: Sequence[Column]) -> list[Column]:
    null_bits = len(found) // 8 + 1
    fixed = sum((ColumnType.TEXT if column.type is ColumnType.VARCHAR else column.type).value for column in found)
    left = ROW_BYTES - ColumnType.BIGINT.value - null_bits - fixed
    fitting, indexes = [], 0
    for column in found:
        extra = ColumnType.VARCHAR.value - ColumnType.TEXT.value
        column_type = column.type
        if column_type is ColumnType.VARCHAR and extra > left:
            column_type = ColumnType.TEXT
        elif column_type is ColumnType.VARCHAR:
            left -= extra
        indexes += column.indexed
        fitting.append(replace(column, type=column_type, indexed=column.indexed and indexes <= _MOST_INDEXES))
    return fitting
