"""Columns of values come in; rows in one table, and how many of them are new, go out: one way for each database.

MySQL and MariaDB are sent text that is written here, which costs a fraction of what a driver takes for each value.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import pymysql
import sqlalchemy
import structlog
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from elworkers.sinks import database, texts
from elworkers.sinks.localdata import LocalDataConnection
from elworkers.sinks.rows import Values

REFUSALS = (DBAPIError, pymysql.Error, OverflowError)
"""What a database's error may be; `database.is_the_rows_own` tells which are a row's."""

_MOST_WARNINGS = 65_535
_DUPLICATE_KEY = 1062
_TOO_LARGE = 1153
_LOCAL_DATA_REFUSED = {
    1148,  # the command is not allowed
    3948,  # MySQL: loading local data is disabled
    4166,  # MariaDB: the capability is disabled
}

log = structlog.get_logger(__name__)


class Inserts(Protocol):
    """Stores rows in one table, in the transaction that has begun.

    A row whose uuid is there is passed over, and nothing is ever cut or clamped.

    First all rows are tried at once: `prepare`, `start`, `finish`. Where that stores none of them, `rows` and `insert`
    find those that the database refuses.
    """

    def prepare(self, columns: Sequence[Values]) -> Any:
        """What `start` takes; may be called while something else is under way."""

    def start(self, prepared: Any) -> None:
        """Begin to store all rows; the connection is not to be used before `finish`."""

    def finish(self) -> int | None:
        """Wait until they are stored; how many are new, or None where nothing was stored.

        Raises:
            DBAPIError, pymysql.Error: the database is away.
        """

    def rows(self, columns: Sequence[Values]) -> list[Any]:
        """The rows as `insert` takes them, one for each event."""

    def insert(self, rows: Sequence[Any]) -> int:
        """Store all these rows; how many are new. What was stored before it raises, the caller takes back.

        Raises:
            DBAPIError, pymysql.Error, OverflowError: the database refuses one of them, or is away.
        """


def inserts(connection: Connection, table: sqlalchemy.Table) -> Inserts:
    """The way of the connection's database; the order of columns is the table's, without `id`."""
    return (SqliteInserts if connection.dialect.name == "sqlite" else MysqlInserts)(connection, table)


class SqliteInserts:
    """SQLAlchemy's own way; implements `Inserts`."""

    def __init__(self, connection: Connection, table: sqlalchemy.Table) -> None:
        self._connection = connection
        self._names = _names(table)
        self._statement = sqlite.insert(table).on_conflict_do_nothing(index_elements=["uuid"])
        self._started: list[Any] = []

    def prepare(self, columns: Sequence[Values]) -> Any:
        """See `Inserts.prepare`."""
        return self.rows(columns)

    def start(self, prepared: Any) -> None:
        """See `Inserts.start`; a library has nothing to wait for."""
        self._started = prepared

    def finish(self) -> int | None:
        """See `Inserts.finish`."""
        try:
            with self._connection.begin_nested():
                return self.insert(self._started)
        except REFUSALS as error:
            if not database.is_the_rows_own(error):
                raise
            return None

    def rows(self, columns: Sequence[Values]) -> list[Any]:
        """See `Inserts.rows`."""
        return [dict(zip(self._names, row, strict=True)) for row in zip(*(one.values for one in columns), strict=True)]

    def insert(self, rows: Sequence[Any]) -> int:
        """See `Inserts.insert`."""
        return int(self._connection.execute(self._statement, list(rows)).rowcount)


