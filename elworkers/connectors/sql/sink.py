# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Stores events in tables of a database, all of a batch in one transaction with its positions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import structlog
from sqlalchemy.engine import Connection, RootTransaction

from elworkers.config.uris import Uri
from elworkers.connectors.sql import engine, narrow_tables
from elworkers.connectors.sql.batch import BatchWriter, BegunAnewError, StoredBatch
from elworkers.connectors.sql.catalog import Catalog, Schemas
from elworkers.connectors.sql.db_errors import DatabaseFault, retryable
from elworkers.connectors.sql.login import DEFAULT_LOGIN, Login
from elworkers.connectors.sql.offset_store import DatabaseOffsets
from elworkers.connectors.sql.rejected_rows import RejectionPolicy
from elworkers.connectors.sql.row_maker import RowMaker, Table
from elworkers.core.contracts import Metrics, Positions, Record, RejectedRecord
from elworkers.core.errors import InvalidEventError, RetryableError
from elworkers.monitoring import statsd
from elworkers.monitoring.statsd import PREFIX

log = structlog.get_logger(__name__)


Batches = dict[str, tuple[Table, list[Record]]]
"""Tables and their records by the names of the tables."""


class SqlSink:
    """One table a schema and revision; implements `contracts.Sink` and, for a group, `capabilities.OffsetStore`.

    `flush` stores rows in a transaction that `commit_transaction` commits with the group's positions, so that every
    event is stored exactly once. An event whose uuid is stored already is passed over all the same, with or without
    `replace=True`: the same event may stand in the topic twice.

    Args:
        uri: of the database.
        schemas: the JSON schema of an event's name and revision; raises InvalidEventError where there is none.
        metrics: counts rows.
        group: the consumer group whose positions are kept in the database; None: nobody's.
        statsd: host and port that are sent the number of inserted rows.
        statsd_prefix: what their names begin with.
        local_infile: whether LOAD DATA LOCAL may be used where the server allows it.
        login: how a server may be logged in to.
        rejection_policy: what an earlier sink of this worker has learned of the database's tables.

    Raises:
        RetryableError: the database does not answer.
    """

    def __init__(  # noqa: PLR0913 - a store, and what it is told of the rest
        self,
        uri: Uri,
        *,
        schemas: Schemas,
        metrics: Metrics,
        group: str | None = None,
        statsd: tuple[str, int] | None = None,
        statsd_prefix: str = PREFIX,
        local_infile: bool = True,
        login: Login = DEFAULT_LOGIN,
        rejection_policy: RejectionPolicy | None = None,
    ) -> None:
        self._database = str(uri)
        self._metrics = metrics
        self._statsd = statsd
        self._statsd_prefix = statsd_prefix
        self._pending: list[Record] = []
        self._engine = engine.engine(uri, local_infile, login)
        self._connection: Connection = retryable(self._database, self._engine.connect)
        self._offsets: DatabaseOffsets | None = None
        if group is not None:
            self._offsets = retryable(self._database, lambda: DatabaseOffsets(self._connection, group, metrics))
        self._transaction: RootTransaction | None = None
        self._rejection_policy = rejection_policy or RejectionPolicy(metrics)
        self._catalog: Catalog = retryable(
            self._database, lambda: Catalog(self._connection, schemas, self._rejection_policy, metrics)
        )
        if not self._rejection_policy.checked_tables:
            retryable(self._database, lambda: narrow_tables.log_narrow_tables(self._connection))
            self._rejection_policy.checked_tables = True
        self._rows = RowMaker()
        self._stored: list[StoredBatch] = []

    def resume_at(self, positions: Positions) -> Positions:
        """See `capabilities.OffsetStore.resume_at`."""
        if self._offsets is None:
            return positions
        offsets = self._offsets
        found: Positions = retryable(self._database, lambda: offsets.resume_at(positions))
        return found

    def write(self, records: Sequence[Record]) -> None:
        """See `contracts.Sink.write`."""
        self._pending += records

    def flush(self) -> list[RejectedRecord]:
        """See `contracts.Sink.flush`; what the database rejects for one row is rejected, the others are stored."""
        if not self._pending:
            return []
        pending, self._pending = self._pending, []
        writer = BatchWriter(self._connection, self._rows)
        while True:
            rejected: list[RejectedRecord] = []
            batches = retryable(self._database, lambda: self._by_table(pending, rejected))  # noqa: B023 - called at once
            try:
                stored = self._store(writer, batches)
            except BegunAnewError as error:
                retryable(self._database, self._begin_anew)
                if error.stale is not None:
                    self._catalog.forget(error.stale)
            else:
                if rejected:
                    self._metrics.count("rows_refused", len(rejected), table="unknown")
                self._stored += stored
                return rejected + [record for batch in stored for record in batch.rejected]

    def _store(self, writer: BatchWriter, batches: Batches) -> list[StoredBatch]:
        def store() -> list[StoredBatch]:
            self._begin_transaction()
            return writer.store(batches.values())

        stored: list[StoredBatch] = retryable(self._database, store)
        self._rejection_policy.update(*_accepting_and_rejecting(stored))
        return stored

    def _begin_anew(self) -> None:
        if self._stored:
            raise RetryableError(
                f"database {self._database}: the transaction of an earlier batch is lost with this one's"
            )
        if self._transaction is not None:
            self._transaction.rollback()
            self._transaction = None

    def commit_transaction(self, positions: Positions) -> None:
        """See `contracts.Sink.commit_transaction`: commits the rows, and with them the positions."""
        if self._transaction is None and not (self._offsets is not None and positions):
            return
        retryable(self._database, lambda: self._commit(positions))
        self._report()

    def _commit(self, positions: Positions) -> None:
        transaction = self._begin_transaction()
        if self._offsets is not None:
            self._offsets.move(positions)
        transaction.commit()
        self._transaction = None
        if self._offsets is not None:
            self._offsets.moved(positions)

    def _begin_transaction(self) -> RootTransaction:
        if self._transaction is None:
            self._transaction = self._connection.begin()
        return self._transaction

    def _by_table(self, records: Sequence[Record], rejected: list[RejectedRecord]) -> Batches:
        # Every table is there before the transaction begins: MariaDB commits at a CREATE TABLE.
        named: dict[tuple[str, int] | None, list[Record]] = {}
        for record in records:
            named.setdefault(_named(record), []).append(record)
        batches: Batches = {}
        for schema, those in named.items():
            try:
                table = self._catalog.table_of(schema)
            except InvalidEventError as error:
                rejected += [RejectedRecord(record, str(error)) for record in those]
            else:
                batches[table.name] = (table, those)
        return batches

    def _report(self) -> None:
        stored, self._stored = self._stored, []
        for one in stored:
            self._metrics.count("rows_inserted", one.inserted, table=one.table)
            self._metrics.count("rows_duplicate", one.records - one.inserted - len(one.rejected), table=one.table)
            self._metrics.count("rows_refused", len(one.rejected), table=one.table)
            if one.left_out:
                self._metrics.count("columns_missing", one.left_out, table=one.table)
                self._rejection_policy.left_out(one.table, one.left_out)
        if stored and self._statsd is not None:
            self._send_to_statsd(self._statsd, sum(one.inserted for one in stored))

    def _send_to_statsd(self, address: tuple[str, int], count: int) -> None:
        try:
            statsd.send(*address, [f"{statsd.prefixed(self._statsd_prefix)}.overall.inserted:{count}|c"])
        except OSError as error:
            log.warning(
                "statsd cannot be reached",
                code="statsd_unreachable",
                host=address[0],
                port=address[1],
                reason=str(error),
            )
            self._statsd = None

    def close(self) -> None:
        """Roll back and close the connection."""
        self._pending = []
        try:
            self._connection.invalidate()
            self._connection.close()
        except Exception as error:  # noqa: BLE001 - the connection is thrown away whatever it says
            log.debug("database connection did not close cleanly", code="sql_close_failed", reason=type(error).__name__)
        self._engine.dispose()


def _named(record: Record) -> tuple[str, int] | None:
    event = record.event or {}
    schema, revision = event.get("schema"), event.get("revision")
    return (schema, revision) if isinstance(schema, str) and type(revision) is int else None


def _accepting_and_rejecting(stored: Sequence[StoredBatch]) -> tuple[set[str], Mapping[str, DatabaseFault]]:
    """Return the tables that took anything, and those that took nothing for one reason."""
    accepting = {one.table for one in stored if one.records > len(one.rejected)}
    found: dict[str, set[DatabaseFault]] = {}
    for one in stored:
        found.setdefault(one.table, set()).update(fault._replace(message="") for fault in one.faults)
    first = {one.table: one.faults[0] for one in reversed(stored) if one.faults}
    # A record of which no row could be made says nothing of its table.
    return accepting, {
        table: first[table] for table, reasons in found.items() if len(reasons) == 1 and table not in accepting
    }
