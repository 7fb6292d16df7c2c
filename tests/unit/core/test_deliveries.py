# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""What outputs have acknowledged: what comes again is left out where it is, and nowhere else."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from elworkers.core.batch_metrics import BatchMetrics
from elworkers.core.contracts import Assignment, Destination, Record
from elworkers.core.deliveries import DeliveryLog
from elworkers.core.metrics import Counters
from elworkers.core.repeats import Repeats

HERE = Assignment("topic", 0, "k:1", 1, "a" * 32)
AGAIN = HERE._replace(assignment_epoch=2)


@given(st.sets(st.integers(0, 50)), st.sets(st.integers(0, 50)), st.integers(0, 51))
def test_exactly_what_was_acknowledged_and_not_committed_is_there(
    acknowledged: set[int], unsure: set[int], committed: int
) -> None:
    delivered = DeliveryLog()
    delivered.add("t", [Record(b"", origin=HERE, offset=offset) for offset in acknowledged])
    delivered.add("t", [Record(b"", origin=HERE, offset=offset) for offset in unsure], acknowledged=False)
    delivered.forget({AGAIN: committed})
    records = [Record(b"", origin=AGAIN, offset=offset) for offset in range(committed, 51)]
    assert [record.offset for record in records if delivered.has("t", record)] == sorted(
        offset for offset in acknowledged if offset >= committed
    )
    assert [record.offset for record in records if delivered.may_have("t", record)] == sorted(
        offset for offset in unsure if offset >= committed
    )
    delivered.forget({AGAIN: 51})
    assert not delivered


def test_another_place_partition_or_topic_of_the_same_name_has_none_of_it() -> None:
    delivered = DeliveryLog()
    delivered.add("t", [Record(b"", origin=HERE, offset=1)])
    assert delivered.has("t", Record(b"", origin=AGAIN, offset=1))
    assert not delivered.has("u", Record(b"", origin=AGAIN, offset=1))
    assert not delivered.has("t", Record(b"", origin=AGAIN._replace(partition=1), offset=1))
    assert not delivered.has("t", Record(b"", origin=AGAIN._replace(topic_id="b" * 32), offset=1))


def test_an_output_that_was_flushed_lacks_only_what_came_later() -> None:
    delivered = DeliveryLog()
    without_offset = Record(b"kept")
    delivered.finish(0, {HERE: 5}, [without_offset])
    records = [*(Record(b"", origin=AGAIN, offset=offset) for offset in range(3, 7)), without_offset, Record(b"new")]
    assert delivered.missing(0, records) == [*records[2:4], records[5]]
    assert delivered.missing(1, records) == records
    delivered.forget({AGAIN: 5})
    assert not delivered


def test_a_commit_of_one_partition_leaves_what_is_known_of_others() -> None:
    delivered = DeliveryLog()
    other = HERE._replace(partition=1)
    delivered.finish(0, {HERE: 1, other: 1}, [])
    delivered.finish(1, {HERE: 0}, [])
    delivered.add("t", [Record(b"", origin=one, offset=0) for one in (HERE, other)])
    first, second = (Record(b"", origin=one, offset=0) for one in (HERE, other))
    delivered.forget({other: 1})
    assert delivered.has("t", first)
    assert not delivered.has("t", second)
    assert delivered.missing(0, [first, second]) == [second]
    delivered.forget({HERE: 1})
    assert not delivered


def test_what_is_written_again_is_reported_where_it_goes_to() -> None:
    told: list[Counter[Destination]] = []
    DeliveryLog(Repeats(None, told.append)).repeated(Destination("k:1/t", "Edit"))
    assert told == [Counter({Destination("k:1/t", "Edit"): 1})]


def test_counts_are_told_when_they_are_settled_and_never_when_dropped() -> None:
    counters = Counters()
    counts = BatchMetrics(counters)
    add = counts.counter("events_valid", schema="A")
    add(2)
    counts.drop()
    add(3)
    counts.count("events_valid", 4, schema="A")
    assert counters.summary().get("events_valid", 0) == 0
    counts.commit()
    counts.commit()
    assert counters.summary()["events_valid"] == 7
