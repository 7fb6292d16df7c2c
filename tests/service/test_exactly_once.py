# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Rows and positions in one transaction: what a consumer stores is there once, whoever dies or comes back late."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import brokeradmin
import pytest
import sqlalchemy
from databases import Place
from waiting import wait_for

from elworkers.connectors.kafka.drivers import driver
from elworkers.connectors.kafka.sink import KafkaSink
from elworkers.connectors.kafka.source import KafkaSource
from elworkers.connectors.registry import check_sink, check_source
from elworkers.connectors.sql.sink import SqlSink
from elworkers.core.capabilities import OffsetStore
from elworkers.core.contracts import Assignment, Record, TopicPartition
from elworkers.core.errors import RetryableError
from elworkers.core.metrics import Counters

SCHEMA = {"a": {"type": "string"}}
DEADLINE_S = 30.0


@pytest.fixture
def topic(unique: Callable[[str], str]) -> str:
    return unique("topic")


def batch(sink: SqlSink, records: list[Record]) -> None:
    sink.write(records)
    assert sink.flush() == []


def kept(place: Place, topic: str) -> dict[str, int]:
    """Group → the position that the database keeps of a topic's partition 0."""
    with place._engine.connect() as connection:
        found = connection.execute(
            sqlalchemy.text("SELECT consumer_group, next_offset FROM eventlogging_offsets WHERE topic = :topic"),
            {"topic": topic},
        )
        positions = {group: offset for group, offset in found}  # noqa: C416 - a row is no pair
        connection.rollback()
    return positions


def test_a_sink_of_a_group_is_a_ledger(place: Place, topic: str) -> None:
    sink = place.sink(SCHEMA, "g")
    origin = Assignment(topic, 0)
    assert isinstance(sink, OffsetStore)
    assert sink.resume_at({origin: 40}) == {origin: 40}
    batch(sink, [place.record(1, {"a": "x"}), place.record(2, {"a": "y"})])
    sink.commit_transaction({origin: 42})
    assert kept(place, topic) == {"g": 42}
    assert len(place.rows()) == 2
    assert place.total("rows_inserted") == 2


def test_what_was_not_settled_leaves_neither_rows_nor_a_position(place: Place, topic: str) -> None:
    sink, origin = place.sink(SCHEMA, "g"), Assignment(topic, 0)
    sink.resume_at({origin: 0})
    batch(sink, [place.record(1, {"a": "settled"})])
    sink.commit_transaction({origin: 1})
    batch(sink, [place.record(2, {"a": "lost with its worker"})])
    sink.close()
    assert [row["event_a"] for row in place.rows()] == ["settled"]
    assert place.sink(SCHEMA, "g").resume_at({origin: 99}) == {origin: 1}


def test_one_who_comes_back_late_cannot_write(place: Place, topic: str) -> None:
    old, new, origin = place.sink(SCHEMA, "g"), place.sink(SCHEMA, "g"), Assignment(topic, 0)
    old.resume_at({origin: 0})
    new.resume_at({origin: 0})
    batch(new, [place.record(1, {"a": "new"})])
    new.commit_transaction({origin: 1})
    batch(old, [place.record(2, {"a": "old"})])
    with pytest.raises(RetryableError, match="has gone to another consumer of group g"):
        old.commit_transaction({origin: 1})
    old.close()
    assert [row["event_a"] for row in place.rows()] == ["new"]
    assert kept(place, topic) == {"g": 1}


def test_one_of_several_partitions_that_has_gone_takes_the_whole_batch_back(place: Place, topic: str) -> None:
    old, new = place.sink(SCHEMA, "g"), place.sink(SCHEMA, "g")
    stays, goes = Assignment(topic, 0), Assignment(topic, 1)
    old.resume_at({stays: 0, goes: 0})
    new.resume_at({goes: 0})
    batch(new, [place.record(1, {"a": "new"})])
    new.commit_transaction({goes: 1})
    batch(old, [place.record(2, {"a": "old"})])
    with pytest.raises(RetryableError):
        old.commit_transaction({stays: 5, goes: 1})
    old.close()
    assert len(place.rows()) == 1
    assert place.sink(SCHEMA, "g").resume_at({stays: 7, goes: 7}) == {stays: 0, goes: 1}


