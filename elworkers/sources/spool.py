"""Lines come in and are on disk when `append` returns; they go out in order, again after a crash, until they are done.

A folder holds segments named by the position of their first byte, and `done`, the position behind the last line that is
done with. A line is stored as `<ms>\\t<line>\\n`, so that a person can read it too. One thread appends, another reads.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from elworkers.errors import RetryableError
from elworkers.rights import DATA_FILE, DATA_FOLDER

SEGMENT_BYTES = 16 * 1024 * 1024
_CHUNK = 1024 * 1024


class Spooled(NamedTuple):
    """A line, when it came (ms since the epoch), and the position behind it."""

    line: bytes
    arrived_ms: int
    end: int


class Spool:
    """A queue of lines on disk.

    What the operating system has been given outlasts a crash of the program, not one of the machine: a line is not
    forced to the disk.

    Args:
        folder: made where it is not there; one process at a time.
        max_bytes: of lines that are not done with; what comes beyond is not taken.
        segment_bytes: size of a file.

    Raises:
        RetryableError: the folder cannot be used, or another process has it.
    """

    def __init__(self, folder: Path, max_bytes: int, segment_bytes: int = SEGMENT_BYTES) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._segment_bytes = segment_bytes
        try:
            folder.mkdir(DATA_FOLDER, parents=True, exist_ok=True)
            self._lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, DATA_FILE)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._starts = sorted(int(path.stem) for path in folder.glob("*.spool"))
            self._end = self._whole_end()
            self._done = min(max(self._read_done(), self._starts[0] if self._starts else 0), self._end)
        except BlockingIOError:
            raise RetryableError(f"spool {folder}: another process has it") from None
        except (OSError, ValueError) as error:
            raise RetryableError(f"spool {folder}: {getattr(error, 'strerror', None) or error}") from error
        self._read_at = self._done
        self._ready: deque[bytes] = deque()
        self._partial = b""
        self._fetched = self._done
        self._writer = -1

    def _path(self, start: int) -> Path:
        return self._folder / f"{start:020}.spool"

    def _whole_end(self) -> int:
        """The position behind the last whole line; a torn one is cut off."""
        if not self._starts:
            return self._read_done()
        path = self._path(self._starts[-1])
        content = path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            os.truncate(path, whole)
        return self._starts[-1] + whole

    def _read_done(self) -> int:
        try:
            return int((self._folder / "done").read_text(encoding="ascii"))
        except FileNotFoundError:
            return 0

    @property
    def waiting_bytes(self) -> int:
        """Bytes of lines that are not done with."""
        return self._end - self._done

    def append(self, lines: Sequence[bytes], now_ms: int, *, together: bool = False) -> int:
        """Take lines, in order; how many were taken. The others have no room.

        Args:
            lines: without the LF that ends them.
            now_ms: when they came, ms since the epoch.
            together: take all of them or none.

        Raises:
            RetryableError: the disk takes nothing; none of the lines was taken.
        """
        taken, parts, size = 0, [], 0
        for line in lines:
            part = b"%d\t%b\n" % (now_ms, line)
            if self.waiting_bytes + size + len(part) > self._max_bytes:
                if together:
                    return 0
                break
            parts.append(part)
            size += len(part)
            taken += 1
        if parts:
            self._write(b"".join(parts))
        return taken

    def _write(self, content: bytes) -> None:
        try:
            if self._writer < 0 or self._end - self._starts[-1] >= self._segment_bytes:
                self._begin_segment()
            before = self._end - self._starts[-1]
            try:
                view = memoryview(content)
                while view:
                    view = view[os.write(self._writer, view) :]
            except OSError:
                os.ftruncate(self._writer, before)
                raise
        except OSError as error:
            raise RetryableError(f"spool {self._folder}: {error.strerror}") from error
        # Last: what the reader sees is there as a whole.
        self._end += len(content)

    def _begin_segment(self) -> None:
        if self._writer >= 0:
            os.close(self._writer)
            self._writer = -1
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._writer = os.open(self._path(self._end), flags, DATA_FILE)
        if not self._starts or self._starts[-1] != self._end:
            self._starts.append(self._end)

    def read(self, limit: int) -> list[Spooled]:
        """Up to `limit` lines behind those that were read before.

        Raises:
            RetryableError: the disk cannot be read.
        """
        found: list[Spooled] = []
        while len(found) < limit and (self._ready or self._fetched < self._end):
            if not self._ready:
                self._fetch()
                continue
            entry = self._ready.popleft()
            self._read_at += len(entry) + 1
            stamp, _, line = entry.partition(b"\t")
            found.append(Spooled(line, int(stamp) if stamp.isdigit() else 0, self._read_at))
        return found

    def _fetch(self) -> None:
        at = self._fetched
        start = max(start for start in self._starts if start <= at)
        try:
            with self._path(start).open("rb") as segment:
                segment.seek(at - start)
                chunk = segment.read(min(_CHUNK, self._end - at))
        except OSError as error:
            raise RetryableError(f"spool {self._folder}: {error.strerror}") from error
        if not chunk:
            raise RetryableError(f"spool {self._folder}: {self._path(start).name} is shorter than it was")
        self._fetched += len(chunk)
        *entries, self._partial = (self._partial + chunk).split(b"\n")
        self._ready.extend(entries)

    def done(self, position: int) -> None:
        """Everything before the position is done with; segments of nothing else are removed.

        Raises:
            RetryableError: the disk does not take the position.
        """
        if position <= self._done:
            return
        scratch = self._folder / ".done"
        try:
            scratch.write_text(str(position), encoding="ascii")
            scratch.replace(self._folder / "done")
            self._done = position
            while len(self._starts) > 1 and self._starts[1] <= position:
                self._path(self._starts.pop(0)).unlink(missing_ok=True)
        except OSError as error:
            raise RetryableError(f"spool {self._folder}: {error.strerror}") from error

    def close(self) -> None:
        """Let go of the folder; never raises."""
        for handle in (self._writer, self._lock):
            if handle >= 0:
                with contextlib.suppress(OSError):
                    os.close(handle)
        self._writer = self._lock = -1
