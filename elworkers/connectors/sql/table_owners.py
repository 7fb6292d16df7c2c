# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Gives each schema and revision a table name that is theirs alone.

Characters that a table's name cannot have become `_`, so that the names of two schemas may meet. A name belongs to the
schema that it holds as it is, where there is one, and else to the first; what was decided is kept in the database.
Where the database ignores case, so that names meet which differ in it alone, a table that is there and nobody's yet
belongs to the schema that it is spelt like.
"""

from __future__ import annotations

from collections.abc import Callable

import sqlalchemy
from sqlalchemy.dialects import mysql, sqlite
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from elworkers.connectors.sql import db_errors
from elworkers.connectors.sql.create_table import create_if_absent
from elworkers.core.errors import InvalidEventError, RetryableError
from elworkers.events import columns

TABLE = "eventlogging_tables"

_LONGEST_SCHEMA = 249

_COUNTS, _AS_SPELT = 0, 2
"""Values of lower_case_table_names: case counts; it does not, but names are kept as they are spelt."""

_TABLE_NAME = sqlalchemy.String(64).with_variant(mysql.VARCHAR(64, charset="ascii", collation="ascii_bin"), "mysql")
_SCHEMA_NAME = sqlalchemy.String(_LONGEST_SCHEMA).with_variant(
    mysql.VARCHAR(_LONGEST_SCHEMA, charset="utf8mb4", collation="utf8mb4_bin"), "mysql"
)
_OWNERS = sqlalchemy.Table(
    TABLE,
    sqlalchemy.MetaData(),
    sqlalchemy.Column("table_name", _TABLE_NAME, primary_key=True),
    sqlalchemy.Column("schema_name", _SCHEMA_NAME, nullable=False),
    sqlalchemy.Column("revision", sqlalchemy.BigInteger, nullable=False),
    mysql_engine="InnoDB",
)


class TableOwners:
    """Tells which schema and revision each table belongs to.

    Args:
        connection: of the tables; no transaction may be open.
        exists: whether there is a schema of a name and revision.

    Raises:
        RetryableError: the table that says so cannot be made.
    """

    def __init__(self, connection: Connection, exists: Callable[[str, int], bool]) -> None:
        self._connection = connection
        self._exists = exists
        try:
            create_if_absent(connection, _OWNERS)
        except DBAPIError as error:
            if db_errors.code_of(error) not in db_errors.NO_RIGHT:
                raise
            raise RetryableError(
                f"table {TABLE}, which says whose each table is, cannot be made: {db_errors.error_message(error)}"
            ) from error
        case = _AS_SPELT if connection.dialect.name == "sqlite" else _case_of_names(connection)
        self._ignores_case = case != _COUNTS
        self._keeps_spelling = case == _AS_SPELT
        connection.commit()

    def table_of(self, schema: str, revision: int) -> str:
        """Return the name of the table of this schema and revision.

        Raises:
            InvalidEventError: another schema has it, and the other name as well.
            DBAPIError: the database is away.
        """
        if len(schema) > _LONGEST_SCHEMA:
            raise InvalidEventError(f"a schema's name has at most {_LONGEST_SCHEMA} characters", "storage")
        name = columns.table_name(schema, revision)
        written = columns.literal(schema)
        literal = columns.table_name(written, revision)
        is_anothers = not columns.is_literal(schema) and literal == name and self._exists(written, revision)
        if not is_anothers and self._claims(name, schema, revision):
            return name
        name = columns.other_name(schema, revision)
        if not self._claims(name, schema, revision):
            raise InvalidEventError(f"table {name} belongs to another schema", "storage")
        return name

    def _claims(self, name: str, schema: str, revision: int) -> bool:
        try:
            return self._is_owner(name.lower() if self._ignores_case else name, schema, revision)
        except DBAPIError as error:
            if db_errors.is_stale(error):
                raise RetryableError(f"table {TABLE}: {db_errors.error_message(error)}") from error
            raise

    def _is_owner(self, key: str, schema: str, revision: int) -> bool:
        owner = self._owner(key)
        if owner is None:
            if self._is_spelt_like_another(key, schema, revision):
                return False
            with self._connection.begin():
                values = {"table_name": key, "schema_name": schema, "revision": revision}
                self._connection.execute(self._if_absent().values(**values))
            owner = self._owner(key)
        return owner == (schema, revision)

    def _is_spelt_like_another(self, key: str, schema: str, revision: int) -> bool:
        if not self._keeps_spelling:
            return False
        existing = sqlalchemy.inspect(self._connection).get_table_names()
        self._connection.commit()
        spelt = {name.removesuffix(f"_{revision}"): name for name in existing if name.lower() == key}
        return any(
            other != schema and columns.table_name(other, revision) == name and self._exists(other, revision)
            for other, name in spelt.items()
        )

    def _owner(self, key: str) -> tuple[str, int] | None:
        wanted = sqlalchemy.select(_OWNERS.c.schema_name, _OWNERS.c.revision).where(_OWNERS.c.table_name == key)
        with self._connection.begin():
            found = self._connection.execute(wanted).one_or_none()
        return None if found is None else (found[0], found[1])

    def _if_absent(self) -> sqlalchemy.Insert:
        if self._connection.dialect.name == "sqlite":
            return sqlite.insert(_OWNERS).on_conflict_do_nothing()
        return mysql.insert(_OWNERS).on_duplicate_key_update(table_name=_OWNERS.c.table_name)


def _case_of_names(connection: Connection) -> int:
    return int(connection.exec_driver_sql("SELECT @@lower_case_table_names").scalar_one())
