# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Topics that are deleted and made again, on a real broker."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import brokeradmin
import pytest
from waiting import wait_for

from elworkers.connectors.kafka import topic_identity
from elworkers.connectors.kafka.pykafka import client, topic_creation, topics
from elworkers.connectors.kafka.sink import KafkaSink
from elworkers.connectors.kafka.source import KafkaSource
from elworkers.connectors.registry import check_sink, check_source
from elworkers.core.contracts import Record
from elworkers.core.errors import RetryableError
from elworkers.core.metrics import Counters

Unique = Callable[[str], str]
DEADLINE_S = 30.0


def test_a_topic_that_is_made_again_has_another_id(kafka: str, unique: Unique) -> None:
    cluster = client.connect([kafka])
    one, other = unique("topic"), unique("topic")
    topic_creation.create_missing(cluster, [one, other], 3, 1)
    first = wait_for(
        lambda: len(found := topics.ids(cluster, [one, other, "absent"])) == 2 and found, DEADLINE_S, "ids"
    )
    assert set(first) == {one, other}
    assert all(len(bytes.fromhex(found)) == 16 for found in first.values())
    brokeradmin.delete_topic(kafka, one)
    wait_for(lambda: set(topics.ids(cluster, [one, other])) == {other}, DEADLINE_S, "the topic is gone")
    brokeradmin.create_topics(kafka, [one], 3)
    again = wait_for(lambda: len(found := topics.ids(cluster, [one, other])) == 2 and found, DEADLINE_S, "ids")
    assert again[other] == first[other]
    assert again[one] != first[one]


def test_a_broker_without_ids_tells_none(kafka: str, unique: Unique) -> None:
    cluster = client.connect([kafka])
    topic = unique("topic")
    topic_creation.get_or_create(cluster, topic)
    # As a broker before Kafka 2.8 says it.
    cluster._api_versions[3] = cluster._api_versions[3]._replace(max=9)
    assert topics.ids(cluster, [topic]) == {}


def recreate(kafka: str, topic: str, partitions: int = 1) -> None:
    cluster = client.connect([kafka])
    before = topics.ids(cluster, [topic])[topic]
    brokeradmin.delete_topic(kafka, topic)
    wait_for(lambda: not topics.ids(cluster, [topic]), DEADLINE_S, "the topic is gone")
    brokeradmin.create_topics(kafka, [topic], partitions)
    wait_for(lambda: topics.ids(cluster, [topic]).get(topic, before) != before, DEADLINE_S, "another topic")
    topic_creation.get_or_create(client.connect([kafka]), topic)


class Reader:
    """Reads a topic as the loop does: builds its source anew after a failure, and commits what it has taken."""

    def __init__(self, kafka: str, topic: str, group: str, options: str = "") -> None:
        self._kafka = kafka
        text = f"kafka:///{kafka}?topic={topic}&session_timeout_ms=6000&metadata_max_age_ms=100{options}"
        self._options = check_source(text).options
        self._group = group
        self.metrics = Counters()
        self.source: KafkaSource | None = None
        self.said: list[str] = []
        self.records: list[Record] = []

    def poll(self) -> None:
        try:
            if self.source is None:
                self.source = KafkaSource([self._kafka], self._options, self._group, self.metrics)
            found = self.source.poll(100, 0.2)
            self.records += found
            self.source.commit({record.origin: record.offset + 1 for record in found if record.origin})
        except RetryableError as error:
            self.said.append(str(error))
            self.close()

    def values(self, count: int) -> list[bytes]:
        wait_for(lambda: self.poll() or len(self.records) >= count, DEADLINE_S, f"{count} records, {self.said}")
        return [record.value for record in self.records]

    def close(self) -> None:
        if self.source is not None:
            self.source.close()
        self.source = None


@pytest.fixture
def reader(kafka: str, unique: Unique) -> Iterator[Callable[..., Reader]]:
    made: list[Reader] = []

    def make(*words: str) -> Reader:
        made.append(Reader(kafka, *words))
        return made[-1]

    yield make
    for one in made:
        one.close()


def produce(kafka: str, topic: str, values: list[bytes]) -> None:
    options = check_sink(f"kafka:///{kafka}?topic={topic}&partitions=1").options
    sink = KafkaSink([kafka], options, lambda _: (topic, None))
    sink.write([Record(value) for value in values])
    assert sink.flush() == []
    sink.close()


@pytest.mark.parametrize("new", [2, 5], ids=["fewer than were read", "more than were read"])
@pytest.mark.parametrize("start", ["earliest", "latest"])
def test_a_running_consumer_reads_a_topic_made_again_from_its_beginning(
    kafka: str, unique: Unique, reader: Callable[..., Reader], new: int, start: str
) -> None:
    topic = unique("again")
    topic_creation.get_or_create(client.connect([kafka]), topic, 1)
    one = reader(topic, unique("group"), f"&auto_offset_reset={start}")
    one.poll()
    produce(kafka, topic, [b"old 0", b"old 1", b"old 2"])
    assert one.values(3) == [b"old 0", b"old 1", b"old 2"]
    first = one.records[0].origin
    recreate(kafka, topic)
    produce(kafka, topic, [b"new %d" % number for number in range(new)])
    wanted = {b"new %d" % number for number in range(new)}
    wait_for(
        lambda: one.poll() or ({record.value for record in one.records[3:]} == wanted and one.source),
        DEADLINE_S,
        "all of the new ones",
    )
    wait_for(lambda: one.poll() or one.metrics.summary().get("topics_recreated") == 1, DEADLINE_S, "it is counted")
    last = one.records[-1].origin
    assert first is not None
    assert last is not None
    assert first.topic_id != last.topic_id
    assert last.topic_id == topics.ids(client.connect([kafka]), [topic])[topic]


def test_a_consumer_that_was_away_does_not_take_offsets_of_the_topic_before(
    kafka: str, unique: Unique, reader: Callable[..., Reader], monkeypatch: pytest.MonkeyPatch
) -> None:
    topic, group = unique("again"), unique("group")
    produce(kafka, topic, [b"old 0", b"old 1"])
    one = reader(topic, group)
    assert one.values(2) == [b"old 0", b"old 1"]
    recreate(kafka, topic)
    produce(kafka, topic, [b"new %d" % number for number in range(4)])
    # A consumer that has noticed nothing commits where it was.
    assert one.source is not None
    fetcher = one.source._consumer._consumer._consumer
    fetcher.commit({0: 2})
    one.close()
    monkeypatch.setattr(topic_identity, "_topic_ids", {})
    other = reader(topic, group, "&auto_offset_reset=latest")
    assert other.values(4) == [b"new %d" % number for number in range(4)]
    assert other.metrics.summary()["topics_recreated"] == 1


def test_a_running_consumer_does_not_bring_a_deleted_topic_back(
    kafka: str, unique: Unique, reader: Callable[..., Reader]
) -> None:
    topic = unique("gone")
    produce(kafka, topic, [b"old"])
    one = reader(topic, unique("group"))
    assert one.values(1) == [b"old"]
    brokeradmin.delete_topic(kafka, topic)
    wait_for(
        lambda: one.poll() or any("once it is made" in said for said in one.said), DEADLINE_S, "it says that it waits"
    )
    assert topic not in topics.names(client.connect([kafka]))
    brokeradmin.create_topics(kafka, [topic], 1)
    produce(kafka, topic, [b"new"])
    assert one.values(2) == [b"old", b"new"]
