# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""An importer without a broker: what is in the store after each run."""

from __future__ import annotations

import itertools
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import importing
import pytest
from memorycluster import MemoryCluster
from structlog.testing import capture_logs

from elworkers.connectors.registry import check_storage
from elworkers.core.contracts import TopicPartition
from elworkers.core.errors import RetryableError
from elworkers.core.metrics import Counters
from elworkers.importer.compression import json_lines
from elworkers.importer.hour_bucketer import HourBucketer
from elworkers.importer.hours import HOUR_MS
from elworkers.importer.importer import Importer
from elworkers.importer.pending_range import RollPolicy
from elworkers.importer.plan import ImportPlan
from elworkers.importer.staging import StagingFiles
from elworkers.importer.store import Store
from elworkers.importer.topic_selection import TopicSelection

TOPIC = "eventlogging_Test"
NOW_MS = 1_480_000_000_000
NOW_S = NOW_MS // 1000
AT_ONCE = RollPolicy(size=1 << 30, age_s=0.0, grace_ms=600_000)
LATER = RollPolicy(size=1 << 30, age_s=3600.0, grace_ms=600_000)


def message(number: int, ago_s: int = 0) -> bytes:
    return json.dumps({"schema": "Test", "number": number, "timestamp": NOW_S - ago_s}).encode()


class Site:
    """A cluster in memory, a base folder, and importers from the one to the other."""

    def __init__(self, base: str, staging: Path) -> None:
        self.base = base
        self.cluster = MemoryCluster()
        self.metrics = Counters()
        self._staging = staging
        self._numbers = itertools.count(1)
        self._made: list[Importer] = []

    def importer(self, roll_policy: RollPolicy = AT_ONCE) -> Importer:
        store = Store(check_storage(self.base))
        bucketer = HourBucketer(self.metrics, "timestamp", 7 * 24 * HOUR_MS, HOUR_MS)
        plan = ImportPlan(
            TopicSelection(re.compile("eventlogging_.*"), None), bucketer, json_lines("none"), roll_policy
        )
        made = Importer(store, StagingFiles(self._staging / str(next(self._numbers))), plan, self.metrics)
        self._made.append(made)
        return made

    def run(self, importer: Importer, now_ms: int = NOW_MS, **more: Any) -> int:
        more.setdefault("keep_going", lambda _done, _total: True)
        return importer.run(self.cluster.reader(), now_ms=now_ms, **more)  # type: ignore[arg-type]

    def paths(self) -> list[str]:
        return importing.paths(self.base)

    def numbers(self) -> list[int]:
        """The number of every event in a file that readers look at."""
        return importing.numbers(self.base)

    def close(self) -> None:
        for one in self._made:
            one.close()


