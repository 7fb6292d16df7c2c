# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Decides whether rejected rows are the tables' own fault or an outage, and logs it."""

from __future__ import annotations

import time
from collections.abc import Mapping

import structlog

from elworkers.connectors.sql.db_errors import DatabaseFault, FaultScope
from elworkers.core.contracts import Metrics
from elworkers.core.errors import RetryableError

log = structlog.get_logger(__name__)

_RETRY_AFTER_S = 60.0
_MOST_REMEMBERED = 1000


class RejectionPolicy:
    """What one worker knows of the tables of one database; outlives connections.

    Args:
        metrics: is told which tables are set aside.

    Attributes:
        checked_tables: whether narrow tables have been named.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self.checked_tables = False
        self._alike: dict[int | None, set[str]] = {}
        self._unmade: dict[tuple[str, int], tuple[float, str]] = {}
        self._cannot_be_made: dict[str, DatabaseFault] = {}
        self._set_aside_until: dict[str, float] = {}
        self._reported_until: dict[str, float] = {}

    def update(self, accepting: set[str], rejecting: Mapping[str, DatabaseFault]) -> None:
        """Note which tables have accepted and which have rejected records of a batch.

        Args:
            accepting: tables that took at least one record.
            rejecting: tables that took none, all for this reason.

        Raises:
            RetryableError: several tables have rejected everything for one reason that nobody knows, and none has taken
                anything meanwhile.
        """
        unmade, self._cannot_be_made = self._cannot_be_made, {}
        if accepting:
            self._alike.clear()
        for table in accepting & self._set_aside_until.keys():
            self._resume(table)
        for table, fault in {**unmade, **rejecting}.items():
            if not accepting:
                self._suspect(table, fault)
            if fault.scope is not FaultScope.ROW:
                self._set_aside(table, fault.message)

    def _suspect(self, table: str, fault: DatabaseFault) -> None:
        if fault.scope is not FaultScope.UNKNOWN:
            return
        tables = self._alike.setdefault(fault.code, set())
        tables.add(table)
        if len(tables) > 1:
            # Those that could not be made are tried again at once.
            self._unmade.clear()
            named = ", ".join(sorted(tables)[:3])
            raise RetryableError(f"database refuses everything for several tables ({named}) alike: {fault.message}")

    def _set_aside(self, table: str, reason: str) -> None:
        now = time.monotonic()
        if table in self._set_aside_until and now < self._set_aside_until[table]:
            return
        if len(self._set_aside_until) >= _MOST_REMEMBERED and table not in self._set_aside_until:
            self._set_aside_until.pop(next(iter(self._set_aside_until)))
        self._set_aside_until[table] = now + _RETRY_AFTER_S
        self._metrics.set_aside(f"table {table}", reason)
        log.warning("table takes no records; others go on", code="sql_table_unusable", table=table, reason=reason)

    def left_out(self, table: str, count: int) -> None:
        """Log, once a minute, that values had no column to go to."""
        now = time.monotonic()
        if now >= self._reported_until.get(table, 0.0):
            if len(self._reported_until) >= _MOST_REMEMBERED:
                self._reported_until.clear()
            self._reported_until[table] = now + _RETRY_AFTER_S
            log.warning(
                "values have no column and are left out; the table has no event_rest",
                code="sql_values_left_out",
                table=table,
                count=count,
            )

    def _resume(self, table: str) -> None:
        if self._set_aside_until.pop(table, None) is not None:
            self._metrics.resumed(f"table {table}")
            log.info("table takes records again", code="sql_table_usable", table=table)

    def unmade(self, schema: tuple[str, int]) -> str | None:
        """Return why this schema's table could not be created within the last minute."""
        until, reason = self._unmade.get(schema, (0.0, ""))
        return reason if time.monotonic() < until else None

    def made(self, schema: tuple[str, int], table: str) -> None:
        """Note that a schema's table exists."""
        if self._unmade.pop(schema, None) is not None:
            self._resume(table)

    def cannot_make(self, schema: tuple[str, int], table: str, fault: DatabaseFault) -> None:
        """Note that a table cannot be created; it is not tried again for a minute, unless `update` finds an outage."""
        if len(self._unmade) >= _MOST_REMEMBERED:
            self._unmade.pop(next(iter(self._unmade)))
        self._unmade[schema] = (time.monotonic() + _RETRY_AFTER_S, fault.message)
        self._cannot_be_made[table] = fault
