# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Finds the table of a schema and revision, and creates it where it is missing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import structlog
from sqlalchemy.engine import Connection

from elworkers.connectors.sql import db_errors, extra_fields, long_event_errors, table_owners
from elworkers.connectors.sql.create_table import CreatedTable, make_table
from elworkers.connectors.sql.db_errors import DatabaseFault, FaultScope
from elworkers.connectors.sql.long_event_errors import ColumnWidth
from elworkers.connectors.sql.rejected_rows import RejectionPolicy
from elworkers.connectors.sql.row_maker import Table
from elworkers.connectors.sql.table_owners import TableOwners
from elworkers.connectors.sql.table_writers import table_writer
from elworkers.core.contracts import Metrics
from elworkers.core.errors import ElworkersError, InvalidEventError
from elworkers.events import columns as tables

log = structlog.get_logger(__name__)

Schemas = Callable[[str, int], Mapping[str, Any]]

_GOOD = {"properties": {"a": {"type": "string"}}}


class Catalog:
    """The tables of one connection.

    Args:
        connection: no transaction may be open whenever something is asked for.
        schemas: the JSON schema of a name and revision; raises InvalidEventError where there is none.
        rejection_policy: what is known of tables that cannot be made.
        metrics: counts columns that tables lack.
    """

    def __init__(
        self, connection: Connection, schemas: Schemas, rejection_policy: RejectionPolicy, metrics: Metrics
    ) -> None:
        self._connection = connection
        self._schemas = schemas
        self._rejection_policy = rejection_policy
        self._metrics = metrics
        self._owners = TableOwners(connection, self._exists)
        self._tables: dict[tuple[str, int], Table] = {}

    def table_of(self, named: tuple[str, int] | None) -> Table:
        """Return the table of a schema and revision.

        Raises:
            InvalidEventError: it can have none; says why.
            RetryableError, DBAPIError: the database is away.
        """
        if named is None:
            raise InvalidEventError("the event names no schema and revision", "storage")
        if named not in self._tables:
            self._tables[named] = self._made(named)
        return self._tables[named]

    def forget(self, table: str) -> None:
        """Forget what is known of a table, because it is out of date."""
        self._tables = {named: one for named, one in self._tables.items() if one.name != table}

    def _exists(self, schema: str, revision: int) -> bool:
        try:
            self._schemas(schema, revision)
        except InvalidEventError:
            return False
        return True

    def _made(self, named: tuple[str, int]) -> Table:
        reason = self._rejection_policy.unmade(named)
        if reason is not None:
            raise InvalidEventError(f"its table cannot be made: {reason}", "storage")
        schema = self._schemas(*named)
        _check(schema)
        name = tables.table_name(*named)
        try:
            name = self._owners.table_of(*named)
            made = make_table(self._connection, name, schema)
        except ElworkersError:
            raise
        except Exception as error:  # noqa: BLE001 - a schema's name or fields may make any library raise
            self._reject(named, name, error)
        self._rejection_policy.made(named, name)
        _log_missing_columns(name, schema, made)
        columns = made.columns
        writer = table_writer(self._connection, made)
        return Table(name, columns, made.has_rest, extra_fields.known(columns), writer, _cuts(named, made))

    def _reject(self, named: tuple[str, int], table: str, error: Exception) -> NoReturn:
        fault = self._fault(error)
        # That it answers is half of what tells this from an outage.
        self._connection.rollback()
        self._connection.exec_driver_sql("SELECT 1")
        self._connection.rollback()
        self._rejection_policy.cannot_make(named, table, fault)
        raise InvalidEventError(f"its table cannot be made: {fault.message}", "storage") from error

    def _fault(self, error: Exception) -> DatabaseFault:
        if isinstance(error, db_errors.ERRORS) and not db_errors.is_bug(error):
            fault = db_errors.fault_of(error)
            if fault.scope is FaultScope.OUTAGE:
                raise error
            return fault
        # A bug that any schema meets is met by a good one.
        self._connection.rollback()
        make_table(self._connection, table_owners.TABLE, _GOOD)
        log.error("a table cannot be made", code="sql_table_creation_failed", exc_info=error)
        return DatabaseFault(FaultScope.TABLE, None, f"{type(error).__name__}: {str(error)[:200]}")


def _check(schema: Mapping[str, Any]) -> None:
    try:
        tables.new_table(schema)
    except Exception as error:
        # A schema that any other gets through with is not ours to blame.
        tables.new_table(_GOOD)
        log.warning("no table can be described for a schema", code="sql_table_definition_failed", exc_info=True)
        raise InvalidEventError(f"no table can be described for it: {type(error).__name__}", "storage") from error


def _log_missing_columns(name: str, schema: Mapping[str, Any], made: CreatedTable) -> None:
    wanted = {column.name for column in tables.columns(schema)}
    missing = sorted(wanted - {column.name for column in made.columns})
    if missing:
        destination = "in event_rest" if made.has_rest else "nowhere"
        log.warning(
            "table lacks columns",
            code="sql_columns_missing",
            table=name,
            missing=missing[:10],
            count=len(missing),
            values_go=destination,
        )


def _cuts(named: tuple[str, int], made: CreatedTable) -> Mapping[str, ColumnWidth]:
    """Return the widths of text columns of an EventError's table."""
    return made.widths if named[0] == long_event_errors.SCHEMA else {}
