# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""How far importers are, as a table, without a broker."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest
from memorycluster import MemoryCluster

from elworkers.config.argument_files import read_lines
from elworkers.connectors.registry import check_storage
from elworkers.control.imports import report
from elworkers.control.worker_states import WorkerStates
from elworkers.core.metrics import Counters
from elworkers.importer.compression import json_lines
from elworkers.importer.hour_bucketer import HourBucketer
from elworkers.importer.hours import HOUR_MS
from elworkers.importer.importer import Importer
from elworkers.importer.notes import Note, Notes, TopicOrPartition
from elworkers.importer.pending_range import RollPolicy
from elworkers.importer.plan import ImportPlan
from elworkers.importer.staging import StagingFiles
from elworkers.importer.store import Store
from elworkers.importer.topic_selection import TopicSelection
from elworkers.roles import importer as role
from elworkers.roles.instances import Instance
from elworkers.roles.validate import check_arguments

NOW_MS = 1_480_000_000_000
TOPIC = "eventlogging_Test"


class Site:
    """An instance of an importer, the cluster that it reads and the folder that it writes to."""

    def __init__(self, folder: Path) -> None:
        self.cluster = MemoryCluster()
        self.folder = folder
        self.base = f"file://{folder}/base"
        words = read_lines(f"kafka:///k:9092?topics=eventlogging_.*\n{self.base}\n".encode(), "hdfs", {})
        self.instance = Instance("importer", "hdfs", folder / "hdfs", "", check_arguments("importer", words, {}))

    def add(self, *ago_h: int) -> None:
        lines = [json.dumps({"timestamp": NOW_MS // 1000 - 3600 * one}).encode() for one in ago_h]
        self.cluster.add(TOPIC, lines)

    def run(self) -> None:
        bucketer = HourBucketer(Counters(), "timestamp", 24 * HOUR_MS, HOUR_MS)
        plan = ImportPlan(
            TopicSelection(re.compile("eventlogging_.*"), None),
            bucketer,
            json_lines("none"),
            RollPolicy(1 << 30, 0.0, 0),
        )
        importer = Importer(Store(check_storage(self.base)), StagingFiles(self.folder / "staging"), plan, Counters())
        try:
            assert importer.run(self.cluster.reader(), lambda *_: True, now_ms=NOW_MS) == 0  # type: ignore[arg-type]
        finally:
            importer.close()

    def table(self, said: WorkerStates | None = None) -> list[str]:
        return report([self.instance], lambda _: said or WorkerStates()).splitlines()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    made = Site(tmp_path)
    monkeypatch.setattr(role, "topics_reader", lambda _: made.cluster.reader())
    return made


def test_a_topic_that_nobody_has_imported_is_behind_by_all_of_it(site: Site) -> None:
    site.add(0, 0, 1)
    assert [line.split() for line in site.table()[1:]] == [
        ["TOPIC", "HEAD", "IMPORTED", "UP", "TO", "LAG", "LAST", "FILE", "HOURS", "FINISHED"],
        [TOPIC, "3", "0", "3", "-", "none"],
    ]
    assert site.table()[0] == "importer/hdfs"


def test_a_topic_is_as_far_as_its_manifests(site: Site) -> None:
    site.add(0, 1, 2)
    site.run()
    site.add(0, 0)
    (row,) = site.table()[2:]
    assert row.split() == [
        TOPIC,
        "5",
        "3",
        "2",
        "Test/2016/11/24/15/eventlogging_Test.0.0-0.json",
        *["up", "to", "2016/11/24/14,", "1", "not", "yet"],
    ]


def test_topics_of_another_importer_are_not_shown(site: Site) -> None:
    site.cluster.add("other", [b"{}"])
    assert site.table()[2:] == []


def test_what_stands_still_is_said_with_the_reason_and_since_when(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.add(0)
    monkeypatch.setattr(time, "time", lambda: 1_480_007_200.0)
    said = WorkerStates(
        aside={f"topic {TOPIC}": "hdfs://u:hunter2@h: quota"}, aside_since={f"topic {TOPIC}": 1_480_000_000}
    )
    assert site.table(said)[3:] == [
        f"stands still since 2016-11-24 15:06:40 UTC (2:00:00): topic {TOPIC}: hdfs://u:***@h: quota"
    ]


def test_an_importer_that_does_not_run_has_left_notes(site: Site) -> None:
    site.add(0)
    notes = Notes(Store(check_storage(site.base)))
    notes.write(TopicOrPartition(TOPIC, 0), Note("it has transactions", 1_480_000_000))
    notes.write(TopicOrPartition("other"), Note("of another importer", 1_480_000_000))
    (said,) = site.table()[3:]
    assert said.startswith("stands still since 2016-11-24 15:06:40 UTC")
    assert said.endswith(f"topic {TOPIC}[0]: it has transactions")


def test_a_manifest_that_is_none_holds_up_no_other_topic(site: Site, tmp_path: Path) -> None:
    site.add(0)
    site.run()
    site.cluster.add("eventlogging_Other", [b"{}"])
    (manifest,) = (tmp_path / "base" / "_importer" / TOPIC).glob("*.json")
    manifest.write_text("none", encoding="utf-8")
    lines = site.table()
    assert lines[2].split()[:4] == ["eventlogging_Other", "1", "0", "1"]
    assert lines[3].split()[:4] == [TOPIC, "1", "0", "1"]
    assert lines[4].startswith(f"stands still: topic {TOPIC}: ")
    assert "is no manifest of an importer" in lines[4]
