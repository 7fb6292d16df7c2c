# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Prints the ends of log files, and on request the lines that are added."""

from __future__ import annotations

import contextlib
import os
import select
import stat
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from elworkers.control.command_line import PROGRAM
from elworkers.control.control_errors import SupervisorError
from elworkers.core import console
from elworkers.core.terminal import Bytes, printable

_CHUNK_BYTES = 64 * 1024
_POLL_INTERVAL_MS = 200


def print_logs(logs: Sequence[Path], lines: int, follow: bool) -> None:
    """Print the ends of logs; says on stderr which are not there.

    Raises:
        SupervisorError: none is, and `follow` is False.
    """
    missing = [path for path in logs if not path.is_file()]
    if len(missing) == len(logs) and not follow:
        raise SupervisorError(
            "no log found; were these instances ever started? (`reopen-logs` creates a log again that was removed)"
        )
    for path in missing:
        print(f"{PROGRAM}: {printable(str(path))}: there is no such log", file=sys.stderr)
    tail = Tail(logs)
    tail.print_ends(lines)
    if follow:
        tail.follow()


class Tail:
    """Prints the same bytes as the logs hold; on a terminal, without what it would obey.

    Args:
        paths: of the logs; those that are not there yet are read from when they are.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._logs = [_Log(path) for path in paths]
        self._last: _Log | None = None
        self._terminal = sys.stdout.isatty()

    def print_ends(self, lines: int) -> None:
        """Print the last lines of each log."""
        for log in self._logs:
            if log.open():
                self._head(log)
                log.seek_last_lines(lines)
                self._copy(log)

    def follow(self) -> None:
        """Print what is added, until standard output is closed; one that was replaced or cut is read from its start."""
        reader = select.poll()
        with contextlib.suppress(OSError, ValueError):
            reader.register(sys.stdout.fileno(), 0)
        while not console.lost():
            for log in self._logs:
                self._copy(log)
                if log.replaced() and log.open():
                    self._copy(log)
            if any(event & (select.POLLERR | select.POLLNVAL) for _, event in reader.poll(_POLL_INTERVAL_MS)):
                return

    def _copy(self, log: _Log) -> None:
        for chunk in log.chunks():
            if log is not self._last:
                self._head(log)
            sys.stdout.write(log.text.text(chunk)) if self._terminal else sys.stdout.buffer.write(chunk)
        sys.stdout.flush()

    def _head(self, log: _Log) -> None:
        if len(self._logs) > 1:
            before = "\n" if self._last else ""
            print(f"{before}==> {log.path} <==", flush=True)
        self._last = log


class _Log:
    """One log file, and where in it we are."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.text = Bytes()
        self._fd = -1

    def open(self) -> bool:
        """Open it from its beginning, where there is a regular file."""
        try:
            # One without a writer would keep us waiting for it, were it a pipe.
            fd = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return False
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            return False
        if self._fd >= 0:
            os.close(self._fd)
        self._fd, self.text = fd, Bytes()
        return True

    def seek_last_lines(self, lines: int) -> None:
        """Go to where the last lines begin; it is open."""
        end = position = os.fstat(self._fd).st_size
        while lines and position > 0:
            begin = max(0, position - _CHUNK_BYTES)
            chunk = os.pread(self._fd, position - begin, begin)
            # The end of the last line is none before another.
            at = len(chunk) - 1 if position == end and chunk.endswith(b"\n") else len(chunk)
            while (at := chunk.rfind(b"\n", 0, at)) >= 0:
                lines -= 1
                if not lines:
                    os.lseek(self._fd, begin + at + 1, os.SEEK_SET)
                    return
            position = begin
        os.lseek(self._fd, position, os.SEEK_SET)

    def replaced(self) -> bool:
        """Return whether another file has its name now, or it was cut; one that only went is read to its end."""
        try:
            found = self.path.stat()
        except OSError:
            return False
        if self._fd < 0:
            return True
        here = os.fstat(self._fd)
        return not os.path.samestat(found, here) or here.st_size < os.lseek(self._fd, 0, os.SEEK_CUR)

    def chunks(self) -> Iterator[bytes]:
        """Yield its content up to the present end; what is added meanwhile may come as fast as it is read."""
        if self._fd < 0:
            return
        left = os.fstat(self._fd).st_size - os.lseek(self._fd, 0, os.SEEK_CUR)
        while left > 0 and (chunk := os.read(self._fd, min(left, _CHUNK_BYTES))):
            left -= len(chunk)
            yield chunk