class MysqlInserts:
    """LOAD DATA LOCAL where the server allows it, else INSERT; implements `Inserts`.

    LOAD DATA LOCAL cuts, clamps and leaves out with a mere warning what a strict INSERT refuses. So any warning but
    that of a duplicate key takes all of it back, and the rows go the strict way. A table somebody has altered so that
    text may mean something else to a column is not loaded at all.
    """

    def __init__(self, connection: Connection, table: sqlalchemy.Table) -> None:
        self._connection = connection
        named, columns = _quoted(table.name), ",".join(map(_quoted, _names(table)))
        self._load_into = f"IGNORE INTO TABLE {named} CHARACTER SET utf8mb4 ({columns})"
        self._loadable = bool(table.info[database.TEXT_MEANS_THE_SAME])
        self._insert_into = f"INSERT INTO {named} ({columns}) VALUES ".encode()  # noqa: S608
        self._by_load = False
        self._failed: pymysql.Error | None = None

    @property
    def _driver(self) -> LocalDataConnection:
        return self._connection.connection.driver_connection  # type: ignore[return-value]

    def prepare(self, columns: Sequence[Values]) -> tuple[bool, bytes]:
        """See `Inserts.prepare`: whether it is for LOAD DATA; its lines, or else the statement."""
        if not (self._loadable and self._driver.loads):
            return False, self._statement(self.rows(columns))
        lines = map("\t".join, zip(*map(texts.fields, columns), strict=True))
        return True, ("\n".join(lines) + "\n").encode()

    def start(self, prepared: tuple[bool, bytes]) -> None:
        """See `Inserts.start`."""
        self._by_load, text = prepared
        self._failed = None
        # One of the same name replaces the last, so that none has to be released.
        self._do(b"SAVEPOINT piece")
        try:
            if self._by_load:
                self._driver.send_lines(self._load_into, text)
            else:
                self._send(text)
        except pymysql.Error as error:
            self._failed = error

    def finish(self) -> int | None:
        """See `Inserts.finish`."""
        try:
            if self._failed is not None:
                raise self._failed
            answer = self._driver.answer()
        except pymysql.Error as error:
            if database.code_of(error) in _LOCAL_DATA_REFUSED:
                self._driver.loads = False
                log.warning("LOAD DATA LOCAL is refused; INSERT is used", reason=database.words_of(error))
            elif not database.is_the_rows_own(error):
                raise
        else:
            if not (self._by_load and answer.warnings) or self._only_duplicates(answer.warnings):
                return answer.rows
        self._do(b"ROLLBACK TO SAVEPOINT piece")
        return None

    def _do(self, statement: bytes) -> None:
        self._driver.send(statement)
        self._driver.answer()

    def _only_duplicates(self, count: int) -> bool:
        with self._driver.cursor() as cursor:
            cursor.execute("SHOW WARNINGS")
            codes = [code for _level, code, _message in cursor.fetchall()]
        return len(codes) == count < _MOST_WARNINGS and set(codes) == {_DUPLICATE_KEY}

    def rows(self, columns: Sequence[Values]) -> list[Any]:
        """See `Inserts.rows`."""
        return [f"({row})" for row in map(",".join, zip(*map(texts.literals, columns), strict=True))]

    def insert(self, rows: Sequence[Any]) -> int:
        """See `Inserts.insert`."""
        statement = self._statement(rows)
        if len(statement) > self._driver.longest_statement and len(rows) > 1:
            middle = len(rows) // 2
            return self.insert(rows[:middle]) + self.insert(rows[middle:])
        self._send(statement)
        return self._driver.answer().rows

    def _statement(self, rows: Sequence[str]) -> bytes:
        return b"".join((self._insert_into, ",".join(rows).encode(), b" ON DUPLICATE KEY UPDATE id=id"))

    def _send(self, statement: bytes) -> None:
        # The server would close the connection.
        if len(statement) > self._driver.longest_statement:
            words = f"{len(statement)} bytes are more than the server's max_allowed_packet"
            raise pymysql.DataError(_TOO_LARGE, words)
        self._driver.send(statement)


def _names(table: sqlalchemy.Table) -> list[str]:
    return [column.name for column in table.columns if column.name != "id"]


def _quoted(name: str) -> str:
    return "`{}`".format(name.replace("`", "``"))
