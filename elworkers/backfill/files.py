# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Reads log files one after another and gives their lines, each with its position."""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from elworkers.backfill.state import State
from elworkers.config.options import MAX_LINE_BYTES
from elworkers.connectors.file.source import LinesSource, Placed
from elworkers.core.contracts import FILES, Assignment, Metrics, Positions, Record
from elworkers.core.progress import Tell

_LONGEST: int = MAX_LINE_BYTES.default


class FilesSource:
    """Reads each file to its end, from where the state says; a `contracts.Source` and `capabilities.Breakable`.

    Args:
        paths: the files, packed or not.
        state: of the backfill; saved with each commit.
        metrics: see `LinesSource`.
        tell: told of bytes, as they are in the files.
        count: called before the state is saved; returns the counts of all records until then.

    Raises:
        RetryableError: a file cannot be read.
    """

    replayable = True
    durable = True
    idle = False

    def __init__(
        self,
        paths: Sequence[Path],
        state: State,
        *,
        metrics: Metrics,
        tell: Tell,
        count: Callable[[], None],
    ) -> None:
        self.damage = ""
        self._state = state
        self._metrics = metrics
        self._tell = tell
        self._count = count
        self._left = deque(path for path in paths if state.begin(path).size < 0)
        self._sizes = sum(_size(path) for path in paths)
        self._before = self._sizes - sum(map(_size, self._left))
        self._current: LinesSource | None = None
        self._read: dict[Path, int] = {}
        self.exhausted = not self._left

    def poll(self, limit: int, timeout_s: float) -> list[Record]:
        """See `contracts.Source.poll`; also empty once the last file has ended."""
        records: list[Record] = []
        while not records and self._left:
            current = self._opened(self._left[0])
            records = current.poll(limit, timeout_s)
            self._tell(self._before + current.bytes_read, self._sizes)
            if current.exhausted:
                self._close_current(self._left.popleft(), current)
            elif not records:
                break
        self.exhausted = not self._left
        return records

    def _opened(self, path: Path) -> LinesSource:
        if self._current is None:
            known = self._state.begin(path)
            placed = Placed(Assignment(str(path), 0, FILES), known.position, known.time_ms)
            self._current = LinesSource(
                path, follow=False, max_line_bytes=_LONGEST, metrics=self._metrics, placed=placed
            )
        return self._current

    def _close_current(self, path: Path, current: LinesSource) -> None:
        self._before += _size(path)
        if current.damage:
            self.damage = "; ".join(filter(None, (self.damage, current.damage)))
        else:
            self._read[path] = current.bytes_read
        current.close()
        self._current = None

    def commit(self, positions: Positions) -> None:
        """Keep that everything before these positions, and so all that was polled, is done with."""
        for origin, position in positions.items():
            self._state.files[origin.topic].position = position
        for path, size in self._read.items():
            self._state.files[str(path)].size = size
        self._read = {}
        self._count()
        self._state.save()

    def close(self) -> None:
        """Close the file that is open."""
        if self._current is not None:
            self._current.close()
            self._current = None


def _size(path: Path) -> int:
    with contextlib.suppress(OSError):
        return os.stat(path).st_size  # noqa: PTH116 - of thousands of files
    return 0
