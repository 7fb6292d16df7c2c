# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Writes rows to one table, and counts the new ones: one writer for each kind of database.

MySQL and MariaDB are sent text that is written here, which costs a fraction of what a driver takes for each value.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import pymysql
import sqlalchemy
import structlog
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from elworkers.connectors.sql import db_errors
from elworkers.connectors.sql import literals as sql_literals
from elworkers.connectors.sql.create_table import CreatedTable
from elworkers.connectors.sql.db_errors import DUPLICATE_ENTRY, ERRORS, TOO_LARGE, FaultScope, TransactionLostError
from elworkers.connectors.sql.load_data import Answer, LocalDataConnection
from elworkers.events.convert import ColumnValues

_MOST_WARNINGS = 65_535
_NO_SUCH_SAVEPOINT = 1305
_UUIDS_KEY = re.compile(r" for key '(?:[^']*\.)?uuid'$")
_CUT = {1264, 1265, 1292, 1366, 1406}
"""Warnings that something was cut: blanks behind the longest text are, even by a strict INSERT."""

_LOCAL_DATA_DISABLED = {
    1148,  # the command is not allowed
    3948,  # MySQL: loading local data is disabled
    4166,  # MariaDB: the capability is disabled
}

log = structlog.get_logger(__name__)


class TableWriter(Protocol):
    """Stores rows in one table, in the transaction that has begun.

    A row whose uuid is there is passed over, and nothing is ever cut or clamped. Another key that is there already
    rejects the row.

    First all rows are tried at once: `prepare`, `start`, `finish`. Where that stores none of them, `rows` and `insert`
    find those that the database rejects.
    """

    def prepare(self, columns: Sequence[ColumnValues]) -> Any:
        """Return what `start` takes; may be called while something else is under way."""

    def start(self, prepared: Any) -> None:
        """Begin to store all rows; the connection is not to be used before `finish`."""

    def finish(self) -> int | None:
        """Wait until they are stored; how many are new, or None where nothing was stored.

        Raises:
            DBAPIError, pymysql.Error: the database is away, or has ended the transaction.
        """

    def rows(self, columns: Sequence[ColumnValues]) -> list[Any]:
        """Return the rows as `insert` takes them, one for each event."""

    def insert(self, rows: Sequence[Any]) -> int:
        """Store all these rows; how many are new. What was stored before it raises, the caller takes back.

        Raises:
            DBAPIError, pymysql.Error, OverflowError: the database rejects one of them, or is away.
        """


def table_writer(connection: Connection, made: CreatedTable) -> TableWriter:
    """Return the writer for the connection's database; the order of columns is the table's, without `id`."""
    if connection.dialect.name == "sqlite":
        return SqliteTableWriter(connection, made.table)
    return MysqlTableWriter(connection, made.table, made.text_compatible)


def roll_back_to(connection: Connection, savepoint: str) -> None:
    """Roll back to a savepoint, which also shows that the database still answers.

    Raises:
        TransactionLostError: the transaction has ended with the statement that failed.
        DBAPIError: the database is away.
    """
    try:
        connection.exec_driver_sql(f"ROLLBACK TO SAVEPOINT {savepoint}")
    except DBAPIError as error:
        if db_errors.code_of(error) == _NO_SUCH_SAVEPOINT or "no such savepoint" in db_errors.error_message(error):
            raise TransactionLostError from error
        raise


class SqliteTableWriter:
    """Writes by SQLAlchemy's statements; implements `TableWriter`."""

    def __init__(self, connection: Connection, table: sqlalchemy.Table) -> None:
        self._connection = connection
        self._names = _names(table)
        self._uuid = table.c.get("uuid", table.c.id)
        self._statement = sqlite.insert(table).on_conflict_do_nothing(index_elements=["uuid"])
        self._started: list[Any] = []

    def prepare(self, columns: Sequence[ColumnValues]) -> Any:
        """See `TableWriter.prepare`."""
        return self.rows(columns)

    def start(self, prepared: Any) -> None:
        """See `TableWriter.start`; a library has nothing to wait for."""
        self._started = prepared

    def finish(self) -> int | None:
        """See `TableWriter.finish`."""
        self._connection.exec_driver_sql("SAVEPOINT piece")
        try:
            return self.insert(self._started)
        except Exception as error:
            if (
                isinstance(error, ERRORS)
                and not db_errors.is_bug(error)
                and db_errors.fault_scope(error) is FaultScope.OUTAGE
            ):
                raise
        roll_back_to(self._connection, "piece")
        return None

    def rows(self, columns: Sequence[ColumnValues]) -> list[Any]:
        """See `TableWriter.rows`."""
        return [dict(zip(self._names, row, strict=True)) for row in zip(*(one.values for one in columns), strict=True)]

    def insert(self, rows: Sequence[Any]) -> int:
        """See `TableWriter.insert`."""
        new = int(self._connection.execute(self._statement, list(rows)).rowcount)
        if new < len(rows) and not self._exist(rows):
            raise sqlite3.IntegrityError("the database has passed it over")
        return new

    def _exist(self, rows: Sequence[Any]) -> bool:
        # A trigger's RAISE(IGNORE) passes a row over as a repeat is.
        uuids = {row.get("uuid") for row in rows} - {None}
        existing = sqlalchemy.select(sqlalchemy.func.count()).where(self._uuid.in_(uuids))
        return bool(self._connection.execute(existing).scalar() == len(uuids))


class _Row(NamedTuple):
    text: str
    uuid: str


class _Prepared(NamedTuple):
    """Lines for LOAD DATA, or a statement and the rows in it."""

    text: bytes
    rows: Sequence[_Row] | None


