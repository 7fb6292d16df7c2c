"""Records with events come in; rows, all of a batch in one transaction, go out."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sqlalchemy
import structlog
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from elworkers.contracts import Metrics, Record, Refusal
from elworkers.errors import InvalidEventError
from elworkers.sinks import database, tables
from elworkers.uris import Uri

Row = tuple[Record, dict[str, Any]]

log = structlog.get_logger(__name__)


class SqlSink:
    """One table a schema and revision; implements `contracts.Sink`.

    An event whose uuid is stored already is passed over, with or without `replace=True`: the uuid is what makes a
    repeated read harmless.

    Args:
        uri: of the database.
        schemas: the JSON schema of an event's name and revision; raises InvalidEventError where there is none.
        metrics: counts rows.
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
        inserted = database.retryable(self._place, lambda: self._store(batches, refused))
        self._report(batches, inserted, refused)
        return refused

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

    def _store(self, batches: Mapping[str, list[Row]], refused: list[Refusal]) -> dict[str, int]:
        inserted: dict[str, int] = {}
        with self._connection.begin():
            for name, rows in batches.items():
                statement = database.insert(self._tables[name][0], self._connection.dialect.name)
                inserted[name] = self._insert(statement, rows, refused)
        return inserted

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

    def _report(
        self, batches: Mapping[str, list[Row]], inserted: Mapping[str, int], refused: Sequence[Refusal]
    ) -> None:
        not_stored = {id(refusal.record) for refusal in refused}
        for name, rows in batches.items():
            stored = sum(id(record) not in not_stored for record, _ in rows)
            self._metrics.count("rows_inserted", inserted[name], table=name)
            self._metrics.count("rows_duplicate", stored - inserted[name], table=name)
            self._metrics.count("rows_refused", len(rows) - stored, table=name)
        if self._statsd is not None:
            self._tell_statsd(self._statsd, sum(inserted.values()))

    def _tell_statsd(self, address: tuple[str, int], count: int) -> None:
        try:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
                udp.sendto(b"eventlogging.overall.inserted:%d|c" % count, address)
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
