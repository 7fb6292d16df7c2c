# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Tells which of the records that are read an earlier process may have written already.

A process that is killed between a write and its commit leaves a mark (`core.write_marks`). Whoever goes on writes those
records again, and they are counted as repeated.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from elworkers.core.contracts import Assignment, Destination, Metrics, Positions, Record

if TYPE_CHECKING:
    from elworkers.core.write_marks import WriteMarks

Tell = Callable[[Counter[Destination]], None]
"""Is given how many records were written again where, for those who count what is in topics."""


class Repeats:
    """Offsets that may have been written before, and what is written again.

    Args:
        marks: None: nothing is known of other processes, and nothing told to them.
        tell: None: nobody is told.
    """

    def __init__(self, marks: WriteMarks | None = None, tell: Tell | None = None) -> None:
        self._marks = marks
        self._tell = tell
        self._claims: dict[Assignment, int] = {}
        self._before: dict[Assignment, tuple[int, int]] = {}
        self._batch: dict[Assignment, tuple[int, int]] = {}
        self._marked: dict[Assignment, tuple[int, int]] = {}
        self._pending: defaultdict[int, list[Destination]] = defaultdict(list)

    @property
    def expected(self) -> bool:
        """Whether anything that was read may have been written before."""
        return bool(self._before)

    def read(self, origin: Assignment, begin: int, end: int) -> None:
        """Note that these offsets are in the batch now."""
        if self._marks is None:
            return
        place = origin._replace(assignment_epoch=0)
        if self._claims.get(place) != origin.assignment_epoch:
            self._claims[place] = origin.assignment_epoch
            self._look(self._marks, place)
        before = self._batch.get(place, (begin, end))
        self._batch[place] = min(before[0], begin), max(before[1], end)

    def _look(self, marks: WriteMarks, place: Assignment) -> None:
        mark = marks.found(place)
        if mark is not None and mark.own:
            # Nobody had the partition meanwhile. What outputs have of this process's own batch is known better.
            return
        self._marked.pop(place, None)
        self._before.pop(place, None)
        if mark is not None:
            self._before[place] = mark.begin, mark.end

    def has(self, record: Record) -> bool:
        """Return whether the record may have been written before."""
        if record.origin is None:
            return False
        begin, end = self._before.get(record.origin._replace(assignment_epoch=0), (0, 0))
        return begin <= record.offset < end

    def add(self, output: int, places: Iterable[Destination]) -> None:
        """Note that an output has been given these again, and will write them as it is flushed."""
        self._pending[output] += places

    def written(self, output: int, metrics: Metrics) -> None:
        """Count what the output, which was flushed, has written again.

        Before the commit, because whoever follows a process that is killed in between writes them once more.
        """
        places = self._pending.pop(output, [])
        if places:
            metrics.count("records_repeated", len(places))
            self.tell(places)

    def tell(self, places: Iterable[Destination]) -> None:
        """Tell what was written again, and is counted."""
        if self._tell is not None:
            self._tell(Counter(places))

    def writing(self) -> None:
        """Mark the batch: from now on it may be written."""
        for place, (begin, end) in self._batch.items():
            before = self._before.get(place)
            # What an earlier process has marked goes on beyond a smaller batch; not so if the group was put back.
            wanted = (begin, max(end, before[1])) if before and before[0] <= end else (begin, end)
            self._mark(place, wanted)

    def _mark(self, place: Assignment, wanted: tuple[int, int]) -> None:
        if self._marks is not None and self._marked.get(place) != wanted:
            self._marks.set(place, *wanted)
            self._marked[place] = wanted

    def committed(self, positions: Positions) -> None:
        """Note that everything before these positions is committed."""
        if self._marks is None:
            return
        for origin, position in positions.items():
            place = origin._replace(assignment_epoch=0)
            self._batch.pop(place, None)
            self._marked.pop(place, None)
            begin, end = self._before.get(place, (0, 0))
            if position < end:
                self._before[place] = max(position, begin), end
                self._mark(place, self._before[place])
            else:
                self._before.pop(place, None)
                self._marks.clear(place)

    def failed(self, *, comes_again: bool) -> None:
        """Note that the batch could not be finished; its marks stay, and outputs that lack it will be given it again.

        Args:
            comes_again: it will be read again.
        """
        self._pending.clear()
        if comes_again:
            self._batch.clear()
