"""Records with events come in; rows, all of a batch in one transaction with its positions, go out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import structlog
from sqlalchemy.engine import Connection, RootTransaction

from elworkers import statsd
from elworkers.contracts import Metrics, Positions, Record, Refusal
from elworkers.errors import InvalidEventError
from elworkers.sinks import database, tables
from elworkers.sinks.inserts import inserts
from elworkers.sinks.offsets import Offsets
from elworkers.sinks.storing import Stored, Storing, Table
from elworkers.uris import Uri

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
        local_infile: whether LOAD DATA LOCAL may be used where the server allows it.

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
        local_infile: bool = True,
    ) -> None:
        self._place = str(uri)
        self._schemas = schemas
        self._metrics = metrics
        self._statsd = statsd
        self._pending: list[Record] = []
        self._tables: dict[str, Table] = {}
        self._engine = database.engine(uri, local_infile)
        self._connection: Connection = database.retryable(self._place, self._engine.connect)
        self._offsets: Offsets | None = None
        if group is not None:
            self._offsets = database.retryable(self._place, lambda: Offsets(self._connection, group))
        self._transaction: RootTransaction | None = None
        self._storing = Storing(self._connection)
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

    def _by_table(self, records: Sequence[Record], refused: list[Refusal]) -> dict[str, list[Record]]:
        # Every table is there before the transaction begins: MariaDB commits at a CREATE TABLE.
        named: dict[tuple[str, int] | None, list[Record]] = {}
        for record in records:
            named.setdefault(_named(record), []).append(record)
        batches: dict[str, list[Record]] = {}
        for schema, those in named.items():
            try:
                batches.setdefault(self._table_of(schema), []).extend(those)
            except InvalidEventError as error:
                refused += [Refusal(record, str(error)) for record in those]
                self._metrics.count("rows_refused", len(those), table="unknown")
        return batches

    def _table_of(self, named: tuple[str, int] | None) -> str:
        if named is None:
            raise InvalidEventError("the event names no schema and revision", "storage")
        schema, revision = named
        name = tables.table_name(schema, revision)
        if name not in self._tables:
            wanted = tables.columns(self._schemas(schema, revision))
            made = database.make_table(self._connection, name, wanted)
            there = [column for column in wanted if column.name in made.c]
            if len(there) < len(wanted):
                missing = sorted({column.name for column in wanted} - {column.name for column in there})
                log.warning("table lacks columns; their values are left out", table=name, missing=missing[:10])
                self._metrics.count("columns_missing", len(missing), table=name)
            self._tables[name] = Table(name, there, inserts(self._connection, made))
        return name

    def _store(self, batches: Mapping[str, list[Record]], refused: list[Refusal]) -> None:
        self._begun()
        stored = self._storing.store((self._tables[name], records) for name, records in batches.items())
        refused += [refusal for piece in stored for refusal in piece.refused]
        self._stored += stored

    def _report(self) -> None:
        stored, self._stored = self._stored, []
        for table, records, inserted, refused in stored:
            self._metrics.count("rows_inserted", inserted, table=table)
            self._metrics.count("rows_duplicate", records - inserted - len(refused), table=table)
            self._metrics.count("rows_refused", len(refused), table=table)
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


def _named(record: Record) -> tuple[str, int] | None:
    event = record.event or {}
    schema, revision = event.get("schema"), event.get("revision")
    return (schema, revision) if isinstance(schema, str) and type(revision) is int else None
