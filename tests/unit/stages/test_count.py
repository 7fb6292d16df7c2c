# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Sequence numbers before lines: each is used once, and a line that is read again keeps its own."""

from __future__ import annotations

from itertools import accumulate

from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from elworkers.core.contracts import Assignment, Record
from elworkers.stages.count import ClockNumbers, CountStage, OffsetNumberStage

FIELDS = ("event", "valid", "origin", "offset", "timestamp_ms", "key")
RECORDS = st.builds(
    Record,
    st.binary(),
    origin=st.builds(Assignment, st.sampled_from(["a", "b"]), st.integers(0, 99), assignment_epoch=st.integers(0, 3)),
    offset=st.integers(0, 2**40 - 1),
    timestamp_ms=st.integers(0, 2**41),
    key=st.none() | st.binary(),
)


def numbers(records: list[Record]) -> list[int]:
    return [int(record.value.partition(b"\t")[0]) for record in records]


@given(st.lists(RECORDS))
def test_a_line_of_kafka_has_the_number_of_its_offset_and_nothing_else_changes(records: list[Record]) -> None:
    before = [record.value for record in records]
    counted = OffsetNumberStage()(records)
    assert [record.value for record in records] == before
    assert [made.value.partition(b"\t")[2] for made in counted] == before
    for fact in FIELDS:
        assert [getattr(made, fact) for made in counted] == [getattr(record, fact) for record in records]
    elsewhere = {"assignment_epoch": 7, "cluster": "x"}
    again = [
        Record(record.value, origin=record.origin and record.origin._replace(**elsewhere), offset=record.offset)
        for record in reversed(records)
    ]
    assert numbers(OffsetNumberStage()(again)) == numbers(counted)[::-1]
    origins = {(record.origin and record.origin[:2], record.offset) for record in records}
    assert len(set(numbers(counted))) == len(origins)
    assert all(0 <= number < 2**63 for number in numbers(counted))


def test_a_stage_remembers_one_claim_of_a_partition() -> None:
    stage = OffsetNumberStage()
    for claim in range(1_000):
        stage([Record(b"x", origin=Assignment("t", claim % 2, assignment_epoch=claim), offset=1)])
    assert len(stage._first_numbers) == 2


@given(st.lists(st.lists(RECORDS)))
def test_lines_that_come_once_are_numbered_one_after_the_other_and_keep_their_keys(batches: list[list[Record]]) -> None:
    totals = accumulate((len(batch) for batch in batches if batch), initial=5)
    stage = CountStage(lambda _many: next(totals))
    counted = [record for batch in batches if batch for record in stage(batch)]
    assert numbers(counted) == list(range(5, 5 + len(counted)))
    assert [made.key for made in counted] == [record.key for batch in batches for record in batch]


def test_without_a_run_folder_numbers_begin_at_the_clock_and_it_is_said() -> None:
    with capture_logs() as logs:
        drawn = ClockNumbers()
    assert [entry["first"] for entry in logs] == [drawn.take(3)]
    assert drawn.take(1) == logs[0]["first"] + 3
    assert logs[0]["first"] > 1_700_000_000_000