def test_what_was_read_before_a_partition_left_and_came_back_is_void(place: Place, topic: str) -> None:
    sink, before, after = place.sink(SCHEMA, "g"), Assignment(topic, 0, "", 1), Assignment(topic, 0, "", 2)
    sink.resume_at({before: 0})
    batch(sink, [place.record(1, {"a": "read before"})])
    sink.commit_transaction({before: 1})
    sink.write([place.record(2, {"a": "read before"})])
    sink.resume_at({after: 0})
    sink.flush()
    with pytest.raises(RetryableError):
        sink.commit_transaction({before: 2})
    sink.close()
    assert len(place.rows()) == 1


def test_groups_and_topics_do_not_meet(place: Place, topic: str) -> None:
    for group in ("g", "G"):
        sink = place.sink(SCHEMA, group)
        sink.resume_at({Assignment(topic, 0): len(kept(place, topic)), Assignment(topic.upper(), 0): 77})
        sink.close()
    assert kept(place, topic) == {"g": 0, "G": 1}


def test_positions_move_also_where_nothing_is_stored(place: Place, topic: str) -> None:
    sink, origin = place.sink(SCHEMA, "g"), Assignment(topic, 0)
    sink.resume_at({origin: 0})
    assert sink.flush() == []
    sink.commit_transaction({origin: 9})
    sink.commit_transaction({})
    assert kept(place, topic) == {"g": 9}


def test_a_topic_made_again_is_read_from_its_beginning(place: Place, topic: str) -> None:
    before, now = (Assignment(topic, 0, topic_id=digit * 32) for digit in "ab")
    sink = place.sink(SCHEMA, "g")
    sink.resume_at({before: 5})
    sink.commit_transaction({before: 9})
    assert place.sink(SCHEMA, "g").resume_at({before: 0}) == {before: 9}
    again = place.sink(SCHEMA, "g")
    assert again.resume_at({now: 7}) == {now: 0}
    assert place.total("positions_begun_anew") == 1
    again.commit_transaction({now: 3})
    # What was read of the old one is void.
    with pytest.raises(RetryableError):
        sink.commit_transaction({before: 10})
    sink.close()
    assert place.sink(SCHEMA, "g").resume_at({now: 0}) == {now: 3}
    assert place.total("positions_begun_anew") == 1


def test_each_partition_of_a_topic_made_again_begins_anew(place: Place, topic: str) -> None:
    first = place.sink(SCHEMA, "g")
    first.resume_at({Assignment(topic, number, topic_id="a" * 32): 10 + number for number in range(2)})
    for number in range(2):
        now = Assignment(topic, number, topic_id="b" * 32)
        assert place.sink(SCHEMA, "g").resume_at({now: 99}) == {now: 0}


def test_a_position_without_a_topics_id_takes_the_present_one(place: Place, topic: str) -> None:
    unknown, known = Assignment(topic, 0), Assignment(topic, 0, topic_id="c" * 32)
    place.sink(SCHEMA, "g").resume_at({unknown: 5})
    assert place.sink(SCHEMA, "g").resume_at({known: 0}) == {known: 5}
    assert place.sink(SCHEMA, "g").resume_at({unknown: 0}) == {unknown: 5}
    changed = Assignment(topic, 0, topic_id="d" * 32)
    assert place.sink(SCHEMA, "g").resume_at({changed: 5}) == {changed: 0}


@pytest.fixture
def source(kafka: str, topic: str) -> Iterator[Callable[[SqlSink], KafkaSource]]:
    made: list[KafkaSource] = []
    options = check_source(f"kafka:///{kafka}?topic={topic}&auto_offset_reset=earliest").options

    def make(sink: SqlSink) -> KafkaSource:
        made.append(KafkaSource([kafka], options, f"group-{topic}", Counters(), sink))
        return made[-1]

    yield make
    for one in made:
        one.close()