class MysqlTableWriter:
    """LOAD DATA LOCAL where the server allows it, else INSERT; implements `TableWriter`.

    LOAD DATA LOCAL cuts, clamps and leaves out with a mere warning what a strict INSERT rejects. So any warning but
    that of a duplicate key takes all of it back, and the rows go the strict way. A table somebody has altered so that
    text may mean something else to a column is not loaded at all.
    """

    def __init__(self, connection: Connection, table: sqlalchemy.Table, loadable: bool) -> None:
        self._connection = connection
        named, columns = _quoted(table.name), ",".join(map(_quoted, _names(table)))
        self._load_into = f"IGNORE INTO TABLE {named} CHARACTER SET utf8mb4 ({columns})"
        self._loadable = loadable
        self._named = named
        self._insert_into = f"INSERT INTO {named} ({columns}) VALUES ".encode()  # noqa: S608
        self._prepared = _Prepared(b"", None)
        self._failed: pymysql.Error | None = None

    @property
    def _driver(self) -> LocalDataConnection:
        return self._connection.connection.driver_connection  # type: ignore[return-value]

    def prepare(self, columns: Sequence[ColumnValues]) -> _Prepared:
        """See `TableWriter.prepare`."""
        if not (self._loadable and self._driver.loads):
            rows = self.rows(columns)
            return _Prepared(self._statement(rows), rows)
        lines = map("\t".join, zip(*map(sql_literals.fields, columns), strict=True))
        return _Prepared(("\n".join(lines) + "\n").encode(), None)

    def start(self, prepared: _Prepared) -> None:
        """See `TableWriter.start`."""
        self._prepared = prepared
        self._failed = None
        # One of the same name replaces the last, so that none has to be released.
        self._driver.send(b"SAVEPOINT piece")
        self._driver.answer()
        try:
            if prepared.rows is None:
                self._driver.send_lines(self._load_into, prepared.text)
            else:
                self._send(prepared.text)
        except pymysql.Error as error:
            self._failed = error

    def finish(self) -> int | None:
        """See `TableWriter.finish`."""
        try:
            if self._failed is not None:
                raise self._failed
            answer, rows = self._driver.answer(), self._prepared.rows
            if rows is not None:
                return self._check(answer, rows)
            if not answer.warnings or self._only_duplicate_uuids(answer.warnings):
                return answer.rows
        except pymysql.Error as error:
            if db_errors.code_of(error) in _LOCAL_DATA_DISABLED:
                self._driver.loads = False
                log.warning(
                    "LOAD DATA LOCAL is refused; INSERT is used",
                    code="sql_load_data_refused",
                    reason=db_errors.error_message(error),
                )
            elif db_errors.fault_scope(error) is FaultScope.OUTAGE:
                raise
        roll_back_to(self._connection, "piece")
        return None

    def _only_duplicate_uuids(self, count: int) -> bool:
        warnings = self._warnings()
        return len(warnings) == count < _MOST_WARNINGS and all(
            code == DUPLICATE_ENTRY and _UUIDS_KEY.search(message) for code, message in warnings
        )

    def _warnings(self) -> list[tuple[int, str]]:
        with self._driver.cursor() as cursor:
            cursor.execute("SHOW WARNINGS")
            return [(code, message) for _level, code, message in cursor.fetchall()]

    def rows(self, columns: Sequence[ColumnValues]) -> list[_Row]:
        """See `TableWriter.rows`."""
        literals = list(map(sql_literals.literals, columns))
        rows_text = (f"({row})" for row in map(",".join, zip(*literals, strict=True)))
        return list(map(_Row, rows_text, literals[0]))

    def insert(self, rows: Sequence[_Row]) -> int:
        """See `TableWriter.insert`."""
        statement = self._statement(rows)
        if len(statement) > self._driver.longest_statement and len(rows) > 1:
            middle = len(rows) // 2
            return self.insert(rows[:middle]) + self.insert(rows[middle:])
        self._send(statement)
        return self._check(self._driver.answer(), rows)

    def _check(self, answer: Answer, rows: Sequence[_Row]) -> int:
        if answer.warnings:
            for code, message in self._warnings():
                if code in _CUT:
                    raise pymysql.DataError(code, message)
        if answer.rows < len(rows) and not self._exist(rows, answer.rows):
            raise pymysql.IntegrityError(DUPLICATE_ENTRY, "another row has one of its unique keys already")
        return answer.rows

    def _exist(self, rows: Sequence[_Row], new: int) -> bool:
        # ON DUPLICATE KEY is true of every unique key; only that of the uuid says that the event is stored already.
        uuids = {row.uuid for row in rows} - {"NULL"}
        nameless = sum(row.uuid == "NULL" for row in rows)
        statement = f"SELECT COUNT(*) FROM {self._named} WHERE uuid IN ({','.join(uuids) or 'NULL'})"  # noqa: S608
        with self._driver.cursor() as cursor:
            cursor.execute(statement)
            ((found,),) = cursor.fetchall()
        # Of the rows without a uuid nothing can be found again: each must be new.
        return bool(found == len(uuids) and (not nameless or new >= nameless))

    def _statement(self, rows: Sequence[_Row]) -> bytes:
        values = ",".join([row.text for row in rows]).encode()
        return b"".join((self._insert_into, values, b" ON DUPLICATE KEY UPDATE id=id"))

    def _send(self, statement: bytes) -> None:
        # The server would close the connection.
        if len(statement) > self._driver.longest_statement:
            message = f"{len(statement)} bytes are more than the server's max_allowed_packet"
            raise pymysql.DataError(TOO_LARGE, message)
        self._driver.send(statement)


def _names(table: sqlalchemy.Table) -> list[str]:
    return [column.name for column in table.columns if column.name != "id"]


def _quoted(name: str) -> str:
    return "`{}`".format(name.replace("`", "``"))
