"""Standard input or a file comes in; its lines go out as records."""

from __future__ import annotations

import os
import select
import time
from pathlib import Path

from elworkers.contracts import Metrics, Positions, Record
from elworkers.errors import RetryableError

_CHUNK = 256 * 1024
_LOOK_AGAIN_S = 0.1


class LinesSource:
    """Lines without their line ends; implements `contracts.Source`.

    Args:
        path: the file, or None for standard input.
        follow: go on at the end of the file, also after it was moved away or cut (as logrotate does).
        max_line_bytes: of a longer line so many bytes are read, and the rest is passed over and counted.
        metrics: counts `lines_cut`.

    Raises:
        RetryableError: the file cannot be opened.
    """

    replayable = True
    flush_wanted = False

    def __init__(self, path: Path | None, *, follow: bool, max_line_bytes: int, metrics: Metrics) -> None:
        self.exhausted = False
        self._path = path
        self._follow = follow and path is not None
        self._longest = max_line_bytes
        self._metrics = metrics
        self._tail = b""
        self._skipping = False
        self._ready: list[bytes] = []
        self._fd = 0 if path is None else self._open(path)

    @staticmethod
    def _open(path: Path) -> int:
        try:
            return os.open(path, os.O_RDONLY)
        except OSError as error:
            raise RetryableError(f"file {path}: cannot be read: {error.strerror}") from error

    def poll(self, limit: int, timeout_s: float) -> list[Record]:
        """See `contracts.Source.poll`."""
        deadline = time.monotonic() + timeout_s
        while not self._ready and not self.exhausted:
            left = deadline - time.monotonic()
            if not self._readable(max(0.0, left)) or (not self._read() and left <= 0):
                break
        now_ms = int(time.time() * 1000)
        taken, self._ready = self._ready[:limit], self._ready[limit:]
        self.exhausted = self._at_end and not self._ready
        return [Record(line, timestamp_ms=now_ms) for line in taken]

    _at_end = False

    def _readable(self, timeout_s: float) -> bool:
        # A regular file is always readable, and epoll refuses it; only standard input is waited for.
        return self._path is not None or bool(select.select([self._fd], [], [], timeout_s)[0])

    def _read(self) -> bool:
        chunk = os.read(self._fd, _CHUNK)
        if chunk:
            self._split(chunk)
            return True
        if self._follow:
            if not self._reopened():
                time.sleep(_LOOK_AGAIN_S)
            return False
        if self._tail and not self._skipping:
            self._ready.append(self._tail)
        self._tail, self._at_end = b"", True
        self.exhausted = not self._ready
        return True

    def _reopened(self) -> bool:
        assert self._path is not None  # noqa: S101 - only files are followed
        mine = os.fstat(self._fd)
        try:
            there = self._path.stat()
        except OSError:
            return False
        if (there.st_dev, there.st_ino) != (mine.st_dev, mine.st_ino):
            os.close(self._fd)
            self._fd = self._open(self._path)
            return True
        if there.st_size < os.lseek(self._fd, 0, os.SEEK_CUR):
            os.lseek(self._fd, 0, os.SEEK_SET)
            return True
        return False

    def _split(self, chunk: bytes) -> None:
        *lines, rest = (self._tail + chunk).split(b"\n")
        for line in lines:
            if self._skipping:
                self._skipping = False
            else:
                self._ready.append(self._cut(line.removesuffix(b"\r")))
        if len(rest) > self._longest:
            if not self._skipping:
                self._ready.append(self._cut(rest))
            self._skipping, rest = True, b""
        self._tail = rest

    def _cut(self, line: bytes) -> bytes:
        if len(line) > self._longest:
            self._metrics.count("lines_cut")
            return line[: self._longest]
        return line

    def commit(self, positions: Positions) -> None:
        """Nothing: a file is read from its beginning by whoever opens it."""

    def close(self) -> None:
        """Close the file; standard input stays open."""
        if self._path is not None and self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
