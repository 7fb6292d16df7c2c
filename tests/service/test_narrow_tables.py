# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Tables of before March 2017, as the original made them, on a real MariaDB: named at the start, and widened."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from databases import Place, Schema
from structlog.testing import capture_logs
from topology import BIN

from elworkers.connectors.sql import narrow_tables
from elworkers.core.contracts import Record

NARROW = "table is narrower than its schema needs; rows that do not fit are refused until it is altered"
SCHEMA: Schema = {
    "a": {"type": "string"},
    "n": {"type": "integer"},
    "f": {"type": "number"},
    "at": {"type": "string", "format": "date-time"},
    "b": {"type": "boolean"},
}
OF_2016 = """CREATE TABLE {name}_1 (
    id INTEGER NOT NULL AUTO_INCREMENT, uuid CHAR(32) NOT NULL, clientIp VARCHAR(191) NOT NULL,
    isTruncated BOOL, timestamp VARCHAR(14) NOT NULL, userAgent VARCHAR(191), webHost VARCHAR(191),
    wiki VARCHAR(191) NOT NULL, event_a VARCHAR(191) NOT NULL, event_n INTEGER, event_f FLOAT NOT NULL,
    event_at DATETIME, event_b BOOL, PRIMARY KEY (id), UNIQUE (uuid), KEY (timestamp)
) ENGINE=InnoDB DEFAULT CHARSET=utf8"""
EXACT = {"a": "x", "n": 2**40, "f": 0.1234567890123, "at": "2016-07-29T12:34:56.25", "b": True}


@pytest.fixture
def old(mariadb: str, unique: Callable[[str], str]) -> Iterator[Place]:
    """A database that has one table of 2016."""
    made = Place(mariadb, unique("Test"))
    made.do(OF_2016.format(name=made.name))
    yield made
    made.do(f"DROP TABLE {made.name}_1")
    made.close()


def started(place: Place) -> tuple[Any, list[Any]]:
    """A sink, and what it says of this test's tables at its start."""
    with capture_logs() as logs:
        sink = place.sink(SCHEMA)
    return sink, [entry for entry in logs if entry["event"] == NARROW and place.name in entry["table"]]


def stored(sink: Any, *records: Record) -> list[str]:
    sink.write(records)
    refused = [refusal.message for refusal in sink.flush()]
    sink.commit_transaction({})
    return refused


