# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Converts records into the rows that a table's writer takes, without any effect.

A record of which no row can be made is rejected on its own, whatever was raised. So that this hides no bug that every
record meets, an event that has been good ever since goes the same way then.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import structlog

from elworkers.connectors.sql import extra_fields, long_event_errors
from elworkers.connectors.sql.extra_fields import KnownFields
from elworkers.connectors.sql.long_event_errors import ColumnWidth
from elworkers.connectors.sql.table_writers import TableWriter
from elworkers.core.contracts import Record, RejectedRecord
from elworkers.events import convert
from elworkers.events.columns import Column
from elworkers.events.convert import ColumnValues

log = structlog.get_logger(__name__)

_GOOD = Record(b"", event={"uuid": "0" * 32, "timestamp": 1_469_795_696, "wiki": "w", "webHost": "w", "event": {}})


class Table(NamedTuple):
    """A table, and how rows come into it.

    Attributes:
        name: its name.
        columns: those that it has, without `event_rest`.
        has_rest: whether it has that as well.
        known_fields: the fields that have columns.
        writer: how rows come into it.
        widths: what its columns of text hold, where longer texts are to be cut.
    """

    name: str
    columns: Sequence[Column]
    has_rest: bool
    known_fields: KnownFields
    writer: TableWriter
    widths: Mapping[str, ColumnWidth]


class PreparedRows(NamedTuple):
    """Records, and what was made of them.

    Attributes:
        records: without those of which nothing could be made.
        values: of those.
        prepared: what `TableWriter.start` takes.
        left_out: how many values have no column to go to.
    """

    records: Sequence[Record]
    values: Sequence[ColumnValues]
    prepared: Any
    left_out: int


class RowMaker:
    """Makes rows, and remembers which bugs it has logged."""

    def __init__(self) -> None:
        self._logged: set[tuple[str, str]] = set()

    def make(self, table: Table, records: Sequence[Record], rejected: list[RejectedRecord]) -> PreparedRows:
        """Return what is to be stored of these records; those that cannot be are added to `rejected`."""
        try:
            return _made(table, records)
        except Exception:  # noqa: BLE001 - each record is tried, and says what it was
            good = self._good(table, records, rejected, _made)
            return _made(table, good) if good else PreparedRows([], [], None, 0)

    def pairs(self, table: Table, made: PreparedRows, rejected: list[RejectedRecord]) -> list[tuple[Record, Any]]:
        """Return each record with its row, as `TableWriter.insert` takes it."""
        try:
            return list(zip(made.records, table.writer.rows(made.values), strict=True))
        except Exception:  # noqa: BLE001 - each record is tried, and says what it was
            good = self._good(table, made.records, rejected, _row)
            return [(record, _row(table, [record])) for record in good]

    def _good(
        self,
        table: Table,
        records: Sequence[Record],
        rejected: list[RejectedRecord],
        step: Callable[[Table, Sequence[Record]], Any],
    ) -> list[Record]:
        # Raises where the fault is not the records'.
        step(table, [_GOOD])
        good = []
        for record in records:
            try:
                step(table, [record])
            except ValueError as error:
                rejected.append(RejectedRecord(record, str(error)))
            except Exception as error:  # noqa: BLE001 - no record holds up the others, whatever bug we have
                rejected.append(RejectedRecord(record, self.row_error(table, error)))
            else:
                good.append(record)
        return good

    def good_row(self, table: Table) -> Any:
        """Return a row that any table of this program takes, as `TableWriter.insert` takes it."""
        return _row(table, [_GOOD])

    def row_error(self, table: Table, error: Exception) -> str:
        """Return the message for a record without a row; the first of a kind is logged with its stack."""
        key = (table.name, type(error).__name__)
        if key not in self._logged:
            self._logged.add(key)
            log.error(
                "a record cannot be made a row", code="sql_row_conversion_failed", table=table.name, exc_info=error
            )
        return f"no row can be made of it: {type(error).__name__}: {error}"


def _made(table: Table, records: Sequence[Record]) -> PreparedRows:
    events: list[Mapping[str, Any]] = [record.event or {} for record in records]
    if table.widths:
        events = [long_event_errors.fitted(event, table.widths) for event in events]
    values = convert.by_column(events, table.columns)
    left = extra_fields.rests([event.get("event") for event in events], table.known_fields)
    left_out = 0
    if table.has_rest:
        values.append(convert.as_json(left))
    elif any(one is not None for one in left):
        left_out = sum(extra_fields.count(one) for one in left if one is not None)
    return PreparedRows(records, values, table.writer.prepare(values), left_out)


def _row(table: Table, records: Sequence[Record]) -> Any:
    (row,) = table.writer.rows(_made(table, records).values)
    return row
