# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Lines → local files, few of them open."""

from __future__ import annotations

import os
from pathlib import Path

import psutil
import pytest

from elworkers.core.contracts import TopicPartition
from elworkers.core.errors import RetryableError
from elworkers.importer.hours import HourPartition
from elworkers.importer.staging import StagingFile, StagingFiles

HERE = TopicPartition("eventlogging_Test", 0)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def content(staging_file: StagingFile) -> bytes:
    return b"".join(staging_file.chunks())


def test_any_number_of_staging_files_holds_few_files_open(tmp_path: Path) -> None:
    staging = StagingFiles(tmp_path / "staging", most_open=4)
    before = psutil.Process().num_fds()
    made = [staging.begin(HERE, HourPartition(hour), hour) for hour in range(50)]
    for number in range(3):
        for staging_file in made:
            staging.append(staging_file, b"%d\n" % number, 1, staging_file.first + number)
    assert psutil.Process().num_fds() <= before + 4
    assert {content(staging_file) for staging_file in made} == {b"0\n1\n2\n"}
    assert [
        (staging_file.records, staging_file.size, staging_file.last - staging_file.first) for staging_file in made
    ] == [(3, 6, 2)] * 50
    staging.close()
    assert names(tmp_path / "staging") == ["lock"]


def test_what_an_ended_process_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / "17").write_bytes(b"old\n")
    staging = StagingFiles(tmp_path)
    staging_file = staging.begin(HERE, HourPartition(1), 0)
    staging.append(staging_file, b"new\n", 1, 0)
    assert content(staging_file) == b"new\n"
    assert names(tmp_path) == ["1", "lock"]
    staging.drop(staging_file)
    assert names(tmp_path) == ["lock"]


def test_a_folder_has_room_for_one(tmp_path: Path) -> None:
    first = StagingFiles(tmp_path)
    with pytest.raises(
        RetryableError, match="another importer has its staging files here; give one of them another --staging-dir"
    ):
        StagingFiles(tmp_path)
    first.close()
    StagingFiles(tmp_path).close()


def test_a_full_disk_leaves_a_draft_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    staging = StagingFiles(tmp_path)
    staging_file = staging.begin(HERE, HourPartition(1), 5)
    staging.append(staging_file, b"first\n", 1, 5)
    # The one disk of this machine that is always full.
    full = os.open("/dev/full", os.O_WRONLY)
    file = staging._open[staging_file.path]
    stored = os.dup(file.fileno())
    os.dup2(full, file.fileno())
    with pytest.raises(RetryableError, match="No space left on device"):
        staging.append(staging_file, b"second\n", 1, 6)
    assert (content(staging_file), staging_file.records, staging_file.size, staging_file.last) == (b"first\n", 1, 6, 5)
    os.dup2(stored, file.fileno())
    staging.append(staging_file, b"second\n", 1, 6)
    assert content(staging_file) == b"first\nsecond\n"
    os.close(stored)
    os.close(full)