def migrate(*words: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    command = [BIN / "eventlogging-schema", "migrate-tables", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=environment)


def test_a_narrow_table_is_named_at_the_start_with_its_alter_and_its_rows_are_refused_one_by_one(old: Place) -> None:
    sink, said = started(old)
    (entry,) = said
    assert entry["log_level"] == "warning"
    assert entry["table"] == f"{old.name}_1"
    assert "event_a varchar(191) utf8mb3 NOT NULL" in entry["columns"]
    assert {column.split()[0] for column in entry["columns"]} == {
        *("uuid", "clientIp", "timestamp", "userAgent", "webHost", "wiki"),
        *("event_a", "event_n", "event_f", "event_at"),
    }
    old.do(f"ALTER TABLE {old.name}_1 MODIFY clientIp VARCHAR(191) NULL")
    sink, _ = started(old)
    bad = [{"a": "y" * 500}, {"a": "🐘"}, {"n": 1}, {"a": "x", "f": 1.5, "n": 2**40}]
    good = {"a": "x", "n": 1, "f": 0.5}
    records = [old.record(number, {"f": 0.5, **event}) for number, event in enumerate(bad)]
    assert len(stored(sink, *records, old.record(9, good))) == len(bad)
    assert [(row["uuid"], row["event_a"]) for row in old.rows()] == [(f"{9:032x}", "x")]
    assert old.total("rows_refused") == len(bad)

    old.do(entry["alter"])
    sink, said = started(old)
    assert said == []
    exact = old.record(20, EXACT)
    assert stored(sink, *records, exact, old.record(21, {})) == []
    rows = {int(row["uuid"], 16): row for row in old.rows()}
    assert [rows[number]["event_a"] for number in range(3)] == ["y" * 500, "🐘", None]
    assert (rows[20]["event_n"], rows[20]["event_f"]) == (EXACT["n"], EXACT["f"])
    assert rows[20]["event_at"].microsecond == 250_000


def test_a_database_that_does_not_tell_keeps_nobody_from_starting(old: Place) -> None:
    with old._engine.connect() as connection, capture_logs() as logs:
        connection.exec_driver_sql("SET SESSION sql_big_selects = 0, max_join_size = 1")
        narrow_tables.log_narrow_tables(connection)
        assert connection.exec_driver_sql("SELECT 1").scalar_one() == 1
        connection.rollback()
    assert [entry["event"] for entry in logs] == ["tables cannot be looked at for narrow columns"]
    assert "MAX_JOIN_SIZE" in logs[0]["reason"]


def test_a_wide_table_gets_as_much_as_a_row_holds(old: Place) -> None:
    more = ", ".join(f"ADD event_s{number} VARCHAR({191 if number % 2 else 1024})" for number in range(24))
    old.do(f"ALTER TABLE {old.name}_1 ROW_FORMAT=DYNAMIC, {more}")
    _, (entry,) = started(old)
    old.do(entry["alter"])
    sink, said = started(old)
    assert said == []
    sink = old.sink({f"s{number}": {"type": "string"} for number in range(24)})
    assert stored(sink, old.record(1, {f"s{number}": "🐘" * 200 for number in range(24)})) == []
    assert {old.rows()[0][f"event_s{number}"] for number in range(24)} == {"🐘" * 200}


def test_tables_that_are_wide_enough_and_columns_of_others_are_not_named(
    mariadb: str, unique: Callable[[str], str]
) -> None:
    place = Place(mariadb, unique("Test"))
    assert stored(place.sink(SCHEMA), place.record(1, EXACT)) == []
    place.do(f"ALTER TABLE {place.name}_1 ADD note VARCHAR(20) NOT NULL DEFAULT '', ADD c INT AS (event_b) VIRTUAL")
    place.do(f"CREATE TABLE {place.name}_other_1 (id INT NOT NULL, words VARCHAR(10) NOT NULL) CHARSET=utf8")
    place.do(f"CREATE VIEW {place.name}_view_1 AS SELECT * FROM {place.name}_1")  # noqa: S608
    assert started(place)[1] == []
    place.do(f"DROP VIEW {place.name}_view_1")
    place.close()


def test_the_command_prints_every_alter_and_runs_them_without_dry_run(old: Place, unique: Callable[[str], str]) -> None:
    second = Place(old.uri, unique("Test"))
    second.do(OF_2016.format(name=second.name))
    _, (entry,) = started(old)
    dry = migrate("--dry-run", old.uri)
    assert dry.returncode == 0, dry.stderr
    assert f"{entry['alter']};\n" in dry.stdout
    assert f"ALTER TABLE `{second.name}_1` " in dry.stdout
    # It has changed nothing.
    assert started(old)[1] == [entry]
    done = migrate(old.uri)
    assert done.returncode == 0, done.stderr
    assert f"{entry['alter']};\n" in done.stdout
    assert started(old)[1] == started(second)[1] == []
    again = migrate("--dry-run", old.uri)
    assert (again.returncode, old.name in again.stdout) == (0, False)
    second.do(f"DROP TABLE {second.name}_1")
    second.close()


def test_the_command_finds_the_databases_of_the_instance_files(old: Place, tmp_path: Path) -> None:
    folder = tmp_path / "eventlogging.d" / "consumers"
    folder.mkdir(parents=True)
    uri = old.uri.replace("eventlogging:eventlogging@", "eventlogging:${env:PASSWORD}@")
    for name in ("one", "two"):
        (folder / name).write_text(f"kafka:///k:9092?topic=t&identity={name}\n{uri}\n", encoding="utf-8")
    done = migrate(
        "--dry-run", "--config-dir", str(folder.parent), environment={"PATH": "/bin", "PASSWORD": "eventlogging"}
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(f"ALTER TABLE `{old.name}_1` ") == 1
    assert "eventlogging:eventlogging@" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("words", "code", "expected"),
    [
        (["sqlite:////tmp/x.db"], 78, "expected mysql://USER:PASSWORD@HOST/DATABASE"),
        (["mysql://u:hidden@127.0.0.1:1/log"], 1, "database mysql://u:***@127.0.0.1:1/log"),
        (["--config-dir", "/dev/null"], 78, "/dev/null: the configuration folder cannot be read"),
        (["--config-dir", "{empty}"], 78, "stores rows in mysql://; expected mysql:"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(tmp_path: Path, words: list[str], code: int, expected: str) -> None:
    done = migrate("--dry-run", *(word.format(empty=tmp_path) for word in words))
    assert (done.returncode, done.stdout) == (code, "")
    assert expected in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "hidden" not in done.stderr


def test_a_table_that_cannot_be_altered_holds_up_no_other(old: Place, unique: Callable[[str], str]) -> None:
    others = [Place(old.uri, unique(f"Test{number}")) for number in (0, 9)]
    for place in others:
        place.do(OF_2016.format(name=place.name))
    old.do(f"CREATE TABLE {old.name}_c (u CHAR(32) CHARSET utf8, FOREIGN KEY (u) REFERENCES {old.name}_1 (uuid))")
    done = migrate(old.uri)
    assert done.returncode == 1
    assert f"eventlogging-schema: table {old.name}_1: " in done.stderr
    assert [started(place)[1] for place in others] == [[], []]
    assert len(started(old)[1]) == 1
    old.do(f"DROP TABLE {old.name}_c")
    for place in others:
        place.do(f"DROP TABLE {place.name}_1")
        place.close()
