# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Draws numbers that no other process of this host draws, also after a restart."""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
from collections.abc import Callable
from pathlib import Path

import structlog

from elworkers.core.errors import RetryableError
from elworkers.core.permissions import DATA_FILE, DATA_FOLDER

_BLOCK = 1_000
_DIGITS = 20
_SPARE_BITS = 62
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}

log = structlog.get_logger(__name__)


class Sequence:
    """The sequence numbers of lines, from 0 on.

    With the host's name and the second they make an event's uuid (see `events.capsule`), so that every listener of a
    host draws from one file. One by one they are drawn in blocks: what a killed process had left of its block is never
    used, and shows as a gap; a process that ends in order gives it back, unless another has drawn meanwhile.

    While the disk takes no number, numbers go on from one between 2^62 and 2^63 that this process has drawn by lot: no
    other will meet it.

    Args:
        path: made where it is not there, with its folder.

    Raises:
        RetryableError: the file cannot be used, for another reason than a disk that takes nothing.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._next = self._end = 0
        self._spare = 0
        self._file = -1
        try:
            path.parent.mkdir(DATA_FOLDER, parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, DATA_FILE)
        except OSError as error:
            if error.errno in _NO_ROOM:
                return
            raise RetryableError(f"sequence numbers {path}: {error.strerror}") from error
        try:
            self._locked(self._stored)
        except RetryableError:
            os.close(self._file)
            raise

    def next(self) -> int:
        """Return the next number."""
        if self._next == self._end:
            self._next = self.take(_BLOCK)
            self._end = self._next + _BLOCK
        self._next += 1
        return self._next - 1

    def take(self, count: int) -> int:
        """Return the first of `count` numbers that follow each other, besides any block; all of them count as used."""

        def drawn() -> int:
            begin = self._stored()
            self._store(begin + count)
            return begin

        try:
            return self._locked(drawn)
        except RetryableError as error:
            if not self._spare:
                self._spare = (1 << _SPARE_BITS) | secrets.randbits(_SPARE_BITS - 1)
                log.warning(
                    "sequence numbers begin at a random one",
                    code="sequence_start_random",
                    reason=str(error),
                    first=self._spare,
                )
            self._spare += count
            return self._spare - count

    def _locked(self, call: Callable[[], int]) -> int:
        if self._file < 0:
            raise RetryableError(f"sequence numbers {self._path}: the disk had no room for the file")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX)
            try:
                return call()
            finally:
                fcntl.flock(self._file, fcntl.LOCK_UN)
        except OSError as error:
            raise RetryableError(f"sequence numbers {self._path}: {error.strerror}") from error

    def _stored(self) -> int:
        text = os.pread(self._file, 100, 0)
        if text and not text.strip().isdigit():
            raise RetryableError(
                f"sequence numbers {self._path}: holds {text[:40]!r}; expected a number, or no such file to begin at 0"
            )
        return int(text or b"0")

    def _store(self, number: int) -> None:
        # Always as long: one write in place, and no moment at which the file is empty.
        os.pwrite(self._file, b"%0*d\n" % (_DIGITS, number), 0)

    def close(self) -> None:
        """Give back what was drawn but not used; never raises."""
        if self._file < 0:
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX)
            if self._next < self._end == self._stored():
                self._store(self._next)
        except (OSError, RetryableError):
            pass  # only numbers are lost, and there are enough of them
        os.close(self._file)
        self._file = -1
