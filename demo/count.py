# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Counts what has arrived in topics, tables, a log file, HDFS and statsd since the demo began."""

from __future__ import annotations

import json
import socket
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import fsspec
import sqlalchemy

from elworkers.config.uris import parse
from elworkers.connectors.kafka.driver import Range
from elworkers.connectors.kafka.drivers import driver
from elworkers.connectors.sql import engine, table_owners
from elworkers.connectors.sql import offset_store as positions
from elworkers.monitoring import statsd

_REPORT_WITHIN_S = 20.0
_ERROR_SCHEMA = "EventError"
_PREFIX, _ERRORS = "eventlogging_", f"eventlogging_{_ERROR_SCHEMA}"


class Totals(NamedTuple):
    """What arrived, by schema."""

    valid: Counter[str]
    invalid: Counter[str]
    rows: Counter[str]
    lines: Counter[str]
    records: Counter[str]


class Statsd:
    """A statsd that only adds up; the reporter of the demo sends to it."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.setblocking(False)
        self.port: int = self._socket.getsockname()[1]
        self.counts: Counter[str] = Counter()

    def read(self) -> None:
        """Add up what has come."""
        while True:
            try:
                datagram = self._socket.recv(65_535)
            except BlockingIOError:
                return
            for line in datagram.decode().splitlines():
                name, _, value = line.partition(":")
                number, _, type_ = value.partition("|")
                if type_ == "c":
                    self.counts[name] += int(number)


class Hours:
    """The records in the folders of hours below a base folder."""

    def __init__(self, url: str) -> None:
        self._files, self._base = fsspec.url_to_fs(url)
        self._seen: set[str] = set(self._paths())
        self.counts: Counter[str] = Counter()

    def _paths(self) -> list[str]:
        hidden = f"{self._base}/_"
        return [path for path in self._files.find(self._base) if not path.startswith(hidden)]

    def read(self) -> None:
        """Add up what has come; a file never changes once it has its name."""
        for path in self._paths():
            if path not in self._seen:
                self._seen.add(path)
                schema = path.removeprefix(f"{self._base}/").partition("/")[0]
                self.counts[schema] += self._files.cat_file(path).count(b"\n")


class Arrivals:
    """Counts from the moment it is made."""

    def __init__(self, kafka: str, database_url: str, hours: Hours, log_file: Path, statsd: Statsd) -> None:
        client = driver([kafka])
        self._admin, self._reader = client.admin([kafka]), client.reader([kafka])
        self._engine = engine.engine(parse(database_url))
        self._log = log_file
        self._log_at = log_file.stat().st_size if log_file.exists() else 0
        self._log_rest = b""
        self._statsd = statsd
        self._hours = hours
        self._ends = self._schema_ends()
        self._rows = self._count_rows()
        self._errors_read = self._admin.ends(_ERRORS)
        self._invalid: Counter[str] = Counter()
        self._lines: Counter[str] = Counter()

    def _schema_ends(self) -> Counter[str]:
        names = [name for name in self._admin.topics() if name.startswith(_PREFIX) and name != _ERRORS]
        return Counter({name[len(_PREFIX) :]: sum(self._admin.ends(name).values()) for name in names})

    def _count_rows(self) -> Counter[str]:
        with self._engine.connect() as connection:
            found: Counter[str] = Counter()
            for table in set(sqlalchemy.inspect(connection).get_table_names()) - {
                positions.TABLE,
                positions.TOPIC_IDS_TABLE,
                table_owners.TABLE,
            }:
                count = connection.execute(
                    sqlalchemy.select(sqlalchemy.func.count()).select_from(sqlalchemy.table(table))
                )
                found[table.rpartition("_")[0]] += count.scalar_one()
            connection.rollback()
        return found

    def _read_errors(self) -> None:
        ranges = self._reader.ranges([one for one in self._reader.partitions() if one.topic == _ERRORS])
        new = {one: Range(self._errors_read.get(one, found.begin), found.end) for one, found in ranges.items()}
        for fetched in self._reader.read(new):
            self._invalid.update(json.loads(value or b"")["event"]["schema"] for _, _, _, value in fetched.messages)
            self._errors_read[fetched.partition] = fetched.next

    def _read_log(self) -> None:
        if not self._log.exists():
            return
        with self._log.open("rb") as file:
            file.seek(self._log_at)
            content = file.read()
        self._log_at += len(content)
        *lines, self._log_rest = (self._log_rest + content).split(b"\n")
        self._lines.update(json.loads(line)["schema"] for line in lines)

    def totals(self) -> Totals:
        """Return what arrived, by schema."""
        self._read_errors()
        self._read_log()
        self._statsd.read()
        self._hours.read()
        valid, rows = self._schema_ends(), self._count_rows()
        valid.subtract(self._ends)
        rows.subtract(self._rows)
        return Totals(+valid, +self._invalid, +rows, +self._lines, +self._hours.counts)

    def sums(self) -> dict[str, int]:
        """Return the same as sums."""
        return {name: sum(counts.values()) for name, counts in self.totals()._asdict().items()}

    def wait_for_report(self) -> None:
        """Wait until the reporter has told statsd of everything that arrived, or until its time is up."""
        totals = self.totals()
        wanted = {"valid": sum(totals.valid.values()), "invalid": sum(totals.invalid.values())}
        deadline = time.monotonic() + _REPORT_WITHIN_S
        while any(self._told(name) < count for name, count in wanted.items()) and time.monotonic() < deadline:
            time.sleep(0.2)
            self._statsd.read()

    def _told(self, name: str) -> int:
        return self._statsd.counts[f"{statsd.prefixed(statsd.PREFIX)}.overall.{name}"]

    def reported(self) -> str:
        """Return what the reporter has told statsd so far."""
        shown = ", ".join(f"{name} {self._told(name)}" for name in ("raw", "valid", "invalid"))
        return f"The reporter has told statsd: {shown}."


class Comparison:
    """What was sent against what arrived."""

    def __init__(self, sent: Mapping[str, int]) -> None:
        self._sent = sent

    def table(self, totals: Totals, blacklisted: str) -> str:
        """Sent, valid, invalid, rows and lines of each schema."""
        heading = (
            "schema",
            "sent",
            "valid",
            "invalid",
            "rows in the database",
            "lines in the log file",
            "records in HDFS",
        )
        rows = [heading]
        for schema in sorted(set(self._sent) | set().union(*totals)):
            counts = [self._sent.get(schema, 0), *(column[schema] for column in totals)]
            name = f"{schema} (blacklisted)" if schema == blacklisted else schema
            rows.append((name, *map(str, counts)))  # type: ignore[arg-type]
        sums = [sum(self._sent.values()), *(sum(column.values()) for column in totals)]
        rows.append(("all", *map(str, sums)))  # type: ignore[arg-type]
        widths = [max(len(row[column]) for row in rows) for column in range(len(heading))]
        return "\n".join(
            row[0].ljust(widths[0])
            + "".join(f"  {text:>{width}}" for text, width in zip(row[1:], widths[1:], strict=True))
            for row in rows
        )

    def missing(self, totals: Totals, blacklisted: str) -> list[str]:
        """One sentence for each count that does not add up."""
        wrong = []
        for schema in sorted(set(self._sent) | set().union(*totals)):
            sent, valid, invalid = self._sent.get(schema, 0), totals.valid[schema], totals.invalid[schema]
            stored = 0 if schema == blacklisted else valid
            if valid + invalid != sent:
                wrong.append(f"{schema}: {sent} were sent, but {valid} valid and {invalid} invalid ones arrived")
            for store, count in (("database", totals.rows[schema]), ("log file", totals.lines[schema])):
                if count != stored:
                    wrong.append(f"{schema}: {stored} belong into the {store}, but {count} are there")
            belong = sum(totals.invalid.values()) if schema == _ERROR_SCHEMA else valid
            if totals.records[schema] != belong:
                wrong.append(f"{schema}: {belong} belong into HDFS, but {totals.records[schema]} are there")
        if not totals.valid[blacklisted]:
            wrong.append(f"{blacklisted}: blacklisted, but nothing is in its own topic either")
        return wrong
