# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Decides from a database error what it concerns: everything, a table or a row. Pure: no database here.

Only what is known to be an outage is one. All else is a record's, a row's or a table's own.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from enum import Enum
from typing import Any, NamedTuple

import pymysql
from sqlalchemy.exc import DBAPIError, StatementError

from elworkers.core.errors import RetryableError

ERRORS = (StatementError, pymysql.Error, sqlite3.Error, OverflowError)
"""What a statement may raise; SQLAlchemy wraps what is raised inside it, be it the driver's or not."""

NO_RIGHT = {1044, 1142}
"""Errors of an account without the right to a database or table."""

DUPLICATE_ENTRY = 1062
TOO_LARGE = 1153
_CLIENT_ERRORS = range(2000, 2100)

_OUTAGES = {
    *(5, 1037, 1038, 1041, 1135, 3170),  # no memory, no thread
    *(1021, 1114, 1023, 1024, 1026, 1028, 1030, 1197, 1534, 1598, 1878),  # disk full, or the files cannot be used
    *(1040, 1129, 1203, 1226, 1637),  # too many connections, queries or transactions
    *(1044, 1045, 1046, 1049, 1130, 1142, 1143, 1227, 1251, 1275, 1370, 1524, 1698, 1820, 1862, 3118),  # no access
    *(1020, 1205, 1206, 1213, 1099, 1100, 1192, 1223, 1412, 1614, 3572),  # locks, and changes by others meanwhile
    *(1036, 1290, 1792, 1836, 1874, 3098, 3100, 3101),  # read-only
    *(126, 127, 130, 144, 145, 1034, 1035, 1194, 1195),  # a crashed table
    *(1042, 1043, 1152, 1156, 1157, 1158, 1159, 1160, 1161, 1184, 1927, 3169, 4031),  # the connection
    *(1053, 1077, 1078, 1079, 3168),  # the server begins or ends
    *(1047, 1296, 1297),  # the cluster is not ready
    *(1180, 1181),  # COMMIT and ROLLBACK
    *(1317, 1907, 1969, 3024),  # it took too long, or somebody ended it
}
"""Errors of MariaDB and MySQL in an outage."""

_ROWS = {
    *(1048, 1153, 1264, 1265, 1292, 1366, 1367, 1406, 1690, 3988),  # a value that the column cannot hold
    *(1118, 1139),  # the row is larger than a page takes
    *(1062, 1169, 1586),  # a key that is there already
    *(1216, 1452, 3819, 4025),  # a constraint
    *(1526, 1748),  # no partition takes it
    1644,  # a trigger's SIGNAL
}
"""Errors of MariaDB and MySQL that depend on a row's values."""

_TABLES = {
    *(1054, 1136, 1146, 1364, 1906, 3105),  # a column or the table was made, taken away or changed
    *(1288, 1347, 1348, 1356, 1369, 1394, 1423, 1442, 1449, 1471),  # a view, or a trigger
    *(1305, 1318, 1362, 1363, 1414, 1424),  # what a trigger calls is not there, or is no good
    *(1812, 1813, 1814, 1932),  # its files are gone
    *(1050, 1059, 1060, 1069, 1070, 1071, 1072, 1074, 1103, 1113, 1117, 1163, 1166, 1170),  # it cannot be made
}
"""Errors of MariaDB and MySQL that any row of the table gets."""

STALE = {1054, 1136, 1146, 1906, 3105, 1356}
"""Errors after which the columns of the table have to be read again."""

_SQLITE_OUTAGES = {
    5: "database is locked",
    3: "access permission denied",
    6: "database table is locked",
    7: "out of memory",
    8: "attempt to write a readonly database",
    9: "interrupted",
    10: "disk I/O error",
    11: "database disk image is malformed",
    13: "database or disk is full",
    14: "unable to open database file",
    15: "locking protocol",
    17: "database schema has changed",
    22: "large file support is disabled",
    23: "not authorized",
    26: "file is not a database",
}
"""SQLite's primary result codes in an outage, and its messages for them."""


class TransactionLostError(Exception):
    """A statement has ended the transaction, and with it what was stored before."""


class FaultScope(Enum):
    """What an error concerns."""

    OUTAGE = "it passes; everything waits"
    ROW = "it depends on the row's values"
    TABLE = "every row of the table gets it"
    UNKNOWN = "it is on no list"


class DatabaseFault(NamedTuple):
    """Why a database rejected something.

    Attributes:
        scope: as far as is known.
        code: the error's number, if it has one.
        message: the database's.
    """

    scope: FaultScope
    code: int | None
    message: str


def original(error: BaseException) -> BaseException:
    """Return the driver's error, or what was raised on the way to the driver."""
    return error.orig if isinstance(error, StatementError) and error.orig is not None else error


def is_bug(error: BaseException) -> bool:
    """Return whether the database has no part in it: SQLAlchemy also wraps the bugs of whoever calls it."""
    return not isinstance(original(error), pymysql.Error | sqlite3.Error | OverflowError | DBAPIError)


def code_of(error: BaseException) -> int | None:
    """Return the number of an error of MariaDB, MySQL or SQLite; None where it has none."""
    found = original(error)
    if isinstance(found, sqlite3.Error):
        code: int | None = getattr(found, "sqlite_errorcode", None)
        return code
    arguments = getattr(found, "args", ())
    return arguments[0] if arguments and isinstance(arguments[0], int) else None


def error_message(error: BaseException) -> str:
    """Return the message of the database, without the statement and its values."""
    found = original(error)
    if isinstance(found, pymysql.Error):
        return str(found.args[-1] if found.args else found)
    return str(found)


def fault_scope(error: BaseException) -> FaultScope:
    """Return what a database's error concerns."""
    found = original(error)
    if isinstance(found, sqlite3.Error):
        return _scope_of_sqlite(found)
    if isinstance(found, OverflowError):
        return FaultScope.ROW
    code = code_of(found)
    # The driver gives no number where it could not read what the server sent.
    if not code or code in _OUTAGES or code in _CLIENT_ERRORS:
        return FaultScope.OUTAGE
    if code in _ROWS:
        return FaultScope.ROW
    return FaultScope.TABLE if code in _TABLES else FaultScope.UNKNOWN


def fault_of(error: BaseException) -> DatabaseFault:
    """Return the scope, number and message of a database's error."""
    return DatabaseFault(fault_scope(error), code_of(error), error_message(error))


def _scope_of_sqlite(error: sqlite3.Error) -> FaultScope:
    # Before Python 3.11 an error has no number.
    code = getattr(error, "sqlite_errorcode", None)
    if code is not None and code & 0xFF in _SQLITE_OUTAGES:
        return FaultScope.OUTAGE
    if code is None and any(message in str(error) for message in _SQLITE_OUTAGES.values()):
        return FaultScope.OUTAGE
    if isinstance(error, sqlite3.DataError | sqlite3.IntegrityError | sqlite3.InterfaceError):
        return FaultScope.ROW
    return FaultScope.TABLE


def is_stale(error: BaseException) -> bool:
    """Return whether the known columns of the table may be out of date."""
    found = original(error)
    if isinstance(found, sqlite3.OperationalError):
        return "no such table" in str(found) or "no column named" in str(found)
    return isinstance(found, pymysql.Error) and code_of(found) in STALE


def retryable(database: str, call: Callable[[], Any]) -> Any:
    """Run `call`; an error of the database becomes a `RetryableError` that names it, a bug stays what it is."""
    try:
        return call()
    except (StatementError, pymysql.Error, sqlite3.Error) as error:
        if is_bug(error):
            raise
        raise RetryableError(f"database {database}: {error_message(error)}") from error
