"""A consumer group's positions come in; they are kept in the database, beside the rows they stand for.

A batch moves a partition's position only from where this consumer began it. Whoever has lost the partition without
noticing finds another position there, moves nothing, and its rows are rolled back. That needs no generation of the
group, so it holds for groups that ZooKeeper manages too (issue 4, point 4).
"""

from __future__ import annotations

from typing import Any

import sqlalchemy
from sqlalchemy.dialects import mysql, sqlite
from sqlalchemy.engine import Connection

from elworkers.contracts import Origin, Positions
from elworkers.errors import RetryableError

TABLE = "eventlogging_offsets"

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


class Offsets:
    """The positions of one consumer group.

    Args:
        connection: of the rows; no transaction may be open.
        group: the consumer group.
    """

    def __init__(self, connection: Connection, group: str) -> None:
        self._connection = connection
        self._group = group
        self._at: dict[Origin, int] = {}
        connection.execute(sqlalchemy.schema.CreateTable(_OFFSETS, if_not_exists=True))
        connection.commit()

    def begin_at(self, starts: Positions) -> dict[Origin, int]:
        """Take partitions over: at the position that is kept, or at the given one, which is kept from now on."""
        with self._connection.begin():
            for origin, start in starts.items():
                self._connection.execute(self._if_absent().values(**self._key(origin), next_offset=start))
        with self._connection.begin():
            known = {
                (topic, partition): offset
                for topic, partition, offset in self._connection.execute(
                    sqlalchemy.select(_OFFSETS.c.topic, _OFFSETS.c.topic_partition, _OFFSETS.c.next_offset).where(
                        _OFFSETS.c.consumer_group == self._group
                    )
                )
            }
        taken = {origin: known[origin.topic, origin.partition] for origin in starts}
        places = {(origin.topic, origin.partition) for origin in taken}
        self._at = {origin: at for origin, at in self._at.items() if (origin.topic, origin.partition) not in places}
        self._at |= taken
        return taken

    def _key(self, origin: Origin) -> dict[str, Any]:
        return {"consumer_group": self._group, "topic": origin.topic, "topic_partition": origin.partition}

    def _if_absent(self) -> Any:
        if self._connection.dialect.name == "sqlite":
            return sqlite.insert(_OFFSETS).on_conflict_do_nothing()
        return mysql.insert(_OFFSETS).on_duplicate_key_update(next_offset=_OFFSETS.c.next_offset)

    def move(self, positions: Positions) -> None:
        """Move positions, inside the transaction of the rows; call `moved` once that is committed.

        Raises:
            RetryableError: another consumer has moved one of them, or has had the partition in between, so that the
                rows are not this one's.
        """
        for origin, offset in positions.items():
            if offset == self._at.get(origin):
                continue
            if origin not in self._at or not self._moves(origin, offset):
                raise RetryableError(
                    f"{origin.topic}[{origin.partition}] has gone to another consumer of group {self._group};"
                    " this one's rows are rolled back"
                )

    def _moves(self, origin: Origin, offset: int) -> bool:
        conditions = [_OFFSETS.c[name] == value for name, value in self._key(origin).items()]
        statement = sqlalchemy.update(_OFFSETS).where(*conditions, _OFFSETS.c.next_offset == self._at[origin])
        return self._connection.execute(statement.values(next_offset=offset)).rowcount == 1

    def moved(self, positions: Positions) -> None:
        """These positions have been committed."""
        self._at.update(positions)
