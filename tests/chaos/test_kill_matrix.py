# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""One kill at each step of the loop, in a processor and in a consumer: none lost, and none twice in the database.

With exactly_once=True none is twice in the topic either, nor in a log file that is written of it.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pymysql
import pytest
from topology import SCHEMAS
from waiting import wait_for

from chaos import flow
from elworkers.config.uris import parse

DEADLINE_S = 60.0
SENT = range(200)
KILLER = Path(__file__).parent / "killer.py"
STEPS = (
    "after-poll",
    "after-write",
    "after-produce",
    "after-flush",
    "between-rows-and-positions",
    "before-commit",
    "after-commit",
)

OF_ROWS = ("after-produce", "after-flush", "between-rows-and-positions")
"""Those at which rows are stored but not committed."""

OF_A_CLIENT = ("after-poll", "after-produce", "before-commit")
"""Those at which it is the client that has to do the right thing."""

OF_A_TRANSACTION = ("after-poll", "after-produce", "between-rows-and-positions", "between-offsets-and-commit")
"""Those at which a transaction is open, or is not yet."""


class Mode(NamedTuple):
    """With which client a site works, on which broker, and whether topics are written exactly once."""

    client: str
    fixture: str
    exactly_once: bool = False


PYKAFKA = Mode("pykafka", "kafka")
OLD, NEW = Mode("confluent", "kafka"), Mode("confluent", "kafka44")
OLD_ONCE, NEW_ONCE = OLD._replace(exactly_once=True), NEW._replace(exactly_once=True)

MATRIX = [
    *((PYKAFKA, "sqlite", step) for step in STEPS),
    *((PYKAFKA, "mariadb", step) for step in OF_ROWS),
    *((OLD, "sqlite", step) for step in OF_A_CLIENT[1:]),
    *((NEW, "sqlite", step) for step in OF_A_CLIENT),
    *((OLD_ONCE, "sqlite", step) for step in OF_A_TRANSACTION[1::2]),
    *((NEW_ONCE, "sqlite", step) for step in (*OF_A_TRANSACTION, "before-commit", "after-commit")),
]


class Site:
    """A processor and a consumer, each with a killer in it, on topics and a database of their own.

    In exactly-once mode also a consumer of a log file, which nobody kills.
    """

    def __init__(self, mode: Mode, kafka: str, folder: Path, name: str, url: str) -> None:
        self.kafka = kafka
        self._mode = mode
        self._folder = folder
        self._name = name
        self.raw, self.valid = f"{name}-raw", f"{name}-valid"
        self.url = url
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self, step: str) -> None:
        source = f"auto_offset_reset=earliest&session_timeout_ms=2000&partitions=4&identity={self._name}"
        schemas, small = f"--schemas={SCHEMAS}", "--batch-size=20"
        brokers = f"kafka-{self._mode.client}:///{self.kafka}"
        raw, valid = f"{brokers}?topic={self.raw}&{source}", f"{brokers}?topic={self.valid}&{source}"
        out = f"{brokers}?topic={self.valid}&partitions=4&exactly_once={self._mode.exactly_once}"
        self._run(step, "processor", "%j", raw, out, schemas, small)
        self._run(
            step, "consumer", valid, f"{self.url}{'&' if '?' in self.url else '?'}batch_seconds=0.2", schemas, small
        )
        if self._mode.exactly_once:
            self._run("", "consumer", f"{valid}-file", f"file://{self.file}", f"--schemas={SCHEMAS}")

    def _run(self, step: str, role: str, *arguments: str) -> None:
        marker = str(self._folder / f"{role}-was-killed")
        program = [str(KILLER), step, marker] if step else ["-m", "elworkers"]
        command = [sys.executable, *program, role, *arguments, f"--name={self._name}"]
        with (self._folder / f"{role}{'' if step else '-of-file'}.log").open("wb") as log:
            self._processes.append(subprocess.Popen(command, stderr=log))

    def killed(self) -> int:
        """How many of the two have been killed."""
        return len(list(self._folder.glob("*-was-killed")))

    def rows(self) -> list[int]:
        return flow.in_database(self.url, f"{flow.SCHEMA}_{flow.REVISION}")

    def topic(self) -> list[int]:
        return flow.in_topic(self.kafka, self.valid, self._mode.client)

    @property
    def exactly_once(self) -> bool:
        return self._mode.exactly_once

    @property
    def file(self) -> Path:
        return self._folder / "events.log"

    def stop(self) -> None:
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            try:
                process.wait(DEADLINE_S)
            finally:
                process.kill()


@pytest.fixture
def site(request: pytest.FixtureRequest, tmp_path: Path, unique: Callable[[str], str]) -> Iterator[Site]:
    mode, database = getattr(request, "param", (PYKAFKA, "sqlite"))
    url = f"sqlite:///{tmp_path}/events.db"
    if database == "mariadb":
        url = own_database(request.getfixturevalue("mariadb"), unique("chaos"))
    made = Site(mode, request.getfixturevalue(mode.fixture), tmp_path, unique("chaos"), url)
    yield made
    made.stop()


def own_database(url: str, name: str) -> str:
    """The URL of a new database on the same server."""
    uri = parse(url)
    host, port = uri.endpoint(3306)
    with pymysql.connect(host=host, port=port, user="root") as connection:
        cursor = connection.cursor()
        cursor.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
        cursor.execute(f"GRANT ALL ON {name}.* TO {uri.user}@`%`")
    return url.replace(uri.path, f"/{name}")


def named(case: tuple[Mode, str, str]) -> str:
    mode, database, step = case
    return "-".join([*mode[:2], *["exactly-once"] * mode.exactly_once, database, step])


@pytest.mark.parametrize(
    ("site", "step"),
    [pytest.param((mode, database), step, id=named((mode, database, step))) for mode, database, step in MATRIX],
    indirect=["site"],
)
def test_a_kill_loses_nothing_and_stores_nothing_twice(site: Site, step: str) -> None:
    flow.produce(site.kafka, site.raw, SENT)
    site.start(step)
    wait_for(lambda: site.killed() == 2, DEADLINE_S, "both kills")
    wait_for(lambda: set(site.rows()) == set(SENT), DEADLINE_S, "every row")
    if site.exactly_once:
        wait_for(lambda: set(flow.in_file(site.file)) == set(SENT), DEADLINE_S, "every line")
    site.stop()
    assert flow.count(site.rows(), SENT) == flow.Count(lost=0, again=0)
    found = flow.count(site.topic(), SENT)
    assert found.lost == 0
    if step == "before-commit" and not site.exactly_once:
        # Whatever has no transactions writes that batch again, so that the check below can tell.
        assert found.again > 0
    if site.exactly_once:
        assert found.again == 0
        assert flow.count(flow.in_file(site.file), SENT) == flow.Count(lost=0, again=0)


def test_the_originals_habit_fails_the_same_check(site: Site) -> None:
    flow.produce(site.kafka, site.raw, SENT)
    site.start("commit-before-flush")
    wait_for(lambda: site.killed() == 2, DEADLINE_S, "both kills")
    # What is behind the lost ones has arrived, so that they are lost and not late.
    flow.produce(site.kafka, site.raw, range(1000, 1200))
    wait_for(lambda: set(range(1000, 1200)) <= set(site.topic()), DEADLINE_S, "what was sent later")
    assert flow.count(site.topic(), SENT).lost > 0
