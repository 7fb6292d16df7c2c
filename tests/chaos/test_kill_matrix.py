# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""One kill at each step of the loop, in a processor and in a consumer: none lost, and none twice in the database."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

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


class Site:
    """A processor and a consumer, each with a killer in it, on topics and a database of their own."""

    def __init__(self, kafka: str, folder: Path, name: str, url: str) -> None:
        self._kafka = kafka
        self._folder = folder
        self._name = name
        self.raw, self.valid = f"{name}-raw", f"{name}-valid"
        self.url = url
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self, step: str) -> None:
        source = f"auto_offset_reset=earliest&session_timeout_ms=2000&partitions=4&identity={self._name}"
        schemas, small = f"--schemas={SCHEMAS}", "--batch-size=20"
        raw = f"kafka:///{self._kafka}?topic={self.raw}&{source}"
        valid = f"kafka:///{self._kafka}?topic={self.valid}&{source}"
        self._run(step, "processor", "%j", raw, f"kafka:///{self._kafka}?topic={self.valid}", schemas, small)
        self._run(
            step, "consumer", valid, f"{self.url}{'&' if '?' in self.url else '?'}batch_seconds=0.2", schemas, small
        )

    def _run(self, step: str, role: str, *arguments: str) -> None:
        marker = str(self._folder / f"{role}-was-killed")
        command = [sys.executable, str(KILLER), step, marker, role, *arguments, f"--name={self._name}"]
        with (self._folder / f"{role}.log").open("wb") as log:
            self._processes.append(subprocess.Popen(command, stderr=log))

    def killed(self) -> int:
        """How many of the two have been killed."""
        return len(list(self._folder.glob("*-was-killed")))

    def rows(self) -> list[int]:
        return flow.in_database(self.url, f"{flow.SCHEMA}_{flow.REVISION}")

    def topic(self) -> list[int]:
        return flow.in_topic(self._kafka, self.valid)

    def stop(self) -> None:
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            try:
                process.wait(DEADLINE_S)
            finally:
                process.kill()


@pytest.fixture
def site(request: pytest.FixtureRequest, kafka: str, tmp_path: Path, unique: Callable[[str], str]) -> Iterator[Site]:
    url = f"sqlite:///{tmp_path}/events.db"
    if getattr(request, "param", "sqlite") == "mariadb":
        url = own_database(request.getfixturevalue("mariadb"), unique("chaos"))
    made = Site(kafka, tmp_path, unique("chaos"), url)
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


@pytest.mark.parametrize(
    ("site", "step"),
    [*(("sqlite", step) for step in STEPS), *(("mariadb", step) for step in OF_ROWS)],
    indirect=["site"],
)
def test_a_kill_loses_nothing_and_stores_nothing_twice(site: Site, kafka: str, step: str) -> None:
    flow.produce(kafka, site.raw, SENT)
    site.start(step)
    wait_for(lambda: site.killed() == 2, DEADLINE_S, "both kills")
    wait_for(lambda: set(site.rows()) == set(SENT), DEADLINE_S, "every row")
    site.stop()
    assert flow.count(site.topic(), SENT).lost == 0
    assert flow.count(site.rows(), SENT) == flow.Count(lost=0, again=0)


def test_the_originals_habit_fails_the_same_check(site: Site, kafka: str) -> None:
    flow.produce(kafka, site.raw, SENT)
    site.start("commit-before-flush")
    wait_for(lambda: site.killed() == 2, DEADLINE_S, "both kills")
    # What is behind the lost ones has arrived, so that they are lost and not late.
    flow.produce(kafka, site.raw, range(1000, 1200))
    wait_for(lambda: set(range(1000, 1200)) <= set(site.topic()), DEADLINE_S, "what was sent later")
    assert flow.count(site.topic(), SENT).lost > 0
