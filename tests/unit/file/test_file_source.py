# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Files and standard input to records, beyond what the contract suite asks."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from waiting import wait_for

from elworkers.connectors.file.source import LinesSource
from elworkers.core.errors import ConfigurationError, RetryableError
from elworkers.core.metrics import Counters

LONGEST = 1000


def opened(path: Path, *, follow: bool = False, metrics: Counters | None = None) -> LinesSource:
    """A source of a file with short lines."""
    return LinesSource(path, follow=follow, max_line_bytes=LONGEST, metrics=metrics or Counters())


def rest(source: LinesSource) -> list[bytes]:
    """All lines until the source is exhausted."""
    found: list[bytes] = []

    def at_end() -> bool:
        found.extend(record.value for record in source.poll(3, 0.5))
        return source.exhausted

    wait_for(at_end, 30, "the end of the input")
    return found


def count(source: LinesSource, number: int) -> list[bytes]:
    """So many lines of a source that never ends."""
    found: list[bytes] = []

    def enough() -> bool:
        found.extend(record.value for record in source.poll(1000, 0.5))
        return len(found) >= number

    wait_for(enough, 30, f"{number} lines")
    return found


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (b"", []),
        (b"\n", []),
        (b"one\ntwo\n", [b"one", b"two"]),
        (b"one\ntwo", [b"one", b"two"]),
        (b"one\r\ntwo\r\n", [b"one", b"two"]),
        (b"one\r\ntwo\r", [b"one", b"two"]),
        (b"\n\none\n \t \n\r\n\ntwo\n\n", [b"one", b"two"]),
        (b"\x00\xff\n\x00", [b"\x00\xff", b"\x00"]),
    ],
)
def test_a_file_is_read_to_its_end(tmp_path: Path, content: bytes, lines: list[bytes]) -> None:
    (tmp_path / "in").write_bytes(content)
    source = opened(tmp_path / "in")
    assert rest(source) == lines
    assert source.exhausted
    assert source.poll(10, 5.0) == []
    source.close()


def test_a_source_is_not_exhausted_before_its_last_line_was_taken(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"one\ntwo\nthree")
    source = opened(tmp_path / "in")
    assert [record.value for record in source.poll(2, 1.0)] == [b"one", b"two"]
    assert not source.exhausted
    assert rest(source) == [b"three"]
    source.close()


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_a_line_is_cut_at_the_longest_length_and_the_next_is_whole(tmp_path: Path, end: bytes) -> None:
    fits, longer, huge = b"a" * LONGEST, b"b" * (LONGEST + 1), b"c" * 3_000_000
    (tmp_path / "in").write_bytes(end.join([fits, longer, huge, b"next", huge]))
    metrics = Counters()
    source = opened(tmp_path / "in", metrics=metrics)
    assert rest(source) == [fits, longer[:LONGEST], huge[:LONGEST], b"next", huge[:LONGEST]]
    assert metrics.summary() == {"lines_cut": 3}
    source.close()


def test_an_endless_line_holds_up_no_poll(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "in")
    source = opened(tmp_path / "in")
    stop = threading.Event()

    def pour() -> None:
        with (tmp_path / "in").open("wb") as pipe:
            while not stop.is_set():
                pipe.write(b"x" * 65_536)
            pipe.write(b"\nnext\n")

    writer = threading.Thread(target=pour)
    writer.start()
    # The line has no end before this has returned.
    assert source.poll(10, 0.3) == []
    stop.set()
    assert count(source, 2) == [b"x" * LONGEST, b"next"]
    writer.join(30)
    assert not writer.is_alive()
    source.close()


def test_a_named_pipe_waits_for_its_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "in")
    source = opened(tmp_path / "in")
    assert source.poll(10, 0.1) == []
    assert not source.exhausted
    with (tmp_path / "in").open("wb") as pipe:
        pipe.write(b"one\ntwo")
    assert rest(source) == [b"one", b"two"]
    source.close()


def test_a_followed_file_goes_on_after_it_was_rotated(tmp_path: Path) -> None:
    path = tmp_path / "in"
    path.write_bytes(b"one\n")
    source = opened(path, follow=True)
    assert count(source, 1) == [b"one"]
    assert source.poll(10, 0.0) == []
    path.rename(tmp_path / "in.1")
    assert source.poll(10, 0.2) == []
    with (tmp_path / "in.1").open("ab") as old:
        old.write(b"two, late\nthree, without an end")
    path.write_bytes(b"four, in the new file\n")
    assert count(source, 3) == [b"two, late", b"three, without an end", b"four, in the new file"]
    assert not source.exhausted
    source.close()


def test_a_followed_file_goes_on_after_it_was_truncated(tmp_path: Path) -> None:
    path = tmp_path / "in"
    path.write_bytes(b"one\ntwo\nhalf of")
    source = opened(path, follow=True)
    assert count(source, 2) == [b"one", b"two"]
    assert source.poll(10, 0.2) == []
    path.write_bytes(b"new\n")
    assert count(source, 2) == [b"half of", b"new"]
    source.close()


def test_a_line_that_grows_while_it_is_followed_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "in"
    path.touch()
    source = opened(path, follow=True)
    for part in (b"a li", b"ne in ", b"parts"):
        with path.open("ab") as file:
            file.write(part)
        assert source.poll(10, 0.1) == []
    with path.open("ab") as file:
        file.write(b"\nnext\n")
    assert count(source, 2) == [b"a line in parts", b"next"]
    source.close()


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(RetryableError, match=f"{tmp_path}/absent: cannot be read: No such file"):
        opened(tmp_path / "absent")


def test_a_folder_is_no_input(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="is a folder; expected a file"):
        opened(tmp_path)


STDIN = """
import sys
from elworkers.core.metrics import Counters
from elworkers.connectors.file.source import LinesSource
source = LinesSource(None, follow=False, max_line_bytes=100, metrics=Counters())
while not source.exhausted:
    for record in source.poll(10, 30.0):
        print(record.value.decode(), flush=True)
source.close()
print("end")
"""


def test_standard_input_gives_each_line_when_it_comes() -> None:
    command = [sys.executable, "-c", STDIN]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        for line in (b"one\n", b"two\n"):
            child.stdin.write(line)
            child.stdin.flush()
            assert child.stdout.readline() == line
        child.stdin.write(b"three, without an end")
        child.stdin.close()
        assert child.stdout.read() == b"three, without an end\nend\n"
    assert child.returncode == 0


MANY = """
from elworkers.core.metrics import Counters
from elworkers.connectors.file.source import LinesSource
source = LinesSource(None, follow=False, max_line_bytes=100, metrics=Counters())
print(len(source.poll(10_000, 30.0)))
"""


def test_standard_input_is_read_by_large_pieces_as_a_plain_file_is(tmp_path: Path) -> None:
    lines = tmp_path / "lines"
    lines.write_bytes(b"a line\n" * 20_000)
    with lines.open("rb") as stdin:
        done = subprocess.run([sys.executable, "-c", MANY], stdin=stdin, capture_output=True, text=True, check=True)
    assert int(done.stdout) == 10_000
    plain = opened(lines)
    # How it is packed, if it is, is told by its beginning.
    plain.poll(10_000, 30.0)
    assert len(plain.poll(10_000, 30.0)) == 10_000
    plain.close()
