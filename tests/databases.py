# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""SQL sinks for tests, and a look at what they stored."""

from __future__ import annotations

from typing import Any

import sqlalchemy

from elworkers.config.uris import parse
from elworkers.connectors.sql import engine
from elworkers.connectors.sql.sink import SqlSink
from elworkers.core.contracts import Record
from elworkers.core.metrics import Counters

Schema = dict[str, Any]


class Place:
    """A database, sinks on it, and a look at what is in there.

    Args:
        uri: of the database.
        name: of this test's schema.
        local_infile: whether its sinks may use LOAD DATA LOCAL.
    """

    def __init__(self, uri: str, name: str, local_infile: bool = True) -> None:
        self.uri = uri
        self.name = name
        self.local_infile = local_infile
        self.metrics = Counters()
        self._engine = engine.engine(parse(uri))
        self._open: list[SqlSink] = []

    def sink(self, schema: Schema, group: str | None = None, statsd: tuple[str, int] | None = None) -> SqlSink:
        """A sink all of whose events are of this schema."""
        described = {"properties": schema}
        made = SqlSink(
            parse(self.uri),
            schemas=lambda *_: described,
            statsd=statsd,
            metrics=self.metrics,
            group=group,
            local_infile=self.local_infile,
        )
        self._open.append(made)
        return made

    def record(self, number: int, event: dict[str, Any], **more: Any) -> Record:
        """A record of this test's own table."""
        capsule = {"uuid": f"{number:032x}", "timestamp": 1469795696, "wiki": "w", "schema": self.name, "revision": 1}
        return Record(b"", event={**capsule, "event": event, **more})

    def rows(self, wanted: str = "*") -> list[dict[str, Any]]:
        """What is in the table."""
        with self._engine.connect() as connection:
            found = connection.execute(sqlalchemy.text(f"SELECT {wanted} FROM {self.name}_1 ORDER BY uuid"))  # noqa: S608
            rows = [dict(row) for row in found.mappings()]
            connection.rollback()
        return rows

    def do(self, statement: str) -> None:
        """Meddle with the database."""
        with self._engine.connect() as connection:
            connection.execute(sqlalchemy.text(statement))
            connection.commit()

    def asked(self, name: str) -> int:
        """What the whole server has counted under a name of SHOW GLOBAL STATUS."""
        with self._engine.connect() as connection:
            (_, value) = connection.execute(sqlalchemy.text(f"SHOW GLOBAL STATUS LIKE '{name}'")).one()
            connection.rollback()
        return int(value)

    def total(self, name: str) -> int:
        """A counter's total."""
        return self.metrics.summary().get(name, 0)

    def close(self) -> None:
        for sink in self._open:
            sink.close()
        self._engine.dispose()
