# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Reads the lines of standard input or of a file as records."""

from __future__ import annotations

import contextlib
import os
import select
import stat
import time
from collections import deque
from pathlib import Path
from typing import NamedTuple

import structlog

from elworkers.connectors.file.packed import Unpacking
from elworkers.core.contracts import Assignment, Metrics, Positions, Record
from elworkers.core.errors import ConfigurationError, RetryableError

_CHUNK = 256 * 1024
_CHECK_AGAIN_S = 0.1

log = structlog.get_logger(__name__)


class Placed(NamedTuple):
    """Where the lines of a file are, for those who continue there.

    Attributes:
        origin: of all of its lines; a line's offset is that of its last byte in the unpacked file.
        begin: as many unpacked bytes are passed over.
        time_ms: the time of each line, in ms since the epoch.
    """

    origin: Assignment
    begin: int
    time_ms: int


class LinesSource:
    """Lines without their line ends (LF or CRLF), blank ones passed over; implements `contracts.Source`.

    A file is read from its beginning by each new source, and unpacked where it is packed (`packed`). What stands behind
    the last line end is a line once the file ends: at its end, or when a followed file was replaced. A packed file that
    is damaged ends with the last whole line before the damage; implements `capabilities.Breakable`.

    Args:
        path: the file, or None for standard input.
        follow: go on at the end of the file, also after it was moved away or truncated (as logrotate does).
            A file that was truncated and has outgrown its old size within 0.1 s looks as if it had only grown.
        max_line_bytes: the bytes of a line that are kept; the rest of a longer one is passed over and counted.
        metrics: counts `lines_cut`.
        placed: where the lines are and which come first; None: they have no place, and the first line does.

    Raises:
        RetryableError: the file cannot be opened.
        ConfigurationError: it is a folder.
    """

    replayable = False
    durable = False
    idle = False

    def __init__(
        self,
        path: Path | None,
        *,
        follow: bool,
        max_line_bytes: int,
        metrics: Metrics,
        placed: Placed | None = None,
    ) -> None:
        self.exhausted = False
        self.damage = ""
        self._path = path
        self._name = "standard input" if path is None else f"file {path}"
        self._follow = follow
        self._longest = max_line_bytes
        self._metrics = metrics
        self._placed = placed
        self._line = bytearray()
        self._ready: deque[tuple[bytes, int]] = deque()
        self._at_end = False
        self._position = self._lines = 0
        self._unpacking = Unpacking(self._read_at, plain=path is None)
        self._fd = 0 if path is None else self._open(path)

    def _open(self, path: Path) -> int:
        try:
            # Opening a named pipe that nobody writes to would block, and signals with it.
            fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise RetryableError(f"{self._name}: cannot be read: {error.strerror}") from error
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            os.close(fd)
            raise ConfigurationError(f"{self._name}: is a folder; expected a file")
        return fd

    def poll(self, limit: int, timeout_s: float) -> list[Record]:
        """See `contracts.Source.poll`; also empty once the input has ended."""
        deadline = time.monotonic() + timeout_s
        while not (self._ready or self._at_end):
            left_s = max(0.0, deadline - time.monotonic())
            if self._readable(left_s):
                self._read(left_s)
            if not left_s:
                break
        # Of a packed file little is read at a time.
        while self._may_read_more(limit, deadline):
            self._read(0.0)
        lines = [self._ready.popleft() for _ in range(min(limit, len(self._ready)))]
        self.exhausted = self._at_end and not self._ready
        if self._placed is None:
            now_ms = int(time.time() * 1000)
            return [Record(line, timestamp_ms=now_ms) for line, _ in lines]
        origin, _, time_ms = self._placed
        return [Record(line, origin=origin, offset=end - 1, timestamp_ms=time_ms) for line, end in lines]

    def _may_read_more(self, limit: int, deadline: float) -> bool:
        if not self._unpacking.packing or self._at_end or len(self._ready) >= limit:
            return False
        return time.monotonic() < deadline and self._readable(0.0)

    @property
    def bytes_read(self) -> int:
        """How many bytes of the file were read, packed as they are there."""
        return self._unpacking.bytes_read

    def _readable(self, timeout_s: float) -> bool:
        waiting = select.poll()
        waiting.register(self._fd, select.POLLIN)
        return bool(waiting.poll(timeout_s * 1000))

    def _read(self, left_s: float) -> None:
        chunk = self._chunk()
        if chunk:
            self._feed(chunk)
        elif not self._follow or self._path is None:
            self._end()
        elif not self._replaced(self._path):
            time.sleep(min(_CHECK_AGAIN_S, left_s))

    def _chunk(self) -> bytes:
        try:
            return os.read(self._fd, self._unpacking.wants or _CHUNK)
        except OSError as error:
            raise RetryableError(f"{self._name}: cannot be read: {error.strerror}") from error

    def _read_at(self, offset: int, size: int) -> bytes:
        try:
            return os.pread(self._fd, size, offset)
        except OSError:
            return b""

    def _feed(self, chunk: bytes) -> None:
        self._split(self._unpacking.unpack(chunk))
        if self._follow and self._unpacking.packing:
            raise ConfigurationError(
                f"{self._name}: is {self._unpacking.packing}; expected follow=True only of plain files"
            )
        if self._unpacking.damage:
            self._end()

    def _end(self) -> None:
        self._split(self._unpacking.end())
        if self._unpacking.damage:
            self.damage = f"{self._name}: {self._unpacking.damage}; its {self._lines} whole lines before that are read"
            self._line.clear()
        self._end_of_line()
        self._at_end = True

    def _split(self, chunk: bytes) -> None:
        if self._placed is not None and self._position < self._placed.begin:
            done = chunk[: self._placed.begin - self._position]
            self._position += len(done)
            self._lines += done.count(b"\n")
            chunk = chunk[len(done) :]
        *ends, rest = chunk.split(b"\n")
        for end in ends:
            self._grow(end)
            self._position += len(end) + 1
            self._lines += 1
            self._end_of_line()
        self._grow(rest)
        self._position += len(rest)

    def _grow(self, data: bytes) -> None:
        # Two bytes more than are kept tell a line that is too long from one whose CRLF is still to come.
        self._line += data[: max(0, self._longest + 2 - len(self._line))]

    def _end_of_line(self) -> None:
        line = bytes(self._line).removesuffix(b"\r")
        self._line.clear()
        if len(line) > self._longest:
            self._metrics.count("lines_cut")
            log.warning("line is cut", code="file_line_truncated", place=self._name, kept_bytes=self._longest)
            line = line[: self._longest]
        if line.strip():
            self._ready.append((line, self._position))

    def _replaced(self, path: Path) -> bool:
        """Go on with what the path names now, where that is another file or a truncated one; say whether it was."""
        mine = os.fstat(self._fd)
        try:
            current = path.stat()
        except OSError:
            return False
        if (current.st_dev, current.st_ino) == (mine.st_dev, mine.st_ino):
            if current.st_size >= os.lseek(self._fd, 0, os.SEEK_CUR):
                return False
            self._end_of_line()
            os.lseek(self._fd, 0, os.SEEK_SET)
            self._unpacking = Unpacking(self._read_at)
            return True
        # Whoever writes has changed to the new file, so what the old one has now is all that it will ever have.
        while chunk := self._chunk():
            self._feed(chunk)
        self._split(self._unpacking.end())
        self._end_of_line()
        self._unpacking = Unpacking(self._read_at)
        with contextlib.suppress(RetryableError):
            fd = self._open(path)
            os.close(self._fd)
            self._fd = fd
        return True

    def commit(self, positions: Positions) -> None:
        """Do nothing: whoever opens a file reads it from its beginning."""

    def close(self) -> None:
        """Close the file; standard input stays open."""
        if self._path is not None and self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
