"""Records come in; whole lines in a file, or on standard output, go out."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import structlog

from elworkers.contracts import Record, Refusal
from elworkers.errors import ConfigurationError, RetryableError

_TAIL = 64 * 1024

log = structlog.get_logger(__name__)


class FileSink:
    """Appends one line a record; implements `contracts.Sink`.

    The file is opened again when it was moved away or replaced (as logrotate does), a line that a crash has torn is cut
    off before anything is appended, and a write that fails half-way (a full disk) is taken back. Line ends inside a
    value become blanks: a line in a log file is one record.

    Args:
        path: the file, or None for standard output. Its folder has to be there.
        fsync: let the disk confirm each flush.

    Raises:
        RetryableError: the file cannot be opened.
    """

    def __init__(self, path: Path | None, *, fsync: bool = False) -> None:
        self._path = path
        self._fsync = fsync
        self._pending: list[bytes] = []
        self._fd = -1
        if path is None:
            self._fd = 1
        else:
            self._open(path)

    def write(self, records: Sequence[Record]) -> None:
        """See `contracts.Sink.write`."""
        for record in records:
            value = record.value.rstrip(b"\r\n")
            if b"\n" in value or b"\r" in value:
                value = value.replace(b"\r", b" ").replace(b"\n", b" ")
            self._pending.append(value)

    def flush(self) -> list[Refusal]:
        """See `contracts.Sink.flush`."""
        if self._pending:
            self._pending.append(b"")
            content = b"\n".join(self._pending)
            self._pending = []
            if self._path is None:
                self._print(content)
            else:
                self._append(self._path, content)
        return []

    def _print(self, content: bytes) -> None:
        try:
            self._write_all(content)
        except BrokenPipeError:
            raise ConfigurationError("standard output was closed by whoever read it") from None

    def _append(self, path: Path, content: bytes) -> None:
        if self._moved(path):
            self._open(path)
        with self._locked(path):
            before = os.fstat(self._fd).st_size
            try:
                self._write_all(content)
                if self._fsync:
                    os.fdatasync(self._fd)
            except OSError as error:
                # Taken back, so that the next try leaves neither half a line nor the first lines twice.
                with contextlib.suppress(OSError):
                    os.ftruncate(self._fd, before)
                raise RetryableError(f"file {path}: {error.strerror}") from error

    def _write_all(self, content: bytes) -> None:
        view = memoryview(content)
        while view:
            view = view[os.write(self._fd, view) :]

    def _moved(self, path: Path) -> bool:
        mine = os.fstat(self._fd)
        try:
            there = path.stat()
        except OSError:
            return True
        return (there.st_dev, there.st_ino) != (mine.st_dev, mine.st_ino)

    def _open(self, path: Path) -> None:
        self.close()
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise RetryableError(f"file {path}: cannot be opened: {error.strerror}") from error
        with self._locked(path):
            self._cut_torn_line(path)

    @contextlib.contextmanager
    def _locked(self, path: Path) -> Iterator[None]:
        # Several workers may write one file; each of them appends whole batches.
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX)
        except OSError as error:
            raise RetryableError(f"file {path}: cannot be locked: {error.strerror}") from error
        try:
            yield
        finally:
            fcntl.flock(self._fd, fcntl.LOCK_UN)

    def _cut_torn_line(self, path: Path) -> None:
        size = os.fstat(self._fd).st_size
        end = size
        while end:
            begin = max(0, end - _TAIL)
            found = os.pread(self._fd, end - begin, begin).rfind(b"\n")
            if found >= 0:
                end = begin + found + 1
                break
            end = begin
        if end < size:
            log.warning("a line torn by a crash is cut off", path=str(path), bytes=size - end)
            os.ftruncate(self._fd, end)

    def close(self) -> None:
        """Close the file; standard output stays open."""
        if self._path is not None and self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
