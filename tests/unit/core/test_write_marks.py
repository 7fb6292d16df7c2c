# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Marks of what is about to be written: they outlive their process, and what is no mark is as good as none."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from elworkers.core.contracts import Assignment, Destination
from elworkers.core.repeat_log import RepeatLog
from elworkers.core.write_marks import WriteMark, WriteMarks

HERE = Assignment("topic", 3, "k:1", 0, "a" * 32)


def marks(folder: Path, group: str = "group") -> WriteMarks:
    return WriteMarks(folder / "marks", lambda _: group)


def test_a_mark_is_found_by_the_next_process_and_known_as_ones_own(tmp_path: Path) -> None:
    mine, next_one = marks(tmp_path), marks(tmp_path)
    assert next_one.get(HERE) is None
    mine.set(HERE, 5, 9)
    assert mine.get(HERE) == WriteMark(5, 9, own=True)
    assert next_one.get(HERE) == WriteMark(5, 9, own=False)
    mine.clear(HERE)
    assert next_one.get(HERE) is None


def test_a_mark_is_taken_back_by_nobody_else(tmp_path: Path) -> None:
    late, next_one = marks(tmp_path), marks(tmp_path)
    late.set(HERE, 5, 9)
    next_one.set(HERE, 5, 12)
    late.clear(HERE)
    assert late.get(HERE) == WriteMark(5, 12, own=False)


@pytest.mark.parametrize(
    "other",
    [
        HERE._replace(partition=2),
        HERE._replace(topic="other"),
        # Made again: what was written of the topic before says nothing of this one.
        HERE._replace(topic_id="b" * 32),
        HERE._replace(topic_id="", cluster="k:2"),
    ],
)
def test_marks_of_other_partitions_topics_and_groups_are_not_this_ones(tmp_path: Path, other: Assignment) -> None:
    marks(tmp_path).set(HERE, 5, 9)
    assert marks(tmp_path).get(other) is None
    assert marks(tmp_path, "another").get(HERE) is None
    assert marks(tmp_path).get(HERE._replace(cluster="k:1.example")) == WriteMark(5, 9, own=False)


@given(content=st.binary(max_size=400), spoil=st.booleans(), at=st.integers(0, 35))
def test_a_file_that_holds_anything_else_is_as_good_as_none(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, spoil: bool, at: int
) -> None:
    folder = tmp_path_factory.mktemp("marks")
    marks(folder).set(HERE, 5, 9)
    (path,) = (folder / "marks").iterdir()
    if spoil:
        changed = bytearray(path.read_bytes())
        changed[3 * 64 + at] ^= 1 + at
        content = bytes(changed)
    path.write_bytes(content)
    found = marks(folder)
    assert found.get(HERE) is None
    found.set(HERE, 6, 7)
    assert marks(folder).get(HERE) == WriteMark(6, 7, own=False)


def test_where_nothing_can_be_noted_that_is_said_once(tmp_path: Path) -> None:
    (tmp_path / "marks").write_text("a file", encoding="ascii")
    mine = marks(tmp_path)
    with capture_logs() as logs:
        for _ in range(3):
            mine.set(HERE, 5, 9)
            mine.clear(HERE)
    assert [entry["reason"] for entry in logs] == ["File exists"]
    assert mine.get(HERE) is None


def test_what_is_no_plain_file_holds_nobody_up(tmp_path: Path) -> None:
    marks(tmp_path).set(HERE, 5, 9)
    (path,) = (tmp_path / "marks").iterdir()
    path.unlink()
    os.mkfifo(path)
    marks(tmp_path).set(HERE, 5, 9)
    assert marks(tmp_path).get(HERE) is None


def test_a_reader_of_repeats_gets_each_once_and_only_those_since_it_began(tmp_path: Path) -> None:
    path, valid, errors = tmp_path / "repeated", Destination("k:1/a"), Destination("k:1/errors", "Foo")
    writers = [RepeatLog(path), RepeatLog(path)]
    writers[0].append(Counter({valid: 1}))
    reader = RepeatLog(path)
    assert reader.new() == {}
    writers[0].append(Counter({valid: 2, errors: 3}))
    writers[1].append(Counter({valid: 4, Destination(): 5}))
    with path.open("ab") as file:
        file.write(b'no JSON\n{"a": 1}\n[1]\n["k:1/a", "", "x"]\n["k:1/a", "", 10')
    assert reader.new() == {valid: 6, errors: 3}
    with path.open("ab") as file:
        file.write(b"0]\n")
    assert (reader.new(), reader.new()) == ({valid: 100}, {})
    path.write_bytes(b"")
    assert reader.new() == {}
    writers[0].append(Counter({valid: 1}))
    assert reader.new() == {valid: 1}


def test_what_is_told_to_reporters_does_not_grow_without_end(tmp_path: Path) -> None:
    path = tmp_path / "repeated"
    writer, long = RepeatLog(path), Counter({Destination("k:1/" + "x" * 240): 1})
    path.write_bytes(b"\n" * (1024 * 1024 + 1))
    writer.append(long)
    assert path.stat().st_size < 400
