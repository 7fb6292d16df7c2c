# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Writes a batch of records to several tables in one transaction, and reports the result for each table.

A table's rows are stored in chunks. While the database is at work on one of them, the next one's text is made. What the
database rejects as a whole is halved until the rows that it will not have are found; a savepoint takes back the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from sqlalchemy.engine import Connection

from elworkers.connectors.sql import db_errors as faults
from elworkers.connectors.sql.db_errors import ERRORS, DatabaseFault, FaultScope, TransactionLostError
from elworkers.connectors.sql.row_maker import PreparedRows, RowMaker, Table
from elworkers.connectors.sql.table_writers import roll_back_to
from elworkers.core.contracts import Record, RejectedRecord

_CHUNK = 1_000
_SAMPLE = 16
_MOST_ENDED = 50


class StoredBatch(NamedTuple):
    """The result of storing records of one table; what is neither inserted nor rejected was there already.

    Attributes:
        table: its name.
        records: how many there were.
        inserted: how many of them are new.
        rejected: those that are not stored.
        faults: the database's reasons, one for each that it rejected.
        left_out: how many values had no column to go to.
    """

    table: str
    records: int
    inserted: int
    rejected: list[RejectedRecord]
    faults: list[DatabaseFault]
    left_out: int


class BegunAnewError(Exception):
    """The batch has to be stored anew, from an empty transaction.

    Args:
        stale: the table that is no longer what it was, if that is why.
    """

    def __init__(self, stale: str | None = None) -> None:
        super().__init__(stale or "the transaction is lost")
        self.stale = stale


class _Chunk:
    """Rows of one table that are being stored."""

    def __init__(self, table: Table, count: int, rows: PreparedRows, rejected: list[RejectedRecord]) -> None:
        self.table = table
        self.count = count
        self.rows = rows
        self.rejected = rejected
        self.faults: list[DatabaseFault] = []

    def reject(self, records: Iterable[Record], fault: DatabaseFault) -> None:
        for record in records:
            self.rejected.append(RejectedRecord(record, fault.message))
            self.faults.append(fault)

    def stored(self, inserted: int) -> StoredBatch:
        return StoredBatch(self.table.name, self.count, inserted, self.rejected, self.faults, self.rows.left_out)


_Pairs = Sequence[tuple[Record, Any]]


