# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Writes records as whole lines to a file or to standard output."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import select
from collections.abc import Iterator, Sequence
from pathlib import Path

import structlog

from elworkers.core.contracts import Positions, Record, RejectedRecord
from elworkers.core.errors import ConfigurationError, RetryableError
from elworkers.core.last_resort import LastResort, good_record
from elworkers.core.permissions import BY_UMASK, DATA_FILE, Permissions

_TAIL = 64 * 1024

log = structlog.get_logger(__name__)


class FileSink:
    """Appends one line a record; implements `contracts.Sink`.

    One line end behind a value is not doubled, and each one inside it becomes a blank: a line is one record. All other
    bytes stay as they are.

    The file is opened again when it was moved away or replaced (as logrotate does); one that was truncated is appended
    to from its new end. A line that a crash has torn is cut off before anything is appended, and a write that fails
    half-way (a full disk) is taken back. Several processes may write one file.

    Args:
        path: the file, or None for standard output. Its folder has to be there.
        fsync: let the disk confirm each flush, so that it outlasts a power cut as well.
        rights: of the file where it is made.
        at_once: make it now. Else with the first record, for a file that is only there if there is something to say.

    Raises:
        RetryableError: the file cannot be opened.
        ConfigurationError: it is a folder.
    """

    def __init__(
        self, path: Path | None, *, fsync: bool = False, rights: Permissions = BY_UMASK, at_once: bool = True
    ) -> None:
        self._path = path
        self._rights = rights
        self._fsync = fsync
        self._pending: list[bytes] = []
        self._rejected: list[RejectedRecord] = []
        self._lines = LastResort("make a line of", lambda: _line(good_record()))
        self._fd = -1
        if path is not None and at_once:
            # Another writer that has the file is not waited for: it may hang, and be replaced by this one.
            with contextlib.suppress(BlockingIOError), self._opened(path, fcntl.LOCK_NB):
                self._cut_torn_line(path)

    def write(self, records: Sequence[Record]) -> None:
        """See `contracts.Sink.write`."""
        for record in records:
            try:
                self._pending.append(_line(record))
            except Exception as error:  # noqa: BLE001 - whose fault it is, is seen there
                self._rejected.append(self._lines.rejected(record, error))

    def flush(self) -> list[RejectedRecord]:
        """See `contracts.Sink.flush`.

        Raises:
            RetryableError: the file cannot be opened, or not all of it written.
            ConfigurationError: whoever read standard output has gone; no second try would find them.
        """
        if self._pending:
            content = b"\n".join((*self._pending, b""))
            self._pending = []
            if self._path is None:
                self._print(content)
            else:
                self._append(self._path, content)
        rejected, self._rejected = self._rejected, []
        return rejected

    @staticmethod
    def _print(content: bytes) -> None:
        try:
            _write_all(1, content)
        except OSError as error:
            if error.errno in (errno.EPIPE, errno.EBADF):
                raise ConfigurationError("standard output was closed by whoever read it") from None
            raise RetryableError(f"standard output: {error.strerror}") from error

    def _append(self, path: Path, content: bytes) -> None:
        with self._opened(path):
            # Another process may have been killed in the middle of its own line.
            self._cut_torn_line(path)
            before = os.fstat(self._fd).st_size
            try:
                _write_all(self._fd, content)
                if self._fsync:
                    os.fdatasync(self._fd)
            except OSError as error:
                # Taken back, so that the next try leaves neither half a line nor the first lines twice.
                with contextlib.suppress(OSError):
                    if os.fstat(self._fd).st_size > before:
                        os.ftruncate(self._fd, before)
                raise RetryableError(f"file {path}: {error.strerror}") from error

    @contextlib.contextmanager
    def _opened(self, path: Path, how: int = 0) -> Iterator[None]:
        """Hold the file that the path names now, and keep other writers of ours out of it.

        Args:
            how: `LOCK_NB` raises BlockingIOError where there is such a writer; else it is waited for.
        """
        try:
            self._hold(path, how)
            yield
        except BlockingIOError:
            raise
        except OSError as error:
            raise RetryableError(f"file {path}: {error.strerror}") from error
        finally:
            if self._fd >= 0:
                fcntl.flock(self._fd, fcntl.LOCK_UN)

    def _hold(self, path: Path, how: int) -> None:
        while True:
            if self._fd < 0:
                self._fd = _open(path, self._rights)
            # Waited for perhaps, so that the file may have been moved away in the meantime.
            fcntl.flock(self._fd, fcntl.LOCK_EX | how)
            if _is_at(path, self._fd):
                return
            os.close(self._fd)
            self._fd = -1

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
            log.warning(
                "a line torn by a crash is cut off", code="file_torn_line_removed", path=str(path), bytes=size - end
            )
            os.ftruncate(self._fd, end)

    def commit_transaction(self, positions: Positions) -> None:
        """Do nothing: what was flushed is final."""

    def close(self) -> None:
        """Forget what was not flushed and close the file; standard output stays open."""
        self._pending = []
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _line(record: Record) -> bytes:
    value = record.value.removesuffix(b"\n")
    return value.replace(b"\n", b" ") if b"\n" in value else value


def _open(path: Path, rights: Permissions) -> int:
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
    try:
        with contextlib.suppress(FileExistsError):
            return _made(path, flags, rights)
        return os.open(path, flags, DATA_FILE)
    except IsADirectoryError:
        raise ConfigurationError(f"file {path}: is a folder; expected a file") from None
    except OSError as error:
        raise RetryableError(f"file {path}: cannot be opened: {error.strerror}") from error


def _made(path: Path, flags: int, rights: Permissions) -> int:
    made = os.open(path, flags | os.O_EXCL, DATA_FILE)
    try:
        rights.of_file(made)
    except OSError:
        # The next try shall not find it there, with rights that nobody wanted.
        os.close(made)
        path.unlink()
        raise
    return made


def _is_at(path: Path, fd: int) -> bool:
    mine = os.fstat(fd)
    try:
        named = path.stat()
    except FileNotFoundError:
        return False
    return (named.st_dev, named.st_ino) == (mine.st_dev, mine.st_ino)


def _write_all(fd: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:
            writable = select.poll()
            writable.register(fd, select.POLLOUT)
            writable.poll()