def read(source: KafkaSource, count: int) -> list[int]:
    """The offsets of so many records."""
    found: list[Record] = []
    wait_for(lambda: found.extend(source.poll(10, 0.5)) or len(found) >= count, DEADLINE_S, f"{count} records")
    return [record.offset for record in found]


@pytest.mark.parametrize("position", [2, 7])
def test_the_database_knows_better_than_kafka_where_to_go_on(
    maria: Place, kafka: str, topic: str, source: Callable[[SqlSink], KafkaSource], position: int
) -> None:
    sink = KafkaSink([kafka], check_sink(f"kafka:///{kafka}?topic={topic}").options, lambda _: (topic, None))
    sink.write([Record(json.dumps({"number": number}).encode()) for number in range(10)])
    sink.flush()
    first = source(maria.sink(SCHEMA, f"group-{topic}"))
    assert read(first, 10) == list(range(10))
    admin = driver().admin([kafka])
    first.commit({Assignment(topic, 0, kafka, 1, admin.topic_ids([topic])[topic]): 5})
    first.close()
    assert admin.committed(f"group-{topic}", topic) == {TopicPartition(topic, 0): 5}
    change = f"UPDATE eventlogging_offsets SET next_offset = {position} WHERE topic = '{topic}'"  # noqa: S608
    maria.do(change)
    assert read(source(maria.sink(SCHEMA, f"group-{topic}")), 10 - position) == list(range(position, 10))


def test_what_was_fetched_but_not_stored_is_not_passed_over(
    maria: Place, kafka: str, topic: str, source: Callable[[SqlSink], KafkaSource]
) -> None:
    sink = KafkaSink([kafka], check_sink(f"kafka:///{kafka}?topic={topic}").options, lambda _: (topic, None))
    sink.write([Record(b"%d" % number) for number in range(10)])
    sink.flush()
    for _ in range(2):
        reader = source(maria.sink(SCHEMA, f"group-{topic}"))
        fetcher = reader._consumer._consumer._consumer
        # The thread that fetches is ahead of whoever asks where to begin.
        wait_for(lambda fetcher=fetcher: fetcher._partitions_by_id[0].next_offset == 10, DEADLINE_S, "a fetch")
        assert read(reader, 10) == list(range(10))
        reader.close()
    assert kept(maria, topic) == {f"group-{topic}": 0}


def test_a_consumer_that_was_down_meanwhile_stores_all_of_a_topic_made_again(
    maria: Place, kafka: str, topic: str, source: Callable[[SqlSink], KafkaSource]
) -> None:
    def run(values: list[str]) -> None:
        producer = KafkaSink([kafka], check_sink(f"kafka:///{kafka}?topic={topic}").options, lambda _: (topic, None))
        producer.write([Record(value.encode()) for value in values])
        assert producer.flush() == []
        producer.close()
        sink = maria.sink(SCHEMA, f"group-{topic}")
        reader = source(sink)
        found: list[Record] = []
        wait_for(lambda: found.extend(reader.poll(10, 0.5)) or len(found) >= len(values), DEADLINE_S, "all records")
        start = len(maria.rows()) if maria.total("rows_inserted") else 0
        batch(sink, [maria.record(start + at, {"a": one.value.decode()}) for at, one in enumerate(found)])
        sink.commit_transaction({record.origin: record.offset + 1 for record in found if record.origin})
        reader.close()
        sink.close()

    run(["old 0", "old 1", "old 2"])
    admin = driver().admin([kafka])
    before = admin.topic_ids([topic])[topic]
    brokeradmin.delete_topic(kafka, topic)
    wait_for(lambda: not admin.topic_ids([topic]), DEADLINE_S, "the topic is gone")
    brokeradmin.create_topics(kafka, [topic], 1)
    wait_for(lambda: admin.topic_ids([topic]).get(topic, before) != before, DEADLINE_S, "another topic")
    run(["new 0", "new 1", "new 2", "new 3"])
    assert [row["event_a"] for row in maria.rows()] == [
        *(f"old {at}" for at in range(3)),
        *(f"new {at}" for at in range(4)),
    ]
    assert maria.total("positions_begun_anew") == 1