class BatchWriter:
    """Stores one batch, on one connection; after `BegunAnewError` with what it has learned.

    Args:
        connection: of the tables.
        rows: makes rows.
    """

    def __init__(self, connection: Connection, rows: RowMaker) -> None:
        self._connection = connection
        self._rows = rows
        self._reread: set[str] = set()
        self._ended: dict[int, DatabaseFault] = {}
        self._one_by_one: set[str] = set()
        self._given_up: dict[str, DatabaseFault] = {}
        self._marked = False

    def store(self, batches: Iterable[tuple[Table, Sequence[Record]]]) -> list[StoredBatch]:
        """Store records in the transaction that has begun.

        Raises:
            DBAPIError, pymysql.Error: the database is away.
            BegunAnewError: nothing is stored; may not be so the next time.
        """
        stored: list[StoredBatch] = []
        before: _Chunk | None = None
        for table, records in batches:
            for begin in range(0, len(records), _CHUNK):
                chunk = self._prepare(table, records[begin : begin + _CHUNK])
                if before is not None:
                    stored.append(self._finish(before))
                if chunk.rows.records and table.name not in self._one_by_one:
                    table.writer.start(chunk.rows.prepared)
                before = chunk
        if before is not None:
            stored.append(self._finish(before))
        return stored

    def _prepare(self, table: Table, records: Sequence[Record]) -> _Chunk:
        rejected: list[RejectedRecord] = []
        guilty: list[tuple[Record, DatabaseFault]] = []
        left = records
        if table.name in self._one_by_one:
            guilty = [(record, fault) for record in records if (fault := self._known_fault(table, record))]
            left = [record for record in records if not self._known_fault(table, record)]
        chunk = _Chunk(table, len(records), self._rows.make(table, left, rejected), rejected)
        for record, fault in guilty:
            chunk.reject([record], fault)
        return chunk

    def _known_fault(self, table: Table, record: Record) -> DatabaseFault | None:
        return self._given_up.get(table.name) or self._ended.get(id(record))

    def _finish(self, chunk: _Chunk) -> StoredBatch:
        if not chunk.rows.records:
            return chunk.stored(0)
        if chunk.table.name in self._one_by_one:
            pairs = self._rows.pairs(chunk.table, chunk.rows, chunk.rejected)
            self._marked = False
            return chunk.stored(sum(self._halve(chunk, [pair]) for pair in pairs))
        try:
            inserted = chunk.table.writer.finish()
        except TransactionLostError:
            self._one_by_one.add(chunk.table.name)
            raise BegunAnewError from None
        if inserted is None:
            inserted = self._find(chunk, self._rows.pairs(chunk.table, chunk.rows, chunk.rejected))
        return chunk.stored(inserted)

    def _find(self, chunk: _Chunk, pairs: _Pairs) -> int:
        """Store those that the database will have, and find the others."""
        self._marked = False
        fault = self._of_all(chunk.table, pairs)
        if fault is None:
            return self._halve(chunk, pairs)
        if fault.scope is FaultScope.ROW:
            # Halves would only be rejected as well.
            return sum(self._halve(chunk, [pair]) for pair in pairs)
        chunk.reject([record for record, _ in pairs], fault)
        return 0

    def _of_all(self, table: Table, pairs: _Pairs) -> DatabaseFault | None:
        """Return why the database rejects all of a sample, if there is one reason."""
        if len(pairs) <= _SAMPLE:
            return None
        found: DatabaseFault | None = None
        for number in range(_SAMPLE):
            tried = self._try(table, [pairs[number * (len(pairs) - 1) // (_SAMPLE - 1)]])
            if not isinstance(tried, DatabaseFault):
                roll_back_to(self._connection, "some")
                return None
            if found is not None and tried.code != found.code:
                return None
            found = tried
        return found

    def _halve(self, chunk: _Chunk, pairs: _Pairs) -> int:
        if not pairs:
            return 0
        tried = self._try(chunk.table, pairs)
        if not isinstance(tried, DatabaseFault):
            return tried
        if len(pairs) == 1:
            chunk.reject([pairs[0][0]], tried)
            return 0
        # Halves find the row in a few statements.
        middle = len(pairs) // 2
        return self._halve(chunk, pairs[:middle]) + self._halve(chunk, pairs[middle:])

    def _try(self, table: Table, pairs: _Pairs) -> int | DatabaseFault:
        if not self._marked:
            self._connection.exec_driver_sql("SAVEPOINT some")
        self._marked = False
        try:
            return table.writer.insert([row for _, row in pairs])
        except Exception as raised:  # noqa: BLE001 - the row is looked for, whatever its bug
            error = raised
        if not isinstance(error, ERRORS) or faults.is_bug(error):
            return self._bug(table, error)
        fault = faults.fault_of(error)
        if fault.scope is FaultScope.OUTAGE:
            raise error
        self._roll_back(table, pairs, fault)
        # What was rolled back to is still there.
        self._marked = True
        if faults.is_stale(error) and table.name not in self._reread:
            self._reread.add(table.name)
            raise BegunAnewError(table.name)
        return fault

    def _bug(self, table: Table, error: Exception) -> DatabaseFault:
        """Return a bug that some row has met; raise it if every row meets it."""
        try:
            roll_back_to(self._connection, "some")
            self._connection.exec_driver_sql("SAVEPOINT some")
            table.writer.insert([self._rows.good_row(table)])
        except ERRORS as raised:
            if faults.is_bug(raised) or faults.fault_scope(raised) is FaultScope.OUTAGE:
                raise error from raised
        roll_back_to(self._connection, "some")
        return DatabaseFault(FaultScope.ROW, None, self._rows.row_error(table, error))

    def _roll_back(self, table: Table, pairs: _Pairs, fault: DatabaseFault) -> None:
        try:
            roll_back_to(self._connection, "some")
        except TransactionLostError:
            # One more row is known each time; of very many, all of the table's are rejected.
            self._one_by_one.add(table.name)
            if len(pairs) == 1:
                self._ended[id(pairs[0][0])] = fault
            if len(self._ended) > _MOST_ENDED:
                self._given_up[table.name] = fault
            raise BegunAnewError from None
