# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Storing events in MariaDB beside plain PyMySQL on the same rows: `python -m bench.consumer_mysql`.

Real lines become valid events of five real schemas, with uuids of their own in each case and round. Plain PyMySQL is
given rows that are ready; the consumer begins with the bytes of Kafka's messages, or with decoded events.
"""

from __future__ import annotations

import argparse
import gc
import gzip
import json
import os
import re
import sys
import tempfile
import uuid
from collections.abc import Callable, Mapping
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pymysql

from bench.rounds import Table, Taken, command, in_turns, ratio, row, timed
from elworkers.config.uris import parse
from elworkers.connectors.sql.sink import SqlSink
from elworkers.core.budget import Budget
from elworkers.core.contracts import Assignment, Record
from elworkers.core.metrics import Counters
from elworkers.devstack import Stack
from elworkers.events.columns import Column, columns, table_name
from elworkers.events.convert import row as row_of
from elworkers.events.parse import compile_format
from elworkers.schema.store import SchemaStore
from elworkers.schema.validate import Validator
from elworkers.stages.decode import DecodeStage
from elworkers.stages.process import ProcessStage

_DEMO = Path(__file__).parent.parent / "demo"
_FORMAT = "%q %{recvFrom}s %{seqId}d %t %o %{userAgent}i"
_SCHEMAS = ("HomepageVisit", "MobileWebUIActionsTracking", "NavigationTiming", "PaintTiming", "QuickSurveysResponses")
_BATCH = 3_000
_UUID = re.compile(rb'"uuid":"([0-9a-f]{32})"')

_PLAIN, _PLAIN_LOAD = "PyMySQL, executemany", "PyMySQL, LOAD DATA LOCAL"

Work = Callable[[], None]


class Message(NamedTuple):
    """A valid event as Kafka has it, around its uuid."""

    head: bytes
    tail: bytes

    def fresh(self) -> Record:
        """Return the same with a uuid that was never there."""
        return Record(self.head + uuid.uuid4().hex.encode() + self.tail)


class Bench:
    """The cases, on one server.

    Args:
        url: of its database.
        server: its process.
        schemas: what tables are made from.
        count: rows a case.

    Attributes:
        both: by case the same as was taken, with the server's processor time added.
    """

    def __init__(self, url: str, server: psutil.Process, schemas: SchemaStore, count: int) -> None:
        self._url, self._server, self._schemas, self._count = url, server, schemas, count
        self.messages = _messages(schemas)
        self.both: dict[str, list[Taken]] = {}
        self._runs = 0
        uri = parse(url)
        host, port = uri.endpoint(3306)
        login = {"host": host, "port": port, "user": uri.user, "password": uri.password or "", "database": uri.path[1:]}
        self._plain = pymysql.connect(**login, charset="utf8mb4", local_infile=True)
        warm_up = [_decoded(message.fresh()) for message in self.messages[:_BATCH]]
        self._tables = {_table(record): self._columns(record) for record in warm_up}
        self._sinks = {way: self._sink(way) for way in (True, False)}
        for sink in self._sinks.values():
            self._store(sink, warm_up)

    def cases(self) -> Mapping[str, Callable[[], Taken]]:
        """Return each empties the tables and fills them again; only the latter is measured."""
        prepared: dict[str, Callable[[], Work]] = {
            _PLAIN: lambda: self._plainly(self._executemany),
            _PLAIN_LOAD: lambda: self._plainly(self._load_data),
            "from events, LOAD DATA LOCAL": lambda: self._from_events(True),
            "from events, INSERT": lambda: self._from_events(False),
            "from messages, LOAD DATA LOCAL": lambda: self._from_messages(True),
            "from messages, INSERT": lambda: self._from_messages(False),
        }
        return {what: partial(self._timed, what, prepare) for what, prepare in prepared.items()}

    def _timed(self, what: str, prepare: Callable[[], Work]) -> Taken:
        work = prepare()
        for name in self._tables:
            self._do(f"TRUNCATE TABLE `{name}`")
        # What was prepared is the bench's own; the collector would look through it again and again.
        gc.collect()
        gc.freeze()
        before = self._server_s()

        def counted() -> int:
            work()
            return self._count

        taken = timed(counted)
        both = taken._replace(cpu_s=taken.cpu_s + self._server_s() - before)
        self.both.setdefault(what, []).append(both)
        gc.unfreeze()
        stored = sum(self._do(f"SELECT COUNT(*) FROM `{name}`") for name in self._tables)  # noqa: S608
        if stored != self._count:
            raise SystemExit(f"{what}: {stored} of {self._count} rows are stored")
        return taken

    def _server_s(self) -> float:
        spent = self._server.cpu_times()
        return spent.user + spent.system

    def _do(self, statement: str) -> int:
        with self._plain.cursor() as cursor:
            cursor.execute(statement)
            found = cursor.fetchone()
        self._plain.commit()
        return int(found[0]) if found else 0

    def _fresh(self) -> list[Record]:
        return [message.fresh() for message in islice(cycle(self.messages), self._count)]

    def _plainly(self, store: Callable[[str, list[Any]], None]) -> Work:
        rows: dict[str, list[Any]] = {name: [] for name in self._tables}
        for record in map(_decoded, self._fresh()):
            name = _table(record)
            rows[name].append(tuple(row_of(record.event or {}, self._tables[name]).values()))

        def work() -> None:
            for name, those in rows.items():
                for begin in range(0, len(those), _BATCH):
                    store(name, those[begin : begin + _BATCH])
                    self._plain.commit()

        return work

    def _executemany(self, name: str, rows: list[Any]) -> None:
        named, places = self._named(name), ",".join(["%s"] * len(self._tables[name]))
        with self._plain.cursor() as cursor:
            cursor.executemany(f"INSERT IGNORE INTO `{name}` ({named}) VALUES ({places})", rows)  # noqa: S608

    def _load_data(self, name: str, rows: list[Any]) -> None:
        with tempfile.NamedTemporaryFile("w", encoding="utf-8") as file, self._plain.cursor() as cursor:
            file.writelines("\t".join(map(_tabbed, values)) + "\n" for values in rows)
            file.flush()
            into = f"IGNORE INTO TABLE `{name}` CHARACTER SET utf8mb4 ({self._named(name)})"
            cursor.execute(f"LOAD DATA LOCAL INFILE '{file.name}' {into}")

    def _named(self, table: str) -> str:
        return ",".join(f"`{column.name}`" for column in self._tables[table])

    def _columns(self, record: Record) -> list[Column]:
        event = record.event or {}
        return columns(self._schemas.schema(event["schema"], event["revision"]).source)

    def _from_events(self, local_infile: bool) -> Work:
        records = [_decoded(record) for record in self._fresh()]
        return lambda: self._store(self._sinks[local_infile], records)

    def _from_messages(self, local_infile: bool) -> Work:
        records, stage = self._fresh(), DecodeStage(Counters())
        return lambda: self._store(self._sinks[local_infile], records, stage)

    def _sink(self, local_infile: bool) -> SqlSink:
        return SqlSink(
            parse(self._url),
            schemas=lambda name, revision: self._schemas.schema(name, revision).source,
            metrics=Counters(),
            group="bench",
            local_infile=local_infile,
        )

    def _store(
        self, sink: SqlSink, records: list[Record], stage: Callable[[list[Record]], list[Record]] = lambda some: some
    ) -> None:
        # As the loop does it, with the positions of a partition that nobody had before.
        self._runs += 1
        origin = Assignment(f"bench-{os.getpid()}-{self._runs}", 0)
        sink.resume_at({origin: 0})
        for begin in range(0, len(records), _BATCH):
            sink.write(stage(records[begin : begin + _BATCH]))
            if sink.flush():
                raise SystemExit("valid events were refused")
            sink.commit_transaction({origin: begin + _BATCH})


def _decoded(record: Record) -> Record:
    record.event = json.loads(record.value)
    return record


def _table(record: Record) -> str:
    event = record.event or {}
    return table_name(event["schema"], event["revision"])


def _tabbed(value: Any) -> str:
    if value is None:
        return r"\N"
    if isinstance(value, bool):
        return str(int(value))
    return str(value).replace("\\", "\\\\").replace("\t", "\\\t").replace("\n", "\\\n")


def _messages(schemas: SchemaStore) -> list[Message]:
    """Return the valid events among the recorded lines, as a processor writes them."""
    lines = gzip.decompress((_DEMO / "client-side-lines.txt.gz").read_bytes()).splitlines()
    stage = ProcessStage(compile_format(_FORMAT), Validator(schemas), Counters(), Budget(1.0))
    made = [record for record in stage([Record(line) for line in lines]) if record.valid and record.event]
    wanted = [record.value for record in made if record.event and record.event["schema"] in _SCHEMAS]
    places = [(value, match) for value in wanted if (match := _UUID.search(value))]
    return [Message(value[: match.start(1)], value[match.end(1) :]) for value, match in places]


def _measure(given: argparse.Namespace) -> list[Table]:
    stack = Stack(given.stack)
    stack.up("mariadb")
    (pid,) = [part.pid for part in stack.status() if part.part == "mariadb" and part.pid is not None]
    schemas = SchemaStore([str(_DEMO / "schemas")], None)
    bench = Bench(stack.env()["MYSQL_URL"], psutil.Process(pid), schemas, given.rows)
    taken = in_turns(bench.cases(), given.rounds)
    ratios = []
    for begin in ("events", "messages"):
        for way, at_least in (("LOAD DATA LOCAL", 1.3), ("INSERT", 0.9)):
            what = f"from {begin}, {way}"
            ratios.append(ratio(f"{what}, to executemany", taken[what], taken[_PLAIN], at_least=at_least))
            ratios.append(
                ratio(
                    "… rows a CPU s of client and server",
                    bench.both[what],
                    bench.both[_PLAIN],
                    lambda one: one.events / one.cpu_s,
                )
            )
    size = sum(len(message.head) + len(message.tail) + 32 for message in bench.messages) / len(bench.messages)
    server = {
        what: row(what, both).cpu_s_per_100k - row(what, taken[what]).cpu_s_per_100k
        for what, both in bench.both.items()
    }
    title = (
        f"MySQL consumer: {given.rows:,} rows of {len(_SCHEMAS)} schemas a case, {size:.0f}-byte messages,"
        f" {given.rounds} rounds"
    )
    notes = [f"CPU s of the server per 100,000, {what}: {spent:.2f}" for what, spent in server.items()]
    return [Table(title, "rows", [row(what, those) for what, those in taken.items()], ratios, notes)]


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rows", type=int, default=60_000, help="rows a case")


if __name__ == "__main__":
    sys.exit(command("consumer_mysql", _measure, options=_options))
