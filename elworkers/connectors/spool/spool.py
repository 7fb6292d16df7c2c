# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

r"""Keeps lines on disk, in order, until they are done; they are there again after a crash.

A folder holds segments named by the position of their first byte, and `done`, the position behind the last line that is
done with. A line is stored as `<ms>\t<line>\n`, so that a person can read it too. One thread appends, another reads.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import threading
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import structlog

from elworkers.connectors.spool.segments import quarantine_copy, scan, segment
from elworkers.core.errors import RetryableError
from elworkers.core.permissions import DATA_FILE, DATA_FOLDER

SEGMENT_BYTES = 16 * 1024 * 1024
_CHUNK = 1024 * 1024
_OPEN_AGAIN_S = 1.0
_PROBE = b"0" * 4096
_OF_THE_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO}

log = structlog.get_logger(__name__)


class Spooled(NamedTuple):
    """A line, when it came (ms since the epoch), and the position behind it."""

    line: bytes
    arrived_ms: int
    end: int


class Spool:
    """A queue of lines on disk.

    What the operating system has been given outlasts a crash of the program, not one of the machine: a line is not
    forced to the disk. A folder that the disk has no room for is tried again by whoever appends.

    Args:
        folder: made where it is not there; one process at a time.
        max_bytes: of lines that are not done with; what comes beyond is not taken.
        segment_bytes: size of a file.

    Raises:
        RetryableError: the folder cannot be used, for another reason than the disk's, or another process has it.
    """

    def __init__(self, folder: Path, max_bytes: int, segment_bytes: int = SEGMENT_BYTES) -> None:
        self.folder = folder
        self.max_bytes = max_bytes
        self._segment_bytes = segment_bytes
        self._starts: list[int] = []
        self._end = self._done = self._fetched = 0
        self._ready: deque[tuple[bytes, int]] = deque()
        self._partial = b""
        self._writer = self._lock = self._done_file = -1
        self._anew = False
        # Held to write, and to remove what is written to.
        self._writing = threading.Lock()
        self._tried_at = time.monotonic()
        try:
            self._open()
        except OSError as error:
            if error.errno not in _OF_THE_DISK:
                raise RetryableError(f"spool {folder}: {error.strerror}") from error
            log.error("the spool cannot be used", code="spool_unusable", folder=str(folder), reason=error.strerror)  # noqa: TRY400 - no bug

    def _open(self) -> None:
        try:
            self.folder.mkdir(DATA_FOLDER, parents=True, exist_ok=True)
            lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, DATA_FILE)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                found = scan(self.folder)
            except OSError:
                os.close(lock)
                raise
        except BlockingIOError:
            raise RetryableError(f"spool {self.folder}: another process has it") from None
        self._starts, self._done, self._fetched = found.starts, found.done, found.done
        self._lock = lock
        # Last: then the reader begins.
        self._end = found.end

    @property
    def waiting_bytes(self) -> int:
        """Bytes of lines that are not done with."""
        return self._end - self._done

    def append(self, lines: Sequence[bytes], now_ms: int, *, together: bool = False) -> int:
        """Take lines, in order; return how many were taken. The others have no room.

        Args:
            lines: without the LF that ends them.
            now_ms: when they came, ms since the epoch.
            together: take all of them or none.

        Raises:
            RetryableError: the disk takes nothing; none of the lines was taken.
        """
        return self.append_all([(lines, now_ms, together)])[0]

    def append_all(self, groups: Sequence[tuple[Sequence[bytes], int, bool]]) -> list[int]:
        """Return the same of several groups of lines, which go to the disk together.

        Raises:
            RetryableError: the disk takes nothing; none of the lines was taken.
        """
        counts: list[int] = []
        parts: list[bytes] = []
        left = self.max_bytes - self.waiting_bytes
        for lines, now_ms, together in groups:
            made = [b"%d\t%b\n" % (now_ms, line) for line in lines]
            if sum(map(len, made)) > left:
                made = [] if together else _fitting(made, left)
            parts += made
            left -= sum(map(len, made))
            counts.append(len(made))
        if parts:
            self._write(b"".join(parts))
        return counts

    def probe(self) -> None:
        """Find out whether the disk would take a line.

        Raises:
            RetryableError: it would not.
        """
        self._write(_PROBE, keep=False)

    def _write(self, content: bytes, *, keep: bool = True) -> None:
        try:
            with self._writing:
                self._ready_to_write()
                before = self._end - self._starts[-1]
                try:
                    view = memoryview(content)
                    while view:
                        view = view[os.write(self._writer, view) :]
                except OSError:
                    os.ftruncate(self._writer, before)
                    raise
                if not keep:
                    os.ftruncate(self._writer, before)
                    return
                # Last: what the reader sees is there as a whole.
                self._end += len(content)
        except OSError as error:
            raise RetryableError(f"spool {self.folder}: {error.strerror}") from error

    def _ready_to_write(self) -> None:
        if self._lock < 0:
            if time.monotonic() - self._tried_at < _OPEN_AGAIN_S:
                raise OSError(0, "its folder cannot be used")
            self._tried_at = time.monotonic()
            self._open()
        if self._writer < 0 or self._anew or self._end - self._starts[-1] >= self._segment_bytes:
            self._begin_segment()

    def _begin_segment(self) -> None:
        if self._writer >= 0:
            os.close(self._writer)
            self._writer = -1
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._writer = os.open(segment(self.folder, self._end), flags, DATA_FILE)
        self._anew = False
        if not self._starts or self._starts[-1] != self._end:
            self._starts.append(self._end)

    def read(self, limit: int) -> list[Spooled]:
        """Return up to `limit` lines behind those that were read before; damaged parts are skipped.

        Raises:
            RetryableError: the disk cannot be read.
        """
        found: list[Spooled] = []
        while len(found) < limit and (self._ready or self._fetched < self._end):
            if not self._ready:
                self._fetch()
                continue
            entry, end = self._ready.popleft()
            stamp, tab, line = entry.partition(b"\t")
            if not (tab and stamp.isdigit()):
                # A power cut leaves blocks of zeros before what was written later.
                stamp, tab, line = entry.lstrip(b"\0").partition(b"\t")
                quarantine_copy(self._path_of(end - 1), "some of it cannot be read")
                if not (tab and stamp.isdigit()):
                    continue
            found.append(Spooled(line, int(stamp), end))
        return found

    def _path_of(self, position: int) -> Path:
        return segment(self.folder, max(start for start in self._starts if start <= position))

    def _fetch(self) -> None:
        at, end = self._fetched, self._end
        start = max(start for start in self._starts if start <= at)
        following = min((start for start in self._starts if start > at), default=end)
        chunk = self._chunk(start, at, following)
        if not chunk:
            quarantine_copy(segment(self.folder, start), f"it ends at {at - start} of {following - start} bytes")
            self._anew = following == end
            self._fetched, self._partial = following, b""
            return
        position = at - len(self._partial)
        self._fetched += len(chunk)
        *entries, self._partial = (self._partial + chunk).split(b"\n")
        for entry in entries:
            position += len(entry) + 1
            self._ready.append((entry, position))
        if self._partial and self._fetched == following:
            quarantine_copy(segment(self.folder, start), "its last line is not whole")
            self._partial = b""

    def _chunk(self, start: int, at: int, following: int) -> bytes:
        """Return what there is to read of a segment, up to the next one; nothing where it is damaged."""
        try:
            with segment(self.folder, start).open("rb") as file:
                file.seek(at - start)
                return file.read(min(_CHUNK, following - at))
        except BlockingIOError as error:
            raise RetryableError(f"spool {self.folder}: {error.strerror}") from error
        except OSError:
            return b""

    def done(self, position: int) -> None:
        """Mark everything before the position as done; segments that hold nothing else are removed.

        Where the disk does not take the position, it is remembered until the process ends.
        """
        if position <= self._done:
            return
        self._done = position
        try:
            self._store_done()
        except OSError as error:
            log.warning(
                "the spool's position is not on disk",
                code="spool_position_not_saved",
                folder=str(self.folder),
                reason=error.strerror,
            )
            # A segment that is gone is not read again, and what it had of the disk is free.
            self._remove_all()
        while len(self._starts) > 1 and self._starts[1] <= position:
            with contextlib.suppress(OSError):
                segment(self.folder, self._starts[0]).unlink(missing_ok=True)
            self._starts.pop(0)

    def _store_done(self) -> None:
        if self._done_file < 0:
            self._done_file = os.open(self.folder / "done", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, DATA_FILE)
        # In place and always as long: there is no moment at which the file is empty, and a full disk takes it too.
        os.pwrite(self._done_file, b"%020d\n" % self._done, 0)

    def _remove_all(self) -> None:
        """Remove the segments where nothing in them is waited for."""
        with self._writing:
            if self._lock < 0 or self._done < self._end:
                return
            if self._writer >= 0:
                os.close(self._writer)
                self._writer = -1
            while self._starts:
                with contextlib.suppress(OSError):
                    segment(self.folder, self._starts[-1]).unlink(missing_ok=True)
                self._starts.pop()

    def close(self) -> None:
        """Release the folder; never raises. Lines that are done with are removed: no damage brings them back."""
        self._remove_all()
        for handle in (self._writer, self._done_file, self._lock):
            if handle >= 0:
                with contextlib.suppress(OSError):
                    os.close(handle)
        self._writer = self._done_file = self._lock = -1


def _fitting(parts: Sequence[bytes], left: int) -> list[bytes]:
    """Return as many of the first lines as fit into this many bytes."""
    found: list[bytes] = []
    for line in parts:
        left -= len(line)
        if left < 0:
            break
        found.append(line)
    return found
