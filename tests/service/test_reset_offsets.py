# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""A group whose positions are in a database, and whose offsets in Kafka somebody has changed; a group that is new."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from databases import Place
from members import DEADLINE_S, Members, produce, read
from pykafka.protocol import PartitionOffsetCommitRequest
from structlog.testing import capture_logs
from waiting import wait_for

from elworkers.connectors.kafka.drivers import driver
from elworkers.connectors.kafka.pykafka import client
from elworkers.connectors.kafka.source import KafkaSource
from elworkers.connectors.registry import check_source
from elworkers.connectors.sql.sink import SqlSink
from elworkers.core.contracts import TopicPartition
from elworkers.core.metrics import Counters

DIFFER = "the group's offsets in Kafka are not its positions in the database, which count"
BY_DEFAULT = "a new group begins at the earliest, because auto_offset_reset is not given"


@pytest.fixture(params=["kafka", "zookeeper"])
def extra(request: pytest.FixtureRequest) -> str:
    """Options of a group that Kafka or ZooKeeper manages."""
    return f"&zookeeper_connect={request.getfixturevalue('zookeeper')}" if request.param == "zookeeper" else ""


@pytest.fixture
def place(mariadb: str, unique: Callable[[str], str]) -> Iterator[Place]:
    made = Place(mariadb, unique("Test"))
    yield made
    made.close()


class Consumer:
    """A source, and a sink that keeps its positions."""

    def __init__(self, kafka: str, topic: str, sink: SqlSink, group: str, extra: str = "") -> None:
        text = f"kafka:///{kafka}?topic={topic}&session_timeout_ms=6000{extra}"
        self.sink = sink
        self.source = KafkaSource([kafka], check_source(text).options, group, Counters(), offset_store=sink)

    def read(self, count: int) -> list[bytes]:
        found = read(self.source, count) if count else self.source.poll(1, 1.0)
        ends = {record.origin: record.offset + 1 for record in found if record.origin is not None}
        self.sink.commit_transaction(ends)
        self.source.commit(ends)
        return [record.value for record in found]

    def close(self) -> None:
        self.source.close()


def set_offsets(kafka: str, group: str, topic: str, at: dict[int, int]) -> None:
    """What Kafka's own tool does with `--reset-offsets`, once the group is empty."""
    cluster = client.connect([kafka])
    requests = [PartitionOffsetCommitRequest(topic.encode(), number, offset, -1, b"") for number, offset in at.items()]

    def done() -> bool:
        coordinator = cluster.get_group_coordinator(group.encode())
        answer: Any = coordinator.commit_consumer_group_offsets(group.encode(), -1, b"", requests)
        return not any(part.err for part in answer.topics[topic.encode()].values())

    wait_for(done, DEADLINE_S, "an empty group")


def warnings(logs: list[Any], topic: str) -> list[Any]:
    """Those of a topic; the tables of other tests may be narrower than they should be."""
    return [entry for entry in logs if entry["log_level"] == "warning" and entry.get("topic") == topic]


@pytest.mark.parametrize("to", [0, 3])
def test_offsets_that_were_reset_are_said_once_and_set_right_at_once(
    kafka: str, place: Place, unique: Callable[[str], str], to: int, extra: str
) -> None:
    topic, group = unique("topic"), unique("group")
    produce(kafka, topic, [b"%d" % number for number in range(5)], "&partitions=1")
    first = Consumer(kafka, topic, place.sink({}, group), group, extra)
    assert len(first.read(5)) == 5
    first.close()
    set_offsets(kafka, group, topic, {0: to})
    with capture_logs() as logs:
        second = Consumer(kafka, topic, place.sink({}, group), group, extra)
        assert second.read(0) == []
    said = warnings(logs, topic)
    assert [entry["event"] for entry in said] == [DIFFER]
    assert said[0]["partitions"] == {0: {"kafka": to, "database": 5}}
    assert (said[0]["group"], said[0]["topic"]) == (group, topic)
    # Nothing was read, and there is no lag.
    assert driver().admin([kafka]).committed(group, topic) == {TopicPartition(topic, 0): 5}
    second.close()
    with capture_logs() as logs:
        third = Consumer(kafka, topic, place.sink({}, group), group, extra)
        assert third.read(0) == []
    assert warnings(logs, topic) == []
    third.close()


def test_a_position_in_the_database_that_was_put_back_is_read_from_and_committed(
    kafka: str, place: Place, unique: Callable[[str], str]
) -> None:
    topic, group = unique("topic"), unique("group")
    produce(kafka, topic, [b"%d" % number for number in range(5)], "&partitions=1")
    first = Consumer(kafka, topic, place.sink({}, group), group)
    first.read(5)
    first.close()
    place.do(f"UPDATE eventlogging_offsets SET next_offset = 2 WHERE consumer_group = '{group}'")  # noqa: S608
    with capture_logs() as logs:
        second = Consumer(kafka, topic, place.sink({}, group), group)
        assert second.read(3) == [b"2", b"3", b"4"]
    (said,) = [entry for entry in logs if entry["event"] == DIFFER]
    assert said["partitions"] == {0: {"kafka": 5, "database": 2}}
    second.close()


def test_offsets_that_kafka_has_forgotten_are_no_new_group(
    kafka: str, place: Place, unique: Callable[[str], str]
) -> None:
    topic, group = unique("topic"), unique("group")
    produce(kafka, topic, [b"%d" % number for number in range(5)], "&partitions=1")
    first = Consumer(kafka, topic, place.sink({}, group), group)
    first.read(5)
    first.close()
    # Another name for the same positions: of that one Kafka knows nothing.
    place.do(f"UPDATE eventlogging_offsets SET consumer_group = '{group}-2' WHERE consumer_group = '{group}'")  # noqa: S608
    place.do(f"UPDATE eventlogging_topic_ids SET consumer_group = '{group}-2' WHERE consumer_group = '{group}'")  # noqa: S608
    with capture_logs() as logs:
        second = Consumer(kafka, topic, place.sink({}, f"{group}-2"), f"{group}-2")
        assert second.read(0) == []
    assert BY_DEFAULT not in [entry["event"] for entry in logs]
    assert DIFFER in [entry["event"] for entry in logs]
    assert driver().admin([kafka]).committed(f"{group}-2", topic) == {TopicPartition(topic, 0): 5}
    second.close()


@pytest.mark.parametrize("given", ["", "&auto_offset_reset=earliest", "&auto_offset_reset=latest"])
def test_where_a_new_group_begins_by_default_is_said_once(
    kafka: str, unique: Callable[[str], str], given: str, extra: str
) -> None:
    topic, group = unique("topic"), unique("group")
    produce(kafka, topic, [b"a"])
    members = Members(kafka, None, group)
    events: list[list[str]] = []
    for _ in range(2):
        with capture_logs() as logs:
            source = members.join(topic, extra + given)
            source.poll(10, 0.5)
            source.close()
        events.append([entry["event"] for entry in logs if entry["event"] == BY_DEFAULT])
    assert events == [[] if given else [BY_DEFAULT], []]
