# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Asks a database which uuids it has rows of. Reads only."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import sqlalchemy

from elworkers.config.uris import Uri
from elworkers.connectors.sql import engine, table_owners
from elworkers.connectors.sql.db_errors import retryable
from elworkers.connectors.sql.login import DEFAULT_LOGIN, Login
from elworkers.events import columns as tables

_TOGETHER = 1_000


class Present:
    """Tells which events a database has already.

    Args:
        uri: of the database.
        login: how a server may be logged in to.

    Raises:
        RetryableError: it does not answer.
    """

    def __init__(self, uri: Uri, login: Login = DEFAULT_LOGIN) -> None:
        self._database = str(uri)
        self._connection: Any = None
        self._tables: dict[str, str] = {}
        self._owners: dict[tuple[str, int], str] = {}
        if uri.scheme == "sqlite" and not Path(uri.path[1:]).exists():
            # To connect would create it.
            return
        self._engine = engine.engine(uri, local_infile=False, login=login)
        self._connection = retryable(self._database, self._engine.connect)
        retryable(self._database, self._load_tables)

    def _load_tables(self) -> None:
        self._tables = {name.lower(): name for name in sqlalchemy.inspect(self._connection).get_table_names()}
        if table_owners.TABLE in self._tables:
            columns: list[Any] = [sqlalchemy.column(name) for name in ("schema_name", "revision", "table_name")]
            found = self._connection.execute(
                sqlalchemy.select(*columns).select_from(sqlalchemy.table(table_owners.TABLE))
            )
            self._owners = {(schema, revision): name for schema, revision, name in found}
        self._connection.rollback()

    def __call__(self, schema: str, revision: int, uuids: Iterable[str]) -> set[str]:
        """Return those of these events of a schema that are stored.

        Raises:
            RetryableError: the database does not answer.
        """
        name = self._owners.get((schema, revision), "")
        if not name:
            name = tables.table_name(schema, revision)
            if name.lower() in {owned.lower() for owned in self._owners.values()}:
                # Another schema's.
                return set()
        table = self._tables.get(name.lower())
        return retryable(self._database, lambda: self._stored(table, list(uuids))) if table else set()

    def _stored(self, table: str, uuids: list[str]) -> set[str]:
        column: Any = sqlalchemy.column("uuid")
        found: set[str] = set()
        for begin in range(0, len(uuids), _TOGETHER):
            wanted = sqlalchemy.select(column).select_from(sqlalchemy.table(table))
            query = wanted.where(column.in_(uuids[begin : begin + _TOGETHER]))
            found.update(self._connection.execute(query).scalars())
        self._connection.rollback()
        return found

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._engine.dispose()
