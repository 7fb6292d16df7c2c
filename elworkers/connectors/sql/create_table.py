# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Creates the table of a JSON schema, or reads which columns an existing one has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import sqlalchemy
from sqlalchemy.dialects import mysql
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError, NoSuchTableError

from elworkers.connectors.sql import db_errors
from elworkers.connectors.sql.long_event_errors import ColumnWidth
from elworkers.core.errors import RetryableError
from elworkers.events import columns as tables
from elworkers.events.columns import REST, VARCHAR, Column, ColumnType

_DUPLICATE_INDEX = 1061

_TYPES: dict[ColumnType, Any] = {
    ColumnType.BOOLEAN: sqlalchemy.Boolean(),
    ColumnType.BIGINT: sqlalchemy.BigInteger(),
    ColumnType.DOUBLE: sqlalchemy.Double(),
    ColumnType.DATETIME: sqlalchemy.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql"),
    ColumnType.CHAR14: sqlalchemy.CHAR(14),
    ColumnType.CHAR32: sqlalchemy.CHAR(32),
    ColumnType.VARCHAR: sqlalchemy.String(VARCHAR),
    ColumnType.TEXT: sqlalchemy.Text(),
    ColumnType.MEDIUMTEXT: sqlalchemy.Text().with_variant(mysql.MEDIUMTEXT(), "mysql"),
}

_COMPATIBLE_TYPES: dict[ColumnType, type[Any]] = {
    ColumnType.BOOLEAN: sqlalchemy.Integer,
    ColumnType.BIGINT: sqlalchemy.Integer,
    ColumnType.DOUBLE: sqlalchemy.Float,
    ColumnType.DATETIME: sqlalchemy.DateTime,
}
"""Reflected types that take text and literals of SQL for the same value; String for the others."""

_BYTES = {mysql.TINYTEXT: 255, mysql.TEXT: 65_535, mysql.MEDIUMTEXT: 16_777_215}
_LONG_TEXT_TYPES = (sqlalchemy.Text, mysql.TEXT, mysql.MEDIUMTEXT, mysql.LONGTEXT)


class CreatedTable(NamedTuple):
    """A table that exists.

    Attributes:
        table: with the columns that it really has, and `REST` as the last where it has that.
        columns: the same without `REST`.
        has_rest: whether it has `REST`.
        text_compatible: whether all its columns are of such types that text and literals of SQL do.
        widths: by column of text, what it holds at most, where that is limited.
    """

    table: sqlalchemy.Table
    columns: Sequence[Column]
    has_rest: bool
    text_compatible: bool
    widths: Mapping[str, ColumnWidth]


def make_table(connection: Connection, name: str, schema: Mapping[str, Any]) -> CreatedTable:
    """Return the table, created where it is not there.

    Must not be called inside a transaction: MariaDB commits at every DDL statement.

    Raises:
        DBAPIError: the database will not have it, or is away.
        RetryableError: somebody has dropped it at this moment.
    """
    if not sqlalchemy.inspect(connection).has_table(name):
        _create(connection, _described(name, tables.new_table(schema)))
    connection.commit()
    try:
        found = sqlalchemy.inspect(connection).get_columns(name)
    except NoSuchTableError as error:
        raise RetryableError(f"table {name} was dropped while it was looked at") from error
    connection.commit()
    # Nobody can write into what the database computes.
    types = {column["name"].lower(): column["type"] for column in found if not column.get("computed")}
    # A field called `rest` had that name before.
    has_rest = isinstance(types.get(REST), _LONG_TEXT_TYPES)
    wanted = (_present(column, types, has_rest) for column in tables.columns(schema))
    present = [column for column in wanted if column is not None]
    written = [*present, *([tables.rest_column()] if has_rest else [])]
    return CreatedTable(
        _described(name, written),
        present,
        has_rest,
        all(isinstance(types[one.name.lower()], _COMPATIBLE_TYPES.get(one.type, sqlalchemy.String)) for one in written),
        {column.name: width for column in present if (width := _width(types[column.name.lower()])) is not None},
    )


def _present(column: Column, types: Mapping[str, Any], has_rest: bool) -> Column | None:
    """Return the column under the name that this table has it by: earlier versions took some names as they were."""
    if column.name.lower() in types:
        return column
    earlier = "_".join(column.path)
    if earlier.lower() not in types or (has_rest and earlier.lower() == REST):
        return None
    return replace(column, name=earlier)


def create_if_absent(connection: Connection, table: sqlalchemy.Table) -> None:
    """Make a table of this program's own; nothing is asked of the account where it is there."""
    if not sqlalchemy.inspect(connection).has_table(table.name):
        connection.execute(sqlalchemy.schema.CreateTable(table, if_not_exists=True))
    connection.commit()


def _width(column_type: Any) -> ColumnWidth | None:
    if type(column_type) in _BYTES:
        return ColumnWidth(_BYTES[type(column_type)], in_bytes=True)
    limited = isinstance(column_type, mysql.VARCHAR | mysql.CHAR) and column_type.length is not None
    return ColumnWidth(column_type.length, in_bytes=False) if limited else None


def _create(connection: Connection, table: sqlalchemy.Table) -> None:
    if connection.dialect.name == "mysql":
        # Hundreds of text columns may in theory outgrow a page. Their rows seldom do; one that does is rejected.
        connection.exec_driver_sql("SET SESSION innodb_strict_mode = OFF")
    connection.execute(sqlalchemy.schema.CreateTable(table, if_not_exists=True))
    for index in table.indexes:
        _make_index(connection, index)


def _make_index(connection: Connection, index: sqlalchemy.Index) -> None:
    try:
        connection.execute(sqlalchemy.schema.CreateIndex(index))
    except DBAPIError as error:
        # Another worker made the table at the same moment.
        if db_errors.code_of(error) != _DUPLICATE_INDEX and "already exists" not in str(error.orig):
            raise


def _described(name: str, wanted: Sequence[Column]) -> sqlalchemy.Table:
    table = sqlalchemy.Table(
        name,
        sqlalchemy.MetaData(),
        sqlalchemy.Column(
            "id",
            sqlalchemy.BigInteger().with_variant(sqlalchemy.Integer(), "sqlite"),
            primary_key=True,
            autoincrement=True,
        ),
        *(
            sqlalchemy.Column(column.name, _TYPES[column.type], nullable=True, unique=column.name == "uuid")
            for column in wanted
        ),
        mysql_engine="InnoDB",
        mysql_charset="utf8mb4",
        mysql_row_format="DYNAMIC",
    )
    for number, column in enumerate(wanted):
        if column.indexed:
            sqlalchemy.Index(f"ix_{name[:48]}_{number}", table.c[column.name])
    return table
