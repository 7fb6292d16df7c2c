# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Remembers what outputs have acknowledged, so that a batch that is read again is written only where it is missing.

Filled only when a batch cannot be finished, and forgotten as offsets are committed: it holds no more than what was
read and not committed.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Protocol

from elworkers.core.contracts import Assignment, Destination, Positions, Record
from elworkers.core.repeats import Repeats

_STALE_AFTER_S = 600.0
"""Seconds after which no record is expected to be read again: its partition has gone to another group member."""


class Deliveries(Protocol):
    """What was acknowledged of records that are not committed, so that a retry writes only what is missing.

    False while there is nothing to remember, as nearly always.
    """

    def __bool__(self) -> bool: ...

    def add(self, destination: str, records: Sequence[Record], *, acknowledged: bool = True) -> None:
        """Remember what a destination has acknowledged or, where not `acknowledged`, may have stored."""

    def has(self, destination: str, record: Record) -> bool:
        """Return whether the destination has acknowledged this record."""

    def may_have(self, destination: str, record: Record) -> bool:
        """Return whether the destination may have stored this record."""

    def repeated(self, destination: Destination) -> None:
        """Count a record that the destination may have as written again."""

    def writing(self) -> None:
        """Note that something of the batch is about to be written."""


class DeliveryLog:
    """Implements `Deliveries`; also remembers of whole outputs how far they are.

    A record is known by its partition and offset, whichever assignment it is of. One without is known as itself,
    and held, because the loop writes the same one again.

    Args:
        repeats: what an earlier process may have written; None: nothing is known of any.
    """

    def __init__(self, repeats: Repeats | None = None) -> None:
        self.repeats = repeats or Repeats()
        self._offsets: defaultdict[tuple[str, Assignment, bool], set[int]] = defaultdict(set)
        self._without_offset: defaultdict[tuple[str, bool], dict[int, Record]] = defaultdict(dict)
        self._ends: dict[tuple[int, Assignment], int] = {}
        self._since = 0.0

    def __bool__(self) -> bool:
        return bool(self._offsets or self._without_offset or self._ends)

    def add(self, destination: str, records: Sequence[Record], *, acknowledged: bool = True) -> None:
        """See `Deliveries.add`."""
        self._since = time.monotonic()
        origin: Assignment | None = None
        offsets: set[int] = set()
        for record in records:
            if record.origin is None:
                self._without_offset[destination, acknowledged][id(record)] = record
                continue
            if record.origin is not origin:
                origin = record.origin
                offsets = self._offsets[destination, _partition(origin), acknowledged]
            offsets.add(record.offset)

    def has(self, destination: str, record: Record) -> bool:
        """See `Deliveries.has`."""
        return self._holds(destination, record, True)

    def may_have(self, destination: str, record: Record) -> bool:
        """See `Deliveries.may_have`."""
        return self._holds(destination, record, False)

    def repeated(self, destination: Destination) -> None:
        """See `Deliveries.repeated`."""
        self.repeats.report([destination])

    def writing(self) -> None:
        """See `Deliveries.writing`."""
        self.repeats.writing()

    def _holds(self, destination: str, record: Record, acknowledged: bool) -> bool:
        if record.origin is None:
            return id(record) in self._without_offset.get((destination, acknowledged), ())
        return record.offset in self._offsets.get((destination, _partition(record.origin), acknowledged), ())

    def finish(self, output: int, positions: Positions, records: Sequence[Record]) -> None:
        """Remember that an output has all before these positions, and these records that have none.

        Args:
            output: its number.
            positions: behind what was read and not committed.
            records: what the loop will write again.
        """
        for origin, offset in positions.items():
            self._since = time.monotonic()
            self._ends[output, _partition(origin)] = offset
        if records:
            self.add(_output_key(output), records)

    def missing(self, output: int, records: list[Record]) -> list[Record]:
        """Return those that an output does not have."""
        return [record for record in records if not self._finished(output, record)]

    def _finished(self, output: int, record: Record) -> bool:
        if record.origin is None:
            return self.has(_output_key(output), record)
        return record.offset < self._ends.get((output, _partition(record.origin)), 0)

    def forget(self, positions: Positions) -> None:
        """Forget what will not be read again, now that these positions are committed."""
        self._without_offset.clear()
        if time.monotonic() - self._since > _STALE_AFTER_S:
            self._offsets.clear()
            self._ends.clear()
            return
        ends = {_partition(origin): offset for origin, offset in positions.items()}
        for mark, offset in list(self._ends.items()):
            if offset <= ends.get(mark[1], -1):
                del self._ends[mark]
        for key, offsets in list(self._offsets.items()):
            end = ends.get(key[1], -1)
            left = {offset for offset in offsets if offset >= end}
            if left:
                self._offsets[key] = left
            else:
                del self._offsets[key]


def _partition(origin: Assignment) -> Assignment:
    return origin._replace(assignment_epoch=0)


def _output_key(output: int) -> str:
    return f"output {output}"
