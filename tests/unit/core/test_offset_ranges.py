# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Which offsets a batch covers."""

from __future__ import annotations

from elworkers.core.contracts import Assignment, Record
from elworkers.core.offset_ranges import offset_ranges

A, B = Assignment("t", 0), Assignment("t", 1)


def records(*found: tuple[Assignment | None, int]) -> list[Record]:
    return [Record(b"", origin=origin, offset=offset) for origin, offset in found]


def test_a_range_ends_where_another_partition_begins() -> None:
    batch = records((A, 3), (A, 4), (B, 7), (A, 5), (A, 9))
    assert list(offset_ranges(batch)) == [(A, 3, 5), (B, 7, 8), (A, 5, 10)]


def test_records_without_origin_have_none() -> None:
    assert list(offset_ranges(records((None, -1), (None, -1)))) == []
    assert list(offset_ranges(records((None, -1), (A, 2), (None, -1)))) == [(A, 2, 3)]
    assert list(offset_ranges([])) == []
