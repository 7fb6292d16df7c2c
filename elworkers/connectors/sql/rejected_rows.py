# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Decides whether rejected rows are the tables' own fault or an outage, and logs it."""

from __future__ import annotations

import time
from collections.abc import Mapping

import structlog

from elworkers.connectors.sql.db_errors import DatabaseFault, Whose
from elworkers.core.contracts import Metrics
from elworkers.core.errors import RetryableError

log = structlog.get_logger(__name__)

_AGAIN_S = 60.0
_MOST_REMEMBERED = 1000


class RejectionPolicy:
    """What one worker knows of the tables of one database; outlives connections.

    Args:
        metrics: is told which tables are set aside.

    Attributes:
        looked_at_tables: whether narrow tables have been named.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self.looked_at_tables = False
        self._alike: dict[int | None, set[str]] = {}
        self._unmade: dict[tuple[str, int], tuple[float, str]] = {}
        self._cannot_be_made: dict[str, DatabaseFault] = {}
        self._aside: dict[str, float] = {}
        self._told: dict[str, float] = {}

    def judge(self, taken: set[str], refused: Mapping[str, DatabaseFault]) -> None:
        """Take note of a batch.

        Args:
            taken: tables that took at least one record.
            refused: tables that took none, all for this reason.

        Raises:
            RetryableError: several tables have refused everything for one reason that nobody knows, and none has taken
                anything meanwhile.
        """
        unmade, self._cannot_be_made = self._cannot_be_made, {}
        if taken:
            self._alike.clear()
        for table in taken & self._aside.keys():
            self._resume(table)
        for table, fault in {**unmade, **refused}.items():
            if not taken:
                self._suspect(table, fault)
            if fault.whose is not Whose.ROW:
                self._set_aside(table, fault.words)

    def _suspect(self, table: str, fault: DatabaseFault) -> None:
        if fault.whose is not Whose.UNKNOWN:
            return
        tables = self._alike.setdefault(fault.code, set())
        tables.add(table)
        if len(tables) > 1:
            # Those that could not be made are tried again at once.
            self._unmade.clear()
            named = ", ".join(sorted(tables)[:3])
            raise RetryableError(f"database refuses everything for several tables ({named}) alike: {fault.words}")

    def _set_aside(self, table: str, words: str) -> None:
        now = time.monotonic()
        if table in self._aside and now < self._aside[table]:
            return
        if len(self._aside) >= _MOST_REMEMBERED and table not in self._aside:
            self._aside.pop(next(iter(self._aside)))
        self._aside[table] = now + _AGAIN_S
        self._metrics.set_aside(f"table {table}", words)
        log.warning("table takes no records; others go on", code="sql_table_unusable", table=table, reason=words)

    def left_out(self, table: str, count: int) -> None:
        """Say, once a minute, that values had no column to go to."""
        now = time.monotonic()
        if now >= self._told.get(table, 0.0):
            if len(self._told) >= _MOST_REMEMBERED:
                self._told.clear()
            self._told[table] = now + _AGAIN_S
            log.warning(
                "values have no column and are left out; the table has no event_rest",
                code="sql_values_left_out",
                table=table,
                count=count,
            )

    def _resume(self, table: str) -> None:
        if self._aside.pop(table, None) is not None:
            self._metrics.resumed(f"table {table}")
            log.info("table takes records again", code="sql_table_usable", table=table)

    def unmade(self, schema: tuple[str, int]) -> str | None:
        """Return why this schema's table could not be created within the last minute."""
        until, words = self._unmade.get(schema, (0.0, ""))
        return words if time.monotonic() < until else None

    def made(self, schema: tuple[str, int], table: str) -> None:
        """Note that a schema's table exists."""
        if self._unmade.pop(schema, None) is not None:
            self._resume(table)

    def cannot_make(self, schema: tuple[str, int], table: str, fault: DatabaseFault) -> None:
        """Note that a table cannot be created; it is not tried again for a minute, unless `judge` finds an outage."""
        if len(self._unmade) >= _MOST_REMEMBERED:
            self._unmade.pop(next(iter(self._unmade)))
        self._unmade[schema] = (time.monotonic() + _AGAIN_S, fault.words)
        self._cannot_be_made[table] = fault
