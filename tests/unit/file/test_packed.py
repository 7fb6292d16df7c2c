# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Packed files to lines: whole, joined, cut off, damaged, and from the middle on."""

from __future__ import annotations

import bz2
import gzip
import os
import random
import re
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from waiting import wait_for

from elworkers.connectors.file.source import LinesSource, Placed
from elworkers.core.contracts import Assignment
from elworkers.core.errors import ConfigurationError
from elworkers.core.merged import MergedSource
from elworkers.core.metrics import Counters

Pack = Callable[[bytes], bytes]
NUMBERS = random.Random(1)
LINES = [b"line %d %d" % (number, NUMBERS.getrandbits(64)) for number in range(15_000)]
CONTENT = b"".join(line + b"\n" for line in LINES)


def bzip2(data: bytes) -> bytes:
    """In blocks of 100 kB."""
    return bz2.compress(data, 1)


def zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=True).compress(data)


def zstd_in_parts(data: bytes) -> bytes:
    """As programs that pack in parallel write it."""
    return b"\x50\x2a\x4d\x18\x04\0\0\0size" + zstd(data)


KINDS: dict[str, Pack] = {"gzip": gzip.compress, "bzip2": bzip2, "zstd": zstd}


@pytest.fixture(params=list(KINDS))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def source(path: Path, *, follow: bool = False, placed: Placed | None = None) -> LinesSource:
    return LinesSource(path, follow=follow, max_line_bytes=10_000, metrics=Counters(), placed=placed)


def rest(found: LinesSource) -> list[bytes]:
    lines: list[bytes] = []

    def at_end() -> bool:
        lines.extend(record.value for record in found.poll(10_000, 0.5))
        return found.exhausted

    wait_for(at_end, 30, "the end")
    found.close()
    return lines


@pytest.mark.parametrize("pack", [*KINDS.values(), zstd_in_parts])
def test_a_packed_file_is_read_as_what_is_in_it(tmp_path: Path, pack: Pack) -> None:
    (tmp_path / "in").write_bytes(pack(CONTENT + b"last, without an end"))
    found = source(tmp_path / "in")
    assert rest(found) == [*LINES, b"last, without an end"]
    assert (found.damage, found.bytes_read) == ("", (tmp_path / "in").stat().st_size)


def test_joined_files_are_read_as_one(tmp_path: Path, kind: str) -> None:
    pack = KINDS[kind]
    parts = [pack(CONTENT[:1000]), pack(b""), pack(CONTENT[1000:300_000]), pack(CONTENT[300_000:])]
    (tmp_path / "in").write_bytes(b"".join(parts))
    found = source(tmp_path / "in")
    assert rest(found) == LINES
    assert found.damage == ""


def test_an_empty_packed_file_has_no_line(tmp_path: Path, kind: str) -> None:
    (tmp_path / "in").write_bytes(KINDS[kind](b""))
    assert rest(source(tmp_path / "in")) == []


@pytest.mark.parametrize("content", [b"B", b"BZ\n", b"\x1f", b"(", b"P*\nx"])
def test_what_only_begins_as_a_packed_file_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "in").write_bytes(content)
    assert rest(source(tmp_path / "in")) == content.split(b"\n")[: content.strip().count(b"\n") + 1]


def test_zeros_behind_gzip_are_nothing(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(gzip.compress(CONTENT) + bytes(5_000))
    found = source(tmp_path / "in")
    assert rest(found) == LINES
    assert found.damage == ""


@pytest.mark.parametrize("share", [0.0005, 0.5, 0.99])
def test_a_file_that_breaks_off_gives_its_whole_lines(tmp_path: Path, kind: str, share: float) -> None:
    packed = KINDS[kind](CONTENT)
    size = int(len(packed) * share)
    (tmp_path / "in").write_bytes(packed[:size])
    found = source(tmp_path / "in")
    lines = rest(found)
    assert lines == LINES[: len(lines)]
    assert lines or share < 0.1
    said = f"file {tmp_path}/in: the {kind} data breaks off at the end of the file, byte {size};"
    assert found.damage == f"{said} its {len(lines)} whole lines before that are read"


def test_what_stands_before_damage_is_read(tmp_path: Path, kind: str) -> None:
    pack = KINDS[kind]
    before, after = pack(CONTENT[:30_000]), pack(CONTENT[30_000:])
    # No frame begins so.
    (tmp_path / "in").write_bytes(before + b"\xff" + after)
    found = source(tmp_path / "in")
    lines = rest(found)
    assert len(lines) == CONTENT[:30_000].count(b"\n")
    at = re.match(f"file {tmp_path}/in: the {kind} data is damaged at byte ([0-9]+): ", found.damage)
    # The header of a frame has four bytes at most that say what it is.
    assert at is not None
    assert len(before) <= int(at[1]) <= len(before) + 4
    assert f"its {len(lines)} whole lines" in found.damage


def test_a_changed_byte_is_noticed_and_nothing_behind_it_is_read(tmp_path: Path) -> None:
    packed = bytearray(zstd(CONTENT))
    packed[len(packed) // 2] ^= 0xFF
    (tmp_path / "in").write_bytes(packed)
    found = source(tmp_path / "in")
    lines = rest(found)
    # A block of zstd has 128 KiB.
    assert len(CONTENT) // 2 - 132_000 < sum(len(line) + 1 for line in lines) < len(CONTENT) // 2 + 132_000
    assert lines == LINES[: len(lines)]
    assert "the zstd data is damaged at byte " in found.damage


def test_lines_with_a_place_go_on_anywhere(tmp_path: Path, kind: str) -> None:
    (tmp_path / "in").write_bytes(KINDS[kind](CONTENT))
    begin = len(b"".join(line + b"\n" for line in LINES[:10_000]))
    found = source(tmp_path / "in", placed=Placed(Assignment("in", 0), begin, 7_000))
    first, second = found.poll(2, 5.0)
    assert (first.value, first.timestamp_ms, first.origin) == (LINES[10_000], 7_000, Assignment("in", 0))
    # What is committed is the offset behind it.
    assert first.offset + 1 == begin + len(LINES[10_000]) + 1
    assert second.offset == first.offset + len(LINES[10_001]) + 1
    assert rest(found) == LINES[10_002:]


def test_a_packed_file_comes_through_a_pipe(tmp_path: Path, kind: str) -> None:
    os.mkfifo(tmp_path / "in")
    found = source(tmp_path / "in")
    writer = threading.Thread(target=(tmp_path / "in").write_bytes, args=(KINDS[kind](CONTENT) + b"no more",))
    writer.start()
    lines = rest(found)
    writer.join(30)
    assert lines == LINES
    assert "damaged" in found.damage or "breaks off" in found.damage


def test_of_several_inputs_each_damage_is_said(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(gzip.compress(CONTENT)[:5_000])
    (tmp_path / "b").write_bytes(CONTENT)
    merged = MergedSource([source(tmp_path / "a"), source(tmp_path / "b")])
    wait_for(lambda: merged.poll(10_000, 0.1) == [] and merged.exhausted, 30, "the end of both")
    assert merged.damage.startswith(f"file {tmp_path}/a: the gzip data breaks off")
    merged.close()


def test_a_packed_file_cannot_be_followed(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(gzip.compress(b"a"))
    found = source(tmp_path / "in", follow=True)
    with pytest.raises(ConfigurationError, match="in: is gzip; expected follow=True only of plain files"):
        found.poll(1, 1.0)
    found.close()
