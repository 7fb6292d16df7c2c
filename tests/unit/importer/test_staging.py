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


def content(draft: StagingFile) -> bytes:
    return b"".join(draft.chunks())


def test_any_number_of_drafts_holds_few_files_open(tmp_path: Path) -> None:
    drafts = StagingFiles(tmp_path / "drafts", most_open=4)
    before = psutil.Process().num_fds()
    made = [drafts.begin(HERE, HourPartition(hour), hour) for hour in range(50)]
    for number in range(3):
        for draft in made:
            drafts.append(draft, b"%d\n" % number, 1, draft.first + number)
    assert psutil.Process().num_fds() <= before + 4
    assert {content(draft) for draft in made} == {b"0\n1\n2\n"}
    assert [(draft.records, draft.size, draft.last - draft.first) for draft in made] == [(3, 6, 2)] * 50
    drafts.close()
    assert names(tmp_path / "drafts") == ["lock"]


def test_what_an_ended_process_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / "17").write_bytes(b"old\n")
    drafts = StagingFiles(tmp_path)
    draft = drafts.begin(HERE, HourPartition(1), 0)
    drafts.append(draft, b"new\n", 1, 0)
    assert content(draft) == b"new\n"
    assert names(tmp_path) == ["1", "lock"]
    drafts.drop(draft)
    assert names(tmp_path) == ["lock"]


def test_a_folder_has_room_for_one(tmp_path: Path) -> None:
    first = StagingFiles(tmp_path)
    with pytest.raises(
        RetryableError, match="another importer has its staging files here; give one of them another --draft-dir"
    ):
        StagingFiles(tmp_path)
    first.close()
    StagingFiles(tmp_path).close()


def test_a_full_disk_leaves_a_draft_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drafts = StagingFiles(tmp_path)
    draft = drafts.begin(HERE, HourPartition(1), 5)
    drafts.append(draft, b"first\n", 1, 5)
    # The one disk of this machine that is always full.
    full = os.open("/dev/full", os.O_WRONLY)
    file = drafts._open[draft.path]
    kept = os.dup(file.fileno())
    os.dup2(full, file.fileno())
    with pytest.raises(RetryableError, match="No space left on device"):
        drafts.append(draft, b"second\n", 1, 6)
    assert (content(draft), draft.records, draft.size, draft.last) == (b"first\n", 1, 6, 5)
    os.dup2(kept, file.fileno())
    drafts.append(draft, b"second\n", 1, 6)
    assert content(draft) == b"first\nsecond\n"
    os.close(kept)
    os.close(full)
