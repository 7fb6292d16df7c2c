# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Hostile lines among good ones, through the installed commands: each good one arrives, each other is accounted for."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pymysql
import pytest
from hostile import SOUND, capsule, case_lines, invalid_lines, write_schemas
from topology import BIN, Topology
from waiting import wait_for

from elworkers.config.uris import parse

DEADLINE_S = 120.0
NUMBERED = 1_000_000
Make = Callable[..., Topology]


@pytest.fixture(scope="module")
def schemas(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_schemas(tmp_path_factory.mktemp("hostile") / "schemas")


def among_good(lines: list[bytes]) -> Iterator[bytes]:
    """The lines, each between two good ones that carry its number."""
    for at, line in enumerate(lines):
        yield capsule(SOUND, {"a": at}, NUMBERED + at)
        yield line
    yield capsule(SOUND, {"a": len(lines)}, NUMBERED + len(lines))


def processed(lines: list[bytes], schemas: Path) -> list[dict[str, Any]]:
    """What a processor makes of the lines."""
    command = [BIN / "eventlogging-processor", "%j", "stdin:", "stdout:", "--output-invalid", f"--schemas={schemas}"]
    done = subprocess.run(
        command, input=b"\n".join(lines) + b"\n", capture_output=True, check=False, timeout=DEADLINE_S
    )
    assert done.returncode == 0, done.stderr.decode()[-2_000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_every_invalid_line_becomes_an_event_error_and_its_neighbours_go_on(schemas: Path) -> None:
    lines = list(among_good(invalid_lines()))
    made = processed(lines, schemas)
    assert len(made) == len(lines)
    valid = [one["event"] for one in made if one["schema"] != "EventError"]
    assert valid == [{"a": at} for at in range(len(invalid_lines()) + 1)]


def test_each_case_gives_one_event_and_its_neighbours_go_on(schemas: Path) -> None:
    lines = list(among_good(case_lines()))
    made = processed(lines, schemas)
    assert len(made) == len(lines)
    good = {one["uuid"] for one in made if int(one["uuid"], 16) >= NUMBERED and one["schema"] == SOUND}
    assert {f"{NUMBERED + at:032x}" for at in range(len(case_lines()) + 1)} <= good


class Store:
    """A database of its own on the real server."""

    def __init__(self, url: str, name: str) -> None:
        uri = parse(url)
        host, port = uri.endpoint(3306)
        self._server = {"host": host, "port": port, "user": "root"}
        self._name = name
        with pymysql.connect(host=host, port=port, user="root") as connection:
            cursor = connection.cursor()
            cursor.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
            cursor.execute(f"GRANT ALL ON {name}.* TO {uri.user}@`%`")
        self.url = url.replace(uri.path, f"/{name}")

    def query(self, statement: str) -> list[Any]:
        with pymysql.connect(database=self._name, **self._server) as connection:  # type: ignore[arg-type]
            cursor = connection.cursor()
            cursor.execute(statement)
            return list(cursor.fetchall())

    def uuids(self) -> list[str]:
        tables = [name for (name,) in self.query("SHOW TABLES") if not name.startswith("eventlogging_")]
        return [uuid for name in tables for (uuid,) in self.query(f"SELECT uuid FROM `{name}`")]  # noqa: S608 - ours


def test_all_of_them_through_kafka_and_a_database(
    topology: Make, kafka: str, mariadb: str, unique: Callable[[str], str], schemas: Path
) -> None:
    name, store = unique("hostile"), Store(mariadb, unique("hostile"))
    site = topology({"EVENTLOGGING_SCHEMAS": str(schemas)})
    options = "auto_offset_reset=earliest&session_timeout_ms=6000&partitions=1"
    raw, mixed = (f"kafka:///{kafka}?topic={name}-{part}" for part in ("raw", "mixed"))
    of_schema = f"kafka:///{kafka}?topic={name}.{{schema}}"
    errors = f"kafka:///{kafka}?topic={name}-errors"
    site.instance(
        "processor/main", "%j", f"{raw}&{options}", of_schema, mixed, f"--output-invalid={errors}", f"--sid={name}"
    )
    site.instance("consumer/rows", f"{mixed}&{options}&identity={name}-rows", f"{store.url}&batch_seconds=1")
    site.instance("consumer/errors", f"{errors}&{options}&identity={name}-errors", f"{store.url}&batch_seconds=1")
    lines = list(among_good([*invalid_lines(), *case_lines()]))
    subprocess.run(
        [BIN / "eventlogging-forwarder", "stdin:", f"{raw}&partitions=1"],
        input=b"\n".join(lines) + b"\n",
        check=True,
        capture_output=True,
        timeout=DEADLINE_S,
    )
    site.ctl("start")
    good = {f"{NUMBERED + at:032x}" for at in range(len(lines[::2]))}
    wait_for(lambda: good <= set(store.uuids()), DEADLINE_S, "every good event in the database")
    assert [said["workers"][0]["restarts"] for said in site.states()] == [0, 0, 0]
    kept = store.uuids()
    assert len(kept) == len(set(kept))
    # What the database refused is an EventError on the way; what is neither has vanished.
    wait_for(lambda: len(store.uuids()) >= len(invalid_lines()) + len(good), DEADLINE_S, "the EventErrors as rows")
