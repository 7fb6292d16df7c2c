"""Records of several tables come in; rows in those tables, and what became of the records, go out.

A table's rows are stored in pieces. While the database is at work on one of them, the next one's text is made.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from sqlalchemy.engine import Connection

from elworkers.contracts import Record, Refusal
from elworkers.sinks import database, rows
from elworkers.sinks.inserts import REFUSALS, Inserts
from elworkers.sinks.rows import Values
from elworkers.sinks.tables import Column

_PIECE = 1_000


class Table(NamedTuple):
    """A table, the columns that it has, and how rows come into it."""

    name: str
    columns: Sequence[Column]
    inserts: Inserts


class Stored(NamedTuple):
    """What became of some records of one table; what is neither inserted nor refused was there already."""

    table: str
    records: int
    inserted: int
    refused: list[Refusal]


class _Piece(NamedTuple):
    """Records and their values, without those that have no values (`refused`)."""

    table: Table
    records: Sequence[Record]
    values: Sequence[Values]
    prepared: Any
    refused: list[Refusal]


class Storing:
    """Stores records, on one connection.

    Args:
        connection: of the tables.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def store(self, batches: Iterable[tuple[Table, Sequence[Record]]]) -> list[Stored]:
        """Store records in the transaction that has begun.

        Raises:
            DBAPIError, pymysql.Error: the database is away.
        """
        stored: list[Stored] = []
        before: _Piece | None = None
        for table, records in batches:
            for begin in range(0, len(records), _PIECE):
                piece = _piece(table, records[begin : begin + _PIECE])
                if before is not None:
                    stored.append(self._finish(before))
                if piece.records:
                    table.inserts.start(piece.prepared)
                before = piece
        if before is not None:
            stored.append(self._finish(before))
        return stored

    def _finish(self, piece: _Piece) -> Stored:
        inserts, refused = piece.table.inserts, piece.refused
        count = len(piece.records) + len(refused)
        inserted = inserts.finish() if piece.records else 0
        if inserted is None:
            inserted = self._insert(inserts, list(zip(piece.records, inserts.rows(piece.values), strict=True)), refused)
        return Stored(piece.table.name, count, inserted, refused)

    def _insert(self, inserts: Inserts, pairs: Sequence[tuple[Record, Any]], refused: list[Refusal]) -> int:
        try:
            with self._connection.begin_nested():
                return inserts.insert([row for _, row in pairs])
        except REFUSALS as error:
            if not database.is_the_rows_own(error):
                raise
            if len(pairs) == 1:
                refused.append(Refusal(pairs[0][0], database.words_of(error)))
                return 0
        # Halves find the row in a few statements; the savepoint has taken back the failed one.
        middle = len(pairs) // 2
        return self._insert(inserts, pairs[:middle], refused) + self._insert(inserts, pairs[middle:], refused)


def _piece(table: Table, records: Sequence[Record]) -> _Piece:
    refused: list[Refusal] = []
    try:
        values = _values(table, records)
    except ValueError:
        records = list(_storable(table, records, refused))
        values = _values(table, records)
    return _Piece(table, records, values, table.inserts.prepare(values), refused)


def _values(table: Table, records: Sequence[Record]) -> list[Values]:
    return rows.by_column([record.event or {} for record in records], table.columns)


def _storable(table: Table, records: Sequence[Record], refused: list[Refusal]) -> Iterator[Record]:
    for record in records:
        try:
            rows.row(record.event or {}, table.columns)
        except ValueError as error:
            refused.append(Refusal(record, str(error)))
        else:
            yield record
