# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Finds which offsets of which partitions a batch of records covers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from elworkers.core.contracts import Assignment, Record


def offset_ranges(records: Sequence[Record]) -> Iterator[tuple[Assignment, int, int]]:
    """Yield the first offset and the position behind each run of records of one partition.

    A dictionary's entry for each record would cost too much.
    """
    first = last = None
    for record in records:
        if last is None or last.origin is not record.origin:
            yield from _offset_range(first, last)
            first = record
        last = record
    yield from _offset_range(first, last)


def _offset_range(first: Record | None, last: Record | None) -> Iterator[tuple[Assignment, int, int]]:
    if first is not None and last is not None and last.origin is not None:
        yield last.origin, first.offset, last.offset + 1
