# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Finds out which of the records that are read an earlier process may have written already.

A process that is killed between a write and its commit leaves a mark (`core.write_marks`). The next process writes
those records again, and they are counted as repeated.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from elworkers.core.capabilities import Addressed
from elworkers.core.contracts import Assignment, Destination, Metrics, Positions, Record, Sink

if TYPE_CHECKING:
    from elworkers.core.write_marks import WriteMarks

ReportRepeated = Callable[[Counter[Destination]], None]
"""Takes how many records were written again to each destination, for those who count what is in topics."""


class Repeats:
    """Offsets that may have been written before, and what is written again.

    Args:
        marks: shared with other processes; None: nothing is known of them.
        report: takes what was written again, if given.
    """

    def __init__(self, marks: WriteMarks | None = None, report: ReportRepeated | None = None) -> None:
        self._marks = marks
        self._report = report
        self._epochs: dict[Assignment, int] = {}
        self._written_before: dict[Assignment, tuple[int, int]] = {}
        self._batch: dict[Assignment, tuple[int, int]] = {}
        self._marked: dict[Assignment, tuple[int, int]] = {}
        self._pending: defaultdict[int, list[Destination]] = defaultdict(list)

    @property
    def expected(self) -> bool:
        """Whether anything that was read may have been written before."""
        return bool(self._written_before)

    def read(self, origin: Assignment, begin: int, end: int) -> None:
        """Note that these offsets are in the batch now."""
        if self._marks is None:
            return
        partition = origin._replace(assignment_epoch=0)
        if self._epochs.get(partition) != origin.assignment_epoch:
            self._epochs[partition] = origin.assignment_epoch
            self._find_mark(self._marks, partition)
        before = self._batch.get(partition, (begin, end))
        self._batch[partition] = min(before[0], begin), max(before[1], end)

    def _find_mark(self, marks: WriteMarks, partition: Assignment) -> None:
        mark = marks.get(partition)
        if mark is not None and mark.own:
            # No other process had the partition meanwhile, and what outputs have of our own batch is known better.
            return
        self._marked.pop(partition, None)
        self._written_before.pop(partition, None)
        if mark is not None:
            self._written_before[partition] = mark.begin, mark.end

    def has(self, record: Record) -> bool:
        """Return whether the record may have been written before."""
        if record.origin is None:
            return False
        begin, end = self._written_before.get(record.origin._replace(assignment_epoch=0), (0, 0))
        return begin <= record.offset < end

    def add(self, output: int, sink: Sink, records: Iterable[Record]) -> None:
        """Note which of these records, which an output is given, may have been written before.

        Args:
            output: its number.
            sink: its sink. No offset store, which leaves out what it has.
            records: as they are written.
        """
        for record in filter(self.has, records):
            destination = sink.destination(record) if isinstance(sink, Addressed) else Destination()
            if destination is not None:
                self._pending[output].append(destination)

    def written(self, output: int, metrics: Metrics) -> None:
        """Count what the output, which was flushed, has written again.

        Before the commit, because the successor of a process that is killed in between writes them once more.
        """
        destinations = self._pending.pop(output, [])
        if destinations:
            metrics.count("records_repeated", len(destinations))
            self.report(destinations)

    def report(self, destinations: Iterable[Destination]) -> None:
        """Report what was written again, and is counted."""
        if self._report is not None:
            self._report(Counter(destinations))

    def writing(self) -> None:
        """Mark the batch: from now on it may be written."""
        for partition, (begin, end) in self._batch.items():
            before = self._written_before.get(partition)
            # What an earlier process has marked goes on beyond a smaller batch; not so if the group was put back.
            wanted = (begin, max(end, before[1])) if before and before[0] <= end else (begin, end)
            self._mark(partition, wanted)

    def _mark(self, partition: Assignment, wanted: tuple[int, int]) -> None:
        if self._marks is not None and self._marked.get(partition) != wanted:
            self._marks.set(partition, *wanted)
            self._marked[partition] = wanted

    def committed(self, positions: Positions) -> None:
        """Note that everything before these positions is committed."""
        if self._marks is None:
            return
        for origin, position in positions.items():
            partition = origin._replace(assignment_epoch=0)
            self._batch.pop(partition, None)
            self._marked.pop(partition, None)
            begin, end = self._written_before.get(partition, (0, 0))
            if position < end:
                self._written_before[partition] = max(position, begin), end
                self._mark(partition, self._written_before[partition])
            else:
                self._written_before.pop(partition, None)
                self._marks.clear(partition)

    def failed(self, *, comes_again: bool) -> None:
        """Note that the batch could not be finished; its marks stay, and outputs that lack it will be given it again.

        Args:
            comes_again: it will be read again.
        """
        self._pending.clear()
        if comes_again:
            self._batch.clear()
