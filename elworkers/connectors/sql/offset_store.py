# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Keeps a consumer group's positions in the database, beside the rows that they stand for.

A batch moves a partition's position only from where this consumer began it. Whoever has lost the partition without
noticing finds another position there, moves nothing, and its rows are rolled back. That needs no generation of the
group, so it holds for groups that ZooKeeper manages too (issue 4, point 4).

Kafka's id of the topic stands beside the position, in a table of its own because tables of earlier versions are never
altered. A topic that was deleted and made again has another id: its messages are read from the beginning.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy
import structlog
from sqlalchemy.dialects import mysql, sqlite
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from elworkers.connectors.sql import db_errors
from elworkers.connectors.sql.create_table import create_if_absent
from elworkers.core.contracts import Assignment, Metrics, Positions
from elworkers.core.errors import RetryableError

log = structlog.get_logger(__name__)

TABLE = "eventlogging_offsets"
TOPIC_IDS_TABLE = "eventlogging_topic_ids"

# Kafka's names are compared byte by byte; MariaDB's usual collations take `A` and `a` for the same.
_NAME = sqlalchemy.String(249).with_variant(mysql.VARCHAR(249, charset="ascii", collation="ascii_bin"), "mysql")
_OFFSETS = sqlalchemy.Table(
    TABLE,
    sqlalchemy.MetaData(),
    sqlalchemy.Column("consumer_group", _NAME, primary_key=True),
    sqlalchemy.Column("topic", _NAME, primary_key=True),
    sqlalchemy.Column("topic_partition", sqlalchemy.Integer, primary_key=True, autoincrement=False),
    sqlalchemy.Column("next_offset", sqlalchemy.BigInteger, nullable=False),
    mysql_engine="InnoDB",
)
_TOPIC_IDS = sqlalchemy.Table(
    TOPIC_IDS_TABLE,
    sqlalchemy.MetaData(),
    sqlalchemy.Column("consumer_group", _NAME, primary_key=True),
    sqlalchemy.Column("topic", _NAME, primary_key=True),
    sqlalchemy.Column("topic_partition", sqlalchemy.Integer, primary_key=True, autoincrement=False),
    sqlalchemy.Column("topic_id", sqlalchemy.CHAR(32), nullable=False),
    mysql_engine="InnoDB",
)


class DatabaseOffsets:
    """The positions of one consumer group.

    Args:
        connection: of the rows; no transaction may be open.
        group: the consumer group.
        metrics: counts topics that were made again.
    """

    def __init__(self, connection: Connection, group: str, metrics: Metrics) -> None:
        self._connection = connection
        self._group = group
        self._metrics = metrics
        self._positions: dict[Assignment, int] = {}
        create_if_absent(connection, _OFFSETS)
        self._keeps_ids = self._make_ids()

    def _make_ids(self) -> bool:
        try:
            create_if_absent(self._connection, _TOPIC_IDS)
        except DBAPIError as error:
            if db_errors.code_of(error) not in db_errors.NO_RIGHT:
                raise
            self._connection.rollback()
            # A group that has worked without it goes on as it did.
            log.warning(
                "a table cannot be made; a topic that is made again will not be noticed",
                code="sql_topic_ids_unavailable",
                table=TOPIC_IDS_TABLE,
                reason=db_errors.error_message(error),
            )
            return False
        return True

    def resume_at(self, positions: Positions) -> dict[Assignment, int]:
        """Take partitions over: at the position that is kept, or at the given one, which is kept from now on."""
        with self._connection.begin():
            for assignment, start in positions.items():
                self._add_if_absent(_OFFSETS, self._key(assignment), next_offset=start)
            if self._keeps_ids:
                self._reset_recreated([assignment for assignment in positions if assignment.topic_id])
        with self._connection.begin():
            known = self._all(_OFFSETS, _OFFSETS.c.next_offset)
        resumed = {assignment: known[assignment.topic, assignment.partition] for assignment in positions}
        partitions = {(assignment.topic, assignment.partition) for assignment in resumed}
        others = {one: at for one, at in self._positions.items() if (one.topic, one.partition) not in partitions}
        self._positions = others | resumed
        return resumed

    def _key(self, assignment: Assignment) -> dict[str, Any]:
        return {"consumer_group": self._group, "topic": assignment.topic, "topic_partition": assignment.partition}

    def _reset_recreated(self, assignments: Sequence[Assignment]) -> None:
        if not assignments:
            return
        # The lock of a new or changed row is kept to the end: two consumers cannot both be the first to see the topic.
        for assignment in assignments:
            self._add_if_absent(_TOPIC_IDS, self._key(assignment), topic_id=assignment.topic_id)
        known = self._all(_TOPIC_IDS, _TOPIC_IDS.c.topic_id)
        for assignment in assignments:
            before = known[assignment.topic, assignment.partition]
            if before == assignment.topic_id:
                continue
            self._set(_TOPIC_IDS, assignment, topic_id=assignment.topic_id)
            self._set(_OFFSETS, assignment, next_offset=0)
            self._metrics.count("positions_begun_anew", topic=assignment.topic)
            log.warning(
                "topic was deleted and made again; its messages are read from the beginning",
                code="topic_recreated",
                topic=assignment.topic,
                partition=assignment.partition,
                id_before=before,
                id_now=assignment.topic_id,
            )

    def _all(self, table: sqlalchemy.Table, wanted: sqlalchemy.Column[Any]) -> dict[tuple[str, int], Any]:
        statement = sqlalchemy.select(table.c.topic, table.c.topic_partition, wanted)
        found = self._connection.execute(statement.where(table.c.consumer_group == self._group))
        return {(topic, partition): value for topic, partition, value in found}

    def _set(self, table: sqlalchemy.Table, assignment: Assignment, **values: Any) -> None:
        conditions = [table.c[name] == value for name, value in self._key(assignment).items()]
        self._connection.execute(sqlalchemy.update(table).where(*conditions).values(**values))

    def _add_if_absent(self, table: sqlalchemy.Table, key: dict[str, Any], **values: Any) -> None:
        if self._connection.dialect.name == "sqlite":
            self._connection.execute(sqlite.insert(table).on_conflict_do_nothing().values(**key, **values))
        else:
            unchanged = {name: table.c[name] for name in values}
            self._connection.execute(mysql.insert(table).on_duplicate_key_update(**unchanged).values(**key, **values))

    def move(self, positions: Positions) -> None:
        """Move positions, inside the transaction of the rows; call `moved` once that is committed.

        Raises:
            RetryableError: another consumer has moved one of them, or has had the partition in between, so that the
                rows are not this one's.
        """
        for assignment, offset in positions.items():
            if offset == self._positions.get(assignment):
                continue
            if assignment not in self._positions or not self._moves(assignment, offset):
                raise RetryableError(
                    f"{assignment.topic}[{assignment.partition}] has gone to another consumer of group {self._group};"
                    " this one's rows are rolled back"
                )

    def _moves(self, assignment: Assignment, offset: int) -> bool:
        conditions = [_OFFSETS.c[name] == value for name, value in self._key(assignment).items()]
        statement = sqlalchemy.update(_OFFSETS).where(
            *conditions, _OFFSETS.c.next_offset == self._positions[assignment]
        )
        return self._connection.execute(statement.values(next_offset=offset)).rowcount == 1

    def moved(self, positions: Positions) -> None:
        """Note that these positions have been committed."""
        self._positions.update(positions)