@pytest.fixture(params=["file", "memory"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    base = f"file://{tmp_path}/base" if request.param == "file" else f"memory://{tmp_path.name}"
    made = Site(base, tmp_path / "staging")
    yield made
    made.close()
    if request.param == "memory":
        files, root = fsspec.url_to_fs(base)
        if files.exists(root):
            files.rm(root, recursive=True)


def test_each_event_is_in_the_file_of_its_hour_once(site: Site) -> None:
    site.cluster.add(TOPIC, [message(0), message(1, 3600), message(2)])
    site.cluster.add(TOPIC, [message(3)], partition=1)
    importer = site.importer()
    assert site.run(importer) == 0
    assert site.numbers() == [0, 1, 2, 3]
    assert [path for path in site.paths() if path.startswith("Test/")] == [
        "Test/2016/11/24/14/eventlogging_Test.0.1-1.json",
        "Test/2016/11/24/15/eventlogging_Test.0.0-2.json",
        "Test/2016/11/24/15/eventlogging_Test.1.0-0.json",
    ]
    site.cluster.add(TOPIC, [message(4)])
    assert site.run(importer) == 0
    assert site.numbers() == [0, 1, 2, 3, 4]
    assert site.metrics.summary()["import_records"] == 5
    # One manifest a partition, whatever came before.
    assert [path for path in site.paths() if path.startswith("_importer/")] == [
        f"_importer/{TOPIC}/0.3-4.json",
        f"_importer/{TOPIC}/1.0-1.json",
    ]


def test_another_process_goes_on_where_the_first_has_ended(site: Site) -> None:
    site.cluster.add(TOPIC, [message(number) for number in range(5)])
    site.run(site.importer())
    site.cluster.add(TOPIC, [message(number) for number in range(5, 8)])
    assert site.run(site.importer()) == 0
    assert site.numbers() == list(range(8))


def test_what_was_only_staged_is_read_again(site: Site) -> None:
    site.cluster.add(TOPIC, [message(number) for number in range(5)])
    assert site.run(site.importer(LATER)) == 5
    assert site.numbers() == []
    assert site.run(site.importer(LATER), everything=True) == 0
    assert site.numbers() == list(range(5))


def test_a_run_that_is_interrupted_loses_and_doubles_nothing(site: Site) -> None:
    site.cluster.add(TOPIC, [message(number) for number in range(12)])
    importer = site.importer()
    told: list[tuple[int, int]] = []

    def keep_going(done: int, total: int) -> bool:
        told.append((done, total))
        return done < 6

    assert site.run(importer, keep_going=keep_going) == 6
    assert told == [(0, 12), (3, 12), (6, 12)]
    assert site.numbers() == list(range(6))
    assert site.run(importer) == 0
    assert site.numbers() == list(range(12))


@pytest.mark.parametrize("question", ["partitions", "topic_ids", "ranges", "messages"])
def test_kafka_may_be_away_at_any_question(site: Site, question: str) -> None:
    site.cluster.add(TOPIC, [message(number) for number in range(7)])
    importer = site.importer()
    site.cluster.broker.away = {question}
    with pytest.raises(RetryableError, match="the broker is away"):
        site.run(importer)
    importer.invalidate()
    site.cluster.broker.away = set()
    assert site.run(importer) == 0
    assert site.numbers() == list(range(7))


def test_an_hour_that_is_over_is_marked_when_nothing_of_it_is_behind(site: Site) -> None:
    site.cluster.add(TOPIC, [message(0, 7200), message(1)])
    empty = site.cluster.add(TOPIC, [], partition=1)
    site.cluster.broker.set_leader(empty, has_leader=False)
    importer = site.importer()
    assert site.run(importer) == 1
    assert site.numbers() == [0, 1]
    assert not [path for path in site.paths() if path.endswith("_SUCCESS")]
    site.cluster.broker.set_leader(empty, has_leader=True)
    assert site.run(importer) == 0
    assert [path for path in site.paths() if path.endswith("_SUCCESS")] == ["Test/2016/11/24/13/_SUCCESS"]
    site.cluster.add(TOPIC, [message(2, 7200)])
    assert site.run(importer, now_ms=NOW_MS + HOUR_MS) == 0
    assert site.numbers() == [0, 1, 2]
    assert site.metrics.summary()["import_after_success"] == 1


def test_what_was_deleted_before_it_was_imported_is_counted(site: Site) -> None:
    where = site.cluster.add(TOPIC, [message(number) for number in range(10)])
    site.cluster.broker.expire(where, 2)
    importer = site.importer()
    assert site.run(importer) == 0
    # A topic that is imported for the first time has no gap.
    assert "kafka_gap_messages" not in site.metrics.summary()
    site.cluster.add(TOPIC, [message(number) for number in range(10, 20)])
    site.cluster.broker.expire(where, 13)
    with capture_logs() as logs:
        assert site.run(importer) == 0
    assert site.numbers() == [*range(2, 10), *range(13, 20)]
    assert site.metrics.summary()["kafka_gap_messages"] == 3
    (said,) = [entry for entry in logs if entry["log_level"] == "error"]
    assert (said["wanted"], said["earliest"]) == (10, 13)


def test_a_topic_that_was_made_again_is_imported_from_its_first_message(site: Site) -> None:
    site.cluster.add(TOPIC, [message(number) for number in range(4)])
    importer = site.importer()
    assert site.run(importer) == 0
    site.cluster.broker.delete(TOPIC)
    site.cluster.add(TOPIC, [message(number) for number in range(4, 7)])
    assert site.run(importer) == 0
    assert site.numbers() == list(range(7))
    assert site.metrics.summary()["import_recreated"] == 1


@pytest.mark.parametrize("size", [1 << 30, 1], ids=["at-the-end", "while-it-reads"])
def test_two_importers_of_one_folder_double_nothing(site: Site, size: int) -> None:
    site.cluster.add(TOPIC, [message(number) for number in range(4)])
    first, second = site.importer(), site.importer(AT_ONCE._replace(size=size))
    assert site.run(first) == 0
    assert site.run(second) == 0
    site.cluster.add(TOPIC, [message(number) for number in range(4, 18)])
    assert site.run(first) == 0
    with capture_logs() as logs:
        site.run(second)
    assert "another importer writes to the same folder" in [entry["event"] for entry in logs]
    assert site.run(second) == 0
    assert site.numbers() == list(range(18))
    assert site.metrics.summary()["import_conflicts"] == 1


def test_a_partition_that_nobody_leads_holds_up_no_other(site: Site) -> None:
    site.cluster.broker.set_leader(site.cluster.add(TOPIC, [message(0)]), has_leader=False)
    site.cluster.add(TOPIC, [message(1)], partition=1)
    assert site.run(site.importer()) == 1
    assert site.numbers() == [1]


def test_a_topic_whose_manifest_is_damaged_holds_up_no_other(site: Site) -> None:
    site.cluster.add(TOPIC, [message(0)])
    site.cluster.add("eventlogging_Other", [message(1, 7200)])
    files, root = fsspec.url_to_fs(site.base)
    files.makedirs(f"{root}/_importer/{TOPIC}", exist_ok=True)
    files.pipe_file(f"{root}/_importer/{TOPIC}/0.0-3.json", b"")
    importer = site.importer()
    assert site.run(importer) == 1
    assert site.numbers() == [1]
    assert [path for path in site.paths() if path.endswith("_SUCCESS")] == ["Other/2016/11/24/13/_SUCCESS"]
    assert "is empty" in site.metrics.aside[f"topic {TOPIC}"]


def test_a_large_staging_file_is_closed_at_once(site: Site) -> None:
    site.cluster.add(TOPIC, [message(number) for number in range(9)])
    importer = site.importer(RollPolicy(size=1, age_s=3600.0, grace_ms=600_000))
    assert site.run(importer) == 0
    assert site.numbers() == list(range(9))
    assert len([path for path in site.paths() if path.startswith("Test/")]) == 3


def test_an_importer_that_is_closed_leaves_no_staging_files(site: Site, tmp_path: Path) -> None:
    site.cluster.add(TOPIC, [message(0)])
    importer = site.importer(LATER)
    assert site.run(importer) == 1
    folder = tmp_path / "staging" / "1"
    assert [path.name for path in folder.iterdir() if path.name.isdigit()]
    importer.close()
    assert not [path.name for path in folder.iterdir() if path.name.isdigit()]


def test_topics_of_another_pattern_are_left_alone(site: Site) -> None:
    site.cluster.add("other", [message(0)])
    site.cluster.add(TOPIC, [message(1)])
    assert site.run(site.importer()) == 0
    assert site.numbers() == [1]
    assert TopicPartition("other", 0) in site.cluster.reader().partitions()


def test_the_clock_is_asked_where_nobody_says_what_time_it_is(site: Site) -> None:
    now = int(time.time())
    site.cluster.add(TOPIC, [json.dumps({"number": 7, "timestamp": now}).encode()])
    assert site.run(site.importer(), now_ms=0) == 0
    assert [path.split("/eventlogging")[0] for path in site.paths() if path.startswith("Test/")] == [
        time.strftime("Test/%Y/%m/%d/%H", time.gmtime(now))
    ]
