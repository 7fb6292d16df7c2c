# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""The ends of logs, and what is added to them, to whoever reads standard output."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from waiting import wait_for

from elworkers.control import tail
from elworkers.control.control_errors import SupervisorError
from elworkers.control.tail import print_logs

DEADLINE_S = 20.0


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "log"
    path.write_bytes(b"".join(b"%d\n" % number for number in range(1000)))
    return path


@pytest.fixture(params=[1, 7, 64 * 1024])
def _chunks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail, "_CHUNK_BYTES", request.param)


@pytest.mark.usefixtures("_chunks")
@pytest.mark.parametrize(
    ("content", "lines", "end"),
    [
        (b"a\nb\nc\n", 2, b"b\nc\n"),
        (b"a\nb\nc", 2, b"b\nc"),
        (b"a\n\n\n", 2, b"\n\n"),
        (b"a\nb\n", 5, b"a\nb\n"),
        (b"a\nb\n", 0, b""),
        (b"", 3, b""),
        (b"one long line without an end", 1, b"one long line without an end"),
    ],
)
def test_the_last_lines_are_printed(
    log: Path, capfdbinary: pytest.CaptureFixture[bytes], content: bytes, lines: int, end: bytes
) -> None:
    log.write_bytes(content)
    print_logs([log], lines, follow=False)
    assert capfdbinary.readouterr().out == end


def test_where_no_log_is_that_is_an_error_and_otherwise_each_is_named(
    log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = log.with_name("missing")
    with pytest.raises(SupervisorError, match="no log found"):
        print_logs([missing], 1, follow=False)
    print_logs([log, missing], 1, follow=False)
    shown = capsys.readouterr()
    assert shown.out == f"==> {log} <==\n999\n"
    assert shown.err == f"eventloggingctl: {missing}: there is no such log\n"


def test_a_pipe_in_the_place_of_a_log_is_not_waited_for(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(log.with_name("pipe"))
    print_logs([log.with_name("pipe"), log], 1, follow=False)
    assert capsys.readouterr().out == f"==> {log} <==\n999\n"


class Reader:
    """Reads through a pipe what a process of its own prints that follows logs."""

    def __init__(self, *logs: Path) -> None:
        self._read, write = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            try:
                os.close(self._read)
                sys.stdout = open(write, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - a descriptor, to the end
                print_logs(logs, 1, follow=True)
                sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - for what is still to say
            finally:
                os._exit(0)
        os.close(write)
        os.set_blocking(self._read, False)
        self._found = b""

    def until(self, text: bytes) -> None:
        """Return when all that has come ends with a text."""

        def came() -> bool:
            with contextlib.suppress(BlockingIOError):
                self._found += os.read(self._read, 1 << 20)
            return self._found.endswith(text)

        wait_for(came, DEADLINE_S, repr(text))

    def close(self) -> None:
        """Read no more, after which it ends of itself."""
        os.close(self._read)
        ended = lambda: os.waitpid(self._pid, os.WNOHANG)[0]  # noqa: E731
        wait_for(ended, DEADLINE_S, "its end")


@pytest.fixture
def reader(log: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reader]:
    monkeypatch.setattr(tail, "_POLL_INTERVAL_MS", 10)
    made = Reader(log, log.with_name("later"))
    yield made
    made.close()


def append(path: Path, text: bytes) -> None:
    with path.open("ab") as file:
        file.write(text)


def test_what_is_added_is_printed_also_in_a_log_that_comes_later_or_anew(reader: Reader, log: Path) -> None:
    reader.until(b"<==\n999\n")
    append(log, b"more\n")
    reader.until(b"999\nmore\n")
    append(log.with_name("later"), b"first\n")
    reader.until(f"\n==> {log.with_name('later')} <==\nfirst\n".encode())
    log.rename(f"{log}.1")
    append(Path(f"{log}.1"), b"last of the old\n")
    append(log, b"first of the new\n")
    reader.until(f"\n==> {log} <==\nlast of the old\nfirst of the new\n".encode())
    log.write_bytes(b"cut\n")
    reader.until(b"first of the new\ncut\n")
