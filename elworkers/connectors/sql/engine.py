# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Makes SQLAlchemy engines of database URIs."""

from __future__ import annotations

import contextlib
import os
from typing import Any

import sqlalchemy
import structlog
from sqlalchemy.engine import Connection, Engine

from elworkers.config.uris import Uri
from elworkers.connectors.sql.load_data import LocalDataConnection
from elworkers.connectors.sql.login import DEFAULT_LOGIN, Login
from elworkers.core.permissions import DATA_FILE

log = structlog.get_logger(__name__)

_SQL_MODE = "STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION"
_CONNECT_TIMEOUT_S, ANSWER_TIMEOUT_S = 10, 120


def engine(
    uri: Uri, local_infile: bool = True, login: Login = DEFAULT_LOGIN, answer_timeout_s: int | None = ANSWER_TIMEOUT_S
) -> Engine:
    """Return an engine for `mysql://USER:PASSWORD@HOST[:PORT]/DATABASE` or `sqlite:///PATH`.

    Always utf8mb4 and strict; the password stays in the closure and never becomes part of an engine's URL.

    Args:
        uri: of the database.
        local_infile: whether LOAD DATA LOCAL may be used where the server allows it.
        login: how a server may be logged in to.
        answer_timeout_s: the longest wait for a server's answer; None: without end.
    """
    if uri.scheme == "sqlite":
        return _sqlite_engine(uri)
    host, port = uri.endpoint(3306)

    def connect() -> Any:
        connection = LocalDataConnection(
            local_infile=local_infile,
            login=login,
            host=host,
            port=port,
            user=uri.user,
            password=uri.password or "",
            database=uri.path[1:],
            charset="utf8mb4",
            connect_timeout=_CONNECT_TIMEOUT_S,
            read_timeout=answer_timeout_s,
            write_timeout=ANSWER_TIMEOUT_S,
        )
        if local_infile and not connection.loads:
            log.info(
                "LOAD DATA LOCAL is not allowed by the server; INSERT is used",
                code="sql_load_data_unavailable",
                database=str(uri),
            )
        with connection.cursor() as cursor:
            # Of the warnings of a LOAD DATA each is looked at.
            cursor.execute(f"SET SESSION sql_mode = '{_SQL_MODE}', time_zone = '+00:00', max_error_count = 65535")
        return connection

    return sqlalchemy.create_engine("mysql+pymysql://", creator=connect, poolclass=sqlalchemy.pool.StaticPool)


def _sqlite_engine(uri: Uri) -> Engine:
    # As in SQLAlchemy's URLs, sqlite:///events.db is relative and sqlite:////srv/events.db absolute.
    path = uri.path[1:]
    with contextlib.suppress(OSError):
        # SQLite makes its files as readable as the umask lets it, those beside this one as this one.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, DATA_FILE))
    made = sqlalchemy.create_engine(
        f"sqlite:///{path}", connect_args={"timeout": 30}, poolclass=sqlalchemy.pool.StaticPool
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
