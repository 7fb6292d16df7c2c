# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Finds tables of MySQL and MariaDB that are too narrow for their schemas, with the ALTERs that they need.

The original's tables of before March 2017 have varchar(191) of `utf8` (three bytes a character) and NOT NULL. Whatever
its schema says, text needs varchar(1024) of utf8mb4 and each column has to take NULL; so nobody has to be asked for
schemas.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import sqlalchemy
import structlog
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from elworkers.connectors.sql import db_errors
from elworkers.connectors.sql.db_errors import FaultScope
from elworkers.events.columns import ROW_BYTES, VARCHAR, ColumnType

log = structlog.get_logger(__name__)

_COLUMNS = sqlalchemy.text(
    "SELECT c.table_name, c.column_name, c.data_type, c.column_type, c.character_maximum_length, c.character_set_name,"
    " c.collation_name, c.datetime_precision, c.is_nullable, c.column_default, c.column_key, c.extra"
    " FROM information_schema.columns c JOIN information_schema.tables t"
    " ON t.table_schema = c.table_schema AND t.table_name = c.table_name"
    " WHERE c.table_schema = DATABASE() AND t.table_type = 'BASE TABLE' AND c.table_name REGEXP '_[0-9]+$'"
    " ORDER BY c.table_name, c.ordinal_position"
)
_OF_EVENTS = re.compile(r"webHost|wiki|userAgent|event_.+", re.IGNORECASE)
_OF_EVERY_TABLE = ("uuid", "timestamp")
_RAW_EVENT = "event_rawevent"
_TEXT_TYPES = ("char", "varchar", "tinytext", "text", "mediumtext", "longtext")
_WIDER = {"smallint": "BIGINT", "mediumint": "BIGINT", "int": "BIGINT", "float": "DOUBLE"}


class NarrowTable(NamedTuple):
    """A table that is too narrow.

    Attributes:
        table: its name.
        columns: description of each of its narrow columns.
        alter: the statement that widens all of them, without a semicolon.
    """

    table: str
    columns: Sequence[str]
    alter: str


class _Column(NamedTuple):
    """A row of `_COLUMNS`."""

    table: str
    name: str
    type: str
    full_type: str
    length: int | None
    charset: str | None
    collation: str | None
    precision: int | None
    nullable: str
    default: str | None
    key: str
    extra: str

    @property
    def is_text_of_events(self) -> bool:
        return self.type in _TEXT_TYPES and _OF_EVENTS.fullmatch(self.name) is not None

    @property
    def rejects_null(self) -> bool:
        if self.nullable == "YES" or self.key == "PRI":
            return False
        # What no event has is not written at all.
        return self.is_written or self.default is None

    @property
    def is_written(self) -> bool:
        return self.name.lower() in _OF_EVERY_TABLE or _OF_EVENTS.fullmatch(self.name) is not None

    @property
    def bytes(self) -> int:
        if self.type in ("char", "varchar"):
            return (self.length or 0) * 4 + 2
        return ColumnType.TEXT.value


def narrow_tables(connection: Connection) -> list[NarrowTable]:
    """Return the tables of events with columns that are too narrow for their schemas; only MySQL can have some.

    Args:
        connection: no transaction may be open.

    Raises:
        DBAPIError: the database is away.
    """
    if connection.dialect.name != "mysql":
        return []
    rows = [_Column(*(_text(value) for value in row)) for row in connection.execute(_COLUMNS)]
    connection.rollback()
    found = []
    for name, columns in groupby(rows, lambda column: column.table):
        table = list(columns)
        if {"id", *_OF_EVERY_TABLE} <= {column.name.lower() for column in table}:
            changes = list(_changes(table))
            if changes:
                descriptions, clauses = zip(*changes, strict=True)
                found.append(NarrowTable(name, descriptions, _alter(name, clauses)))
    return found


def log_narrow_tables(connection: Connection) -> None:
    """Log each table that is too narrow, with its ALTER; a database that does not tell is only logged.

    Args:
        connection: see `narrow_tables`.

    Raises:
        DBAPIError: the database is away.
    """
    try:
        narrow = narrow_tables(connection)
    except DBAPIError as error:
        if db_errors.fault_of(error).scope is FaultScope.OUTAGE:
            raise
        connection.rollback()
        log.warning(
            "tables cannot be looked at for narrow columns",
            code="sql_table_check_failed",
            reason=db_errors.error_message(error),
        )
        return
    for found in narrow:
        log.warning(
            "table is narrower than its schema needs; rows that do not fit are refused until it is altered",
            code="sql_table_narrow",
            table=found.table,
            columns=found.columns,
            alter=found.alter,
        )


def _text(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value


def _changes(table: Sequence[_Column]) -> Iterator[tuple[str, str]]:
    """Yield each narrow column with the clause of an ALTER that widens it."""
    left = ROW_BYTES - len(table) // 8 - 1 - sum(ColumnType.TEXT.value if _grows(one) else one.bytes for one in table)
    for column in table:
        if "GENERATED" in column.extra.upper() or "auto_increment" in column.extra:
            continue
        wanted = column.full_type
        if _grows(column):
            fits = left >= ColumnType.VARCHAR.value - ColumnType.TEXT.value
            left -= (ColumnType.VARCHAR.value - ColumnType.TEXT.value) if fits else 0
            wanted = f"VARCHAR({VARCHAR})" if fits else "TEXT"
            wanted = "MEDIUMTEXT" if column.name.lower() == _RAW_EVENT else wanted
        elif column.is_written and column.type in _WIDER:
            wanted = _WIDER[column.type]
        elif column.is_written and column.type == "datetime" and (column.precision or 0) < 6:
            wanted = "DATETIME(6)"
        other_charset = column.is_text_of_events and column.charset != "utf8mb4"
        if wanted != column.full_type or other_charset or column.rejects_null:
            yield _description(column), f"MODIFY {_quoted(column.name)} {wanted}{_charset(column)} NULL"


def _grows(column: _Column) -> bool:
    """Return whether a column of text needs another type: it is too short, or too long for its row in utf8mb4."""
    if not column.is_text_of_events:
        return False
    if column.name.lower() == _RAW_EVENT:
        return column.type not in ("mediumtext", "longtext")
    if column.type in ("char", "varchar"):
        return (column.length or 0) < VARCHAR or (column.length == VARCHAR and column.charset != "utf8mb4")
    return column.type == "tinytext"


def _description(column: _Column) -> str:
    charset = f" {column.charset}" if column.charset and column.charset != "utf8mb4" else ""
    return f"{column.name} {column.full_type}{charset}{' NOT NULL' if column.nullable != 'YES' else ''}"


def _charset(column: _Column) -> str:
    if column.type not in _TEXT_TYPES:
        return ""
    exact = " COLLATE utf8mb4_bin" if (column.collation or "").endswith("_bin") else ""
    return f" CHARACTER SET utf8mb4{exact}"


def _alter(table: str, clauses: Sequence[str]) -> str:
    return f"ALTER TABLE {_quoted(table)} DEFAULT CHARACTER SET utf8mb4, {', '.join(clauses)}"


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"
