# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""What stands still, and that since when it does outlives the process."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from elworkers.connectors.registry import check_storage
from elworkers.core.contracts import TopicPartition
from elworkers.core.metrics import Counters
from elworkers.importer.notes import Notes
from elworkers.importer.quarantine import Quarantine
from elworkers.importer.store import Store

BEGAN = 1_480_000_000


class Process:
    """One run of an importer, as far as it sets anything aside."""

    def __init__(self, base: Path, ours: str = "") -> None:
        self.metrics = Counters()
        self.quarantine = Quarantine(self.metrics, Notes(Store(check_storage(f"file://{base}"))))
        self.quarantine.restore(lambda topic: topic.startswith(ours))


def notes(base: Path) -> list[str]:
    folder = base / "_importer" / "~standing"
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


@pytest.fixture
def began(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A base folder where a topic and a partition have stood still since `BEGAN`."""
    with monkeypatch.context() as patched:
        patched.setattr(time, "time", lambda: float(BEGAN))
        process = Process(tmp_path)
        process.quarantine.add("a", "quota=1 file count=2")
        process.quarantine.report_unreadable({TopicPartition("b", 3): "compressed by zstd"}, set())
    return tmp_path


def test_the_next_process_knows_since_when(began: Path) -> None:
    process = Process(began)
    assert process.metrics.aside == {"topic a": "quota=1 file count=2", "topic b[3]": "compressed by zstd"}
    assert set(process.metrics.aside_since.values()) == {BEGAN}
    assert process.quarantine.has("a")
    assert process.quarantine.may_retry("a")
    process.quarantine.try_again("a")
    process.quarantine.add("a", "no such user")
    process.quarantine.report_unreadable({TopicPartition("b", 3): "compressed by zstd"}, {TopicPartition("b", 3)})
    after = Process(began)
    assert after.metrics.aside == {"topic a": "no such user", "topic b[3]": "compressed by zstd"}
    assert set(after.metrics.aside_since.values()) == {BEGAN}


def test_the_note_goes_when_the_topic_goes_on(began: Path) -> None:
    assert notes(began) == ["a.json", "b~3.json"]
    process = Process(began)
    process.quarantine.try_again("a")
    process.quarantine.resume_tried({"a"})
    process.quarantine.report_unreadable({}, set())
    # Nobody knows yet whether they do.
    assert notes(began) == ["a.json", "b~3.json"]
    assert len(process.metrics.aside) == 2
    process.quarantine.report_unreadable({}, {TopicPartition("b", 3)})
    process.quarantine.resume_tried(set())
    assert notes(began) == []
    assert process.metrics.aside == process.metrics.aside_since == {}
    process.quarantine.add("a", "again")
    assert process.metrics.aside_since["topic a"] > BEGAN


def test_a_topic_that_was_not_tried_stands_on(began: Path) -> None:
    process = Process(began)
    process.quarantine.resume_tried(set())
    assert "topic a" in process.metrics.aside


def test_another_workers_topics_are_left_to_it(began: Path) -> None:
    process = Process(began, ours="b")
    assert list(process.metrics.aside) == ["topic b[3]"]
    assert not process.quarantine.has("a")


def test_no_note_has_a_password(tmp_path: Path) -> None:
    Process(tmp_path).quarantine.add("a", "s3://user:s3cret@bucket/base: no")
    assert "s3cret" not in (tmp_path / "_importer" / "~standing" / "a.json").read_text()


def test_the_note_is_for_programs_too(began: Path) -> None:
    told = json.loads((began / "_importer" / "~standing" / "b~3.json").read_text())
    assert told == {"topic": "b", "partition": 3, "since": "2016-11-24T15:06:40Z", "reason": "compressed by zstd"}


@pytest.mark.parametrize("content", ["", "[]", "{", '{"reason": "x"}', '{"reason": "x", "since": "yesterday"}'])
def test_a_damaged_note_is_none(began: Path, content: str) -> None:
    (began / "_importer" / "~standing" / "a.json").write_text(content)
    (began / "_importer" / "~standing" / "x~y.json").write_text(content)
    assert list(Process(began).metrics.aside) == ["topic b[3]"]


def test_a_store_that_takes_no_note_holds_up_nothing(tmp_path: Path) -> None:
    (tmp_path / "_importer").mkdir()
    (tmp_path / "_importer" / "~standing").write_text("")
    process = Process(tmp_path)
    process.quarantine.add("a", "why")
    assert process.metrics.aside == {"topic a": "why"}
    (tmp_path / "_importer" / "~standing").unlink()
    process.quarantine.add("a", "why")
    assert notes(tmp_path) == ["a.json"]


def test_a_stores_reason_is_the_same_whatever_it_counts(tmp_path: Path) -> None:
    process = Process(tmp_path)
    with capture_logs() as said:
        for count in range(5):
            process.quarantine.add("a", f"quota=1 file count={count}")
            process.quarantine.report_unreadable({TopicPartition("b", 3): f"error {count // 3}"}, set())
        process.quarantine.add("a", "something else")
    assert [one["reason"] for one in said] == ["quota=1 file count=0", "error 0", "error 1", "something else"]
