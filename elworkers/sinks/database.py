"""A database URI comes in; an engine, tables that exist, and what an error of the driver means go out."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

import pymysql
import sqlalchemy
import structlog
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DBAPIError, StatementError

from elworkers.errors import RetryableError
from elworkers.sinks.localdata import LocalDataConnection
from elworkers.sinks.tables import VARCHAR, Column, Kind
from elworkers.uris import Uri

log = structlog.get_logger(__name__)

_SQL_MODE = "STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION"
_CONNECT_TIMEOUT_S, _ANSWER_TIMEOUT_S = 10, 120
_DUPLICATE_INDEX = 1061
_ROW_ERRORS = {
    1048,  # a column cannot be null
    1118,  # the row is larger than a page takes
    1153,  # the packet is larger than max_allowed_packet
    1264,  # out of range
    1265,  # data truncated
    1292,  # incorrect value, such as a date that does not exist
    1366,  # incorrect value for the column
    1367,  # illegal value
    1406,  # data too long
    3988,  # the character set cannot hold it
    4025,  # a CHECK constraint that somebody added
}
"""Errors of MariaDB and MySQL that are one row's own."""

_TYPES: dict[Kind, Any] = {
    Kind.BOOLEAN: sqlalchemy.Boolean(),
    Kind.BIGINT: sqlalchemy.BigInteger(),
    Kind.DOUBLE: sqlalchemy.Double(),
    Kind.DATETIME: sqlalchemy.DateTime(),
    Kind.CHAR14: sqlalchemy.CHAR(14),
    Kind.CHAR32: sqlalchemy.CHAR(32),
    Kind.VARCHAR: sqlalchemy.String(VARCHAR),
    Kind.TEXT: sqlalchemy.Text(),
}

_RELATIVES: dict[Kind, type[Any]] = {
    Kind.BOOLEAN: sqlalchemy.Integer,
    Kind.BIGINT: sqlalchemy.Integer,
    Kind.DOUBLE: sqlalchemy.Float,
    Kind.DATETIME: sqlalchemy.DateTime,
}
"""What a reflected type is an instance of where text and literals of SQL mean the same to it; else String."""

TEXT_MEANS_THE_SAME = "text means the same"
"""The key in a table's `info` that says whether all its columns are of such types."""


def engine(uri: Uri, local_infile: bool = True) -> Engine:
    """An engine for `mysql://USER:PASSWORD@HOST[:PORT]/DATABASE` or `sqlite:///PATH`.

    Always utf8mb4 and strict; the password stays in the closure and never becomes part of an engine's URL.

    Args:
        uri: of the database.
        local_infile: whether LOAD DATA LOCAL may be used where the server allows it.
    """
    if uri.scheme == "sqlite":
        return _sqlite_engine(uri)
    host, port = uri.endpoint(3306)

    def connect() -> Any:
        connection = LocalDataConnection(
            local_infile=local_infile,
            host=host,
            port=port,
            user=uri.user,
            password=uri.password or "",
            database=uri.path[1:],
            charset="utf8mb4",
            connect_timeout=_CONNECT_TIMEOUT_S,
            read_timeout=_ANSWER_TIMEOUT_S,
            write_timeout=_ANSWER_TIMEOUT_S,
        )
        if local_infile and not connection.loads:
            log.info("LOAD DATA LOCAL is not allowed by the server; INSERT is used", database=str(uri))
        with connection.cursor() as cursor:
            # Of the warnings of a LOAD DATA each is looked at.
            cursor.execute(f"SET SESSION sql_mode = '{_SQL_MODE}', time_zone = '+00:00', max_error_count = 65535")
        return connection

    return sqlalchemy.create_engine("mysql+pymysql://", creator=connect, poolclass=sqlalchemy.pool.StaticPool)


def _sqlite_engine(uri: Uri) -> Engine:
    # As in SQLAlchemy's URLs, sqlite:///events.db is relative and sqlite:////srv/events.db absolute.
    made = sqlalchemy.create_engine(
        f"sqlite:///{uri.path[1:]}", connect_args={"timeout": 30}, poolclass=sqlalchemy.pool.StaticPool
    )

    @sqlalchemy.event.listens_for(made, "connect")
    def _on_connect(connection: Any, _record: Any) -> None:
        # The driver's own transactions begin too late for savepoints.
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode=WAL")

    @sqlalchemy.event.listens_for(made, "begin")
    def _on_begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return made


def make_table(connection: Connection, name: str, wanted: Sequence[Column]) -> sqlalchemy.Table:
    """The table, created where it is not there; only with the columns that it really has. See `TEXT_MEANS_THE_SAME`.

    Must not be called inside a transaction: MariaDB commits at every DDL statement.
    """
    table = _described(name, wanted)
    if not sqlalchemy.inspect(connection).has_table(name):
        if connection.dialect.name == "mysql":
            # Hundreds of text columns may in theory outgrow a page. Their rows seldom do; one that does is refused.
            connection.exec_driver_sql("SET SESSION innodb_strict_mode = OFF")
        connection.execute(sqlalchemy.schema.CreateTable(table, if_not_exists=True))
        for index in table.indexes:
            _make_index(connection, index)
    connection.commit()
    types = {column["name"].lower(): column["type"] for column in sqlalchemy.inspect(connection).get_columns(name)}
    connection.commit()
    there = [column for column in wanted if column.name.lower() in types]
    if len(there) < len(wanted):
        table = _described(name, there)
    table.info[TEXT_MEANS_THE_SAME] = all(
        isinstance(types[column.name.lower()], _RELATIVES.get(column.kind, sqlalchemy.String)) for column in there
    )
    return table


def _make_index(connection: Connection, index: sqlalchemy.Index) -> None:
    try:
        connection.execute(sqlalchemy.schema.CreateIndex(index))
    except DBAPIError as error:
        # Another worker made the table at the same moment.
        if code_of(error) != _DUPLICATE_INDEX and "already exists" not in str(error.orig):
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
            sqlalchemy.Column(column.name, _TYPES[column.kind], nullable=True, unique=column.name == "uuid")
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


def code_of(error: BaseException) -> int | None:
    """The number of a MariaDB or MySQL error."""
    arguments = getattr(_original(error), "args", ())
    return arguments[0] if arguments and isinstance(arguments[0], int) else None


def words_of(error: BaseException) -> str:
    """What the database said, without the statement and its values."""
    original = _original(error)
    if isinstance(original, pymysql.Error):
        return str(original.args[-1] if original.args else original)
    return str(original)


def is_the_rows_own(error: BaseException) -> bool:
    """Whether another row could have been stored, so that only this one is refused."""
    original = _original(error)
    if isinstance(original, sqlite3.Error):
        return isinstance(original, sqlite3.DataError | sqlite3.IntegrityError | sqlite3.InterfaceError)
    if isinstance(original, pymysql.Error):
        return code_of(original) in _ROW_ERRORS
    return isinstance(original, OverflowError)


def _original(error: BaseException) -> BaseException:
    # SQLAlchemy's errors wrap the driver's; those of statements that go around it are the driver's own.
    return error.orig if isinstance(error, StatementError) and error.orig is not None else error


def retryable(place: str, work: Callable[[], Any]) -> Any:
    """Run `work`; whatever the database raises there becomes a `RetryableError` that names the place."""
    try:
        return work()
    except (StatementError, pymysql.Error, sqlite3.Error) as error:
        raise RetryableError(f"database {place}: {words_of(error)}") from error
