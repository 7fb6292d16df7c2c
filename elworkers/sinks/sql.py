"""Records with events come in; rows, all of a batch in one transaction with its positions, go out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import sqlalchemy
import structlog
from sqlalchemy.engine import Connection, RootTransaction
from sqlalchemy.exc import DBAPIError

from elworkers import statsd
from elworkers.contracts import Metrics, Positions, Record, Refusal
from elworkers.errors import InvalidEventError
from elworkers.sinks import database, tables
from elworkers.sinks.offsets import Offsets
from elworkers.uris import Uri

Row = tuple[Record, dict[str, Any]]


class Stored(NamedTuple):
    """What became of one batch's rows of one table."""

    table: str
    rows: int
    inserted: int
    refused: int


log = structlog.get_logger(__name__)


class SqlSink:
    """One table a schema and revision; implements `contracts.Sink` and, for a consumer group, `contracts.Ledger`.

    `flush` stores rows in a transaction that `settle` commits together with the group's positions, so that every event
    is stored exactly once. An event whose uuid is stored already is passed over all the same, with or without
    `replace=True`: the same event may stand in the topic twice.

    Args:
        uri: of the database.
        schemas: the JSON schema of an event's name and revision; raises InvalidEventError where there is none.
        metrics: counts rows.
        group: the consumer group whose positions are kept in the database; None: nobody's.
        statsd: host and port that are sent the number of inserted rows.

    Raises:
        RetryableError: the database does not answer.
    """

    def __init__(
        self,
        uri: Uri,
        *,
        schemas: Callable[[str, int], Mapping[str, Any]],
        metrics: Metrics,
        group: str | None = None,
        statsd: tuple[str, int] | None = None,
    ) -> None:
        self._place = str(uri)
        self._schemas = schemas
        self._metrics = metrics
        self._statsd = statsd
        self._pending: list[Record] = []
        self._tables: dict[str, tuple[sqlalchemy.Table, list[tables.Column]]] = {}
        self._engine = database.engine(uri)
        self._connection: Connection = database.retryable(self._place, self._engine.connect)
        self._offsets: Offsets | None = None
        if group is not None:
            self._offsets = database.retryable(self._place, lambda: Offsets(self._connection, group))
        self._transaction: RootTransaction | None = None
        self._stored: list[Stored] = []

    def begin_at(self, starts: Positions) -> Positions:
        """See `contracts.Ledger.begin_at`."""
        if self._offsets is None:
            return starts
        offsets = self._offsets
        found: Positions = database.retryable(self._place, lambda: offsets.begin_at(starts))
        return found

    def write(self, records: Sequence[Record]) -> None:
        """See `contracts.Sink.write`."""
        self._pending += records

    def flush(self) -> list[Refusal]:
        """See `contracts.Sink.flush`; what one row makes the database refuse is refused, the others are stored."""
        if not self._pending:
            return []
        pending, self._pending = self._pending, []
        refused: list[Refusal] = []
        batches = database.retryable(self._place, lambda: self._by_table(pending, refused))
        database.retryable(self._place, lambda: self._store(batches, refused))
        return refused

    def settle(self, positions: Positions) -> None:
        """See `contracts.Sink.settle`: commits the rows, and with them the positions."""
        if self._transaction is None and not (self._offsets is not None and positions):
            return
        database.retryable(self._place, lambda: self._commit(positions))
        self._report()

    def _commit(self, positions: Positions) -> None:
        transaction = self._begun()
        if self._offsets is not None:
            self._offsets.move(positions)
        transaction.commit()
        self._transaction = None
        if self._offsets is not None:
            self._offsets.moved(positions)

    def _begun(self) -> RootTransaction:
        if self._transaction is None:
            self._transaction = self._connection.begin()
        return self._transaction

    def _by_table(self, records: Sequence[Record], refused: list[Refusal]) -> dict[str, list[Row]]:
        # Every table is there before the transaction begins: MariaDB commits at a CREATE TABLE.
        batches: dict[str, list[Row]] = {}
        for record in records:
            name = "unknown"
            try:
                event = record.event if record.event is not None else {}
                name, columns = self._table_of(event)
                batches.setdefault(name, []).append((record, tables.row(event, columns)))
            except (InvalidEventError, ValueError) as error:
                refused.append(Refusal(record, str(error)))
                self._metrics.count("rows_refused", table=name)
        return batches

    def _table_of(self, event: Mapping[str, Any]) -> tuple[str, list[tables.Column]]:
        schema, revision = event.get("schema"), event.get("revision")
        if not isinstance(schema, str) or not isinstance(revision, int):
            raise InvalidEventError("the event names no schema and revision", "storage")
        name = tables.table_name(schema, revision)
        if name not in self._tables:
            wanted = tables.columns(self._schemas(schema, revision))
            table = database.make_table(self._connection, name, wanted)
            there = [column for column in wanted if column.name in table.c]
            if len(there) < len(wanted):
                missing = sorted({column.name for column in wanted} - {column.name for column in there})
                log.warning("table lacks columns; their values are left out", table=name, missing=missing[:10])
                self._metrics.count("columns_missing", len(missing), table=name)
            self._tables[name] = (table, there)
        return name, self._tables[name][1]

    def _store(self, batches: Mapping[str, list[Row]], refused: list[Refusal]) -> None:
        self._begun()
        for name, rows in batches.items():
            statement = database.insert(self._tables[name][0], self._connection.dialect.name)
            before = len(refused)
            inserted = self._insert(statement, rows, refused)
            self._stored.append(Stored(name, len(rows), inserted, len(refused) - before))

    def _insert(self, statement: Any, rows: list[Row], refused: list[Refusal]) -> int:
        try:
            with self._connection.begin_nested():
                return int(self._connection.execute(statement, [values for _, values in rows]).rowcount)
        except (DBAPIError, OverflowError) as error:
            if not database.is_the_rows_own(error):
                raise
            if len(rows) == 1:
                refused.append(Refusal(rows[0][0], database.words_of(error)))
                return 0
        # Halves find the row in a few statements; the savepoint has taken back the failed one.
        middle = len(rows) // 2
        return self._insert(statement, rows[:middle], refused) + self._insert(statement, rows[middle:], refused)

    def _report(self) -> None:
        stored, self._stored = self._stored, []
        for table, rows, inserted, refused in stored:
            self._metrics.count("rows_inserted", inserted, table=table)
            self._metrics.count("rows_duplicate", rows - inserted - refused, table=table)
            self._metrics.count("rows_refused", refused, table=table)
        if stored and self._statsd is not None:
            self._tell_statsd(self._statsd, sum(one.inserted for one in stored))

    def _tell_statsd(self, address: tuple[str, int], count: int) -> None:
        try:
            statsd.send(*address, [f"{statsd.prefixed(statsd.PREFIX)}.overall.inserted:{count}|c"])
        except OSError as error:
            log.warning("statsd cannot be reached", host=address[0], port=address[1], reason=str(error))
            self._statsd = None

    def close(self) -> None:
        """Roll back and close the connection."""
        self._pending = []
        try:
            self._connection.invalidate()
            self._connection.close()
        except Exception as error:  # noqa: BLE001 - the connection is thrown away whatever it says
            log.debug("database connection did not close cleanly", reason=type(error).__name__)
        self._engine.dispose()
