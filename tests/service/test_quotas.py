# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Quotas of a broker: what they let through is read and written at their pace, and that is said."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import brokeradmin
import modern
import pytest
from pykafka.protocol.base import Request
from waiting import wait_for

from elworkers.connectors.kafka import drivers
from elworkers.connectors.kafka.producer_protocol import ProducerSettings
from elworkers.connectors.kafka.pykafka import client, progress
from elworkers.connectors.kafka.pykafka.producer import Producer
from elworkers.connectors.kafka.pykafka.reader import TopicsReader
from elworkers.connectors.kafka.source import KafkaSource
from elworkers.connectors.registry import check_source
from elworkers.core.contracts import Record, TopicPartition
from elworkers.core.errors import RetryableError
from elworkers.core.metrics import Counters

Unique = Callable[[str], str]
Limit = Callable[[str, float | None], None]
DEADLINE_S = 90.0
MESSAGE = b"x" * 1000
SET = [MESSAGE] * 60
SAID = "the broker throttles this client by a quota"


@pytest.fixture
def limit(kafka: str, unique: Unique) -> Iterator[Limit]:
    """Sets quotas of this process, which has a client id of its own."""
    before, own = Request.CLIENT_ID.decode(), unique("client")
    # Sources and sinks take the name from `drivers`, which a command that was called in this process has set.
    for named in (drivers.name_process, client.set_client_id):
        named(own)
    names: set[str] = set()

    def set_quota(name: str, value: float | None) -> None:
        names.add(name)
        brokeradmin.set_quota(kafka, own, name, value)

    yield set_quota
    for name in names:
        brokeradmin.set_quota(kafka, own, name, None)
    for named in (drivers.name_process, client.set_client_id):
        named(before)


def source_of(kafka: str, topic: str, group: str, metrics: Counters, session_ms: int = 3000) -> KafkaSource:
    text = f"kafka:///{kafka}?topic={topic}&session_timeout_ms={session_ms}&auto_offset_reset=earliest"
    return KafkaSource([kafka], check_source(text).options, group, metrics)


def read(source: KafkaSource, count: int) -> list[Record]:
    found: list[Record] = []

    def have_come() -> bool:
        records = source.poll(1000, 0.2)
        source.commit({one.origin: one.offset + 1 for one in records if one.origin})
        found.extend(records)
        return len(found) >= count

    wait_for(have_come, DEADLINE_S, f"{count} records")
    return found


@pytest.mark.parametrize(
    ("quota", "session_ms"), [(("consumer_byte_rate", 20_000), 3000), (("request_percentage", 0.1), 20_000)]
)
def test_a_consumer_under_a_quota_reads_on_and_says_so_once(
    kafka: str,
    unique: Unique,
    limit: Limit,
    capsys: pytest.CaptureFixture[str],
    quota: tuple[str, float],
    session_ms: int,
) -> None:
    topic = unique("slow")
    modern.create(kafka, topic, 2)
    for number in range(5):
        modern.produce(kafka, topic, SET, number % 2)
    limit(*quota)
    metrics = Counters()
    source = source_of(kafka, topic, unique("group"), metrics, session_ms)
    try:
        records = read(source, 300)
        # As long again as a broker mutes: the member is still one, and what it has can be committed.
        last = {one.origin: one.offset + 1 for one in records[-1:] if one.origin}
        source.commit(last)
        said: list[str] = []

        def is_said() -> bool:
            # A quick broker may not have taken long enough for them; these requests come one upon the other.
            source.commit(last)
            said.extend(line for line in capsys.readouterr().out.splitlines() if SAID in line)
            return bool(said)

        wait_for(is_said, DEADLINE_S, "the word on it")
    finally:
        source.close()
    assert sorted((one.origin.partition, one.offset) for one in records if one.origin) == [
        (partition, offset) for partition, end in ((0, 180), (1, 120)) for offset in range(end)
    ]
    assert len(said) == 1
    assert "throttle_ms=" in said[0]
    assert kafka in said[0]
    assert not metrics.aside


def test_a_set_that_no_quota_lets_through_stands_still_alone(kafka: str, unique: Unique, limit: Limit) -> None:
    topic = unique("over")
    modern.create(kafka, topic, 2)
    modern.produce(kafka, topic, SET, 0)
    modern.produce(kafka, topic, [b"small"], 1)
    limit("consumer_byte_rate", 4_000)
    metrics = Counters()
    source = source_of(kafka, topic, unique("group"), metrics)
    try:
        assert [one.value for one in read(source, 1)] == [b"small"]
        wait_for(lambda: source.poll(100, 0.2) or metrics.aside, DEADLINE_S, "the word on it")
        assert "raise the quota" in metrics.aside[f"topic {topic}[0]"]
        limit("consumer_byte_rate", 1_000_000)
        assert [one.value for one in read(source, 60)] == SET
        assert not metrics.aside
    finally:
        source.close()


def test_an_importer_under_a_quota_passes_nothing_over(kafka: str, unique: Unique, limit: Limit) -> None:
    topic = unique("imported")
    modern.create(kafka, topic, 2)
    for partition in (0, 1):
        modern.produce(kafka, topic, SET + SET, partition)
    limit("consumer_byte_rate", 20_000)
    reader = TopicsReader([kafka])
    try:
        ranges = reader.ranges([one for one in reader.partitions() if one.topic == topic])
        found = [(one.partition.partition, message[0]) for one in reader.read(ranges) for message in one.messages]
        assert sorted(found) == [(partition, offset) for partition in (0, 1) for offset in range(120)]
        assert not reader.unreadable
    finally:
        reader.close()


def test_an_importer_stops_at_a_set_that_no_quota_lets_through(kafka: str, unique: Unique, limit: Limit) -> None:
    topic = unique("imported")
    modern.create(kafka, topic, 2)
    modern.produce(kafka, topic, SET, 0)
    modern.produce(kafka, topic, [b"small"], 1)
    limit("consumer_byte_rate", 4_000)
    reader = TopicsReader([kafka])
    try:
        ranges = reader.ranges([one for one in reader.partitions() if one.topic == topic])
        found = [message[3] for one in reader.read(ranges) for message in one.messages]
        assert found == [b"small"]
        assert set(reader.unreadable) == {TopicPartition(topic, 0)}
        assert "raise the quota" in reader.unreadable[TopicPartition(topic, 0)]
    finally:
        reader.close()


def test_a_producer_keeps_to_a_quota_and_writes_nothing_twice(
    kafka: str, unique: Unique, limit: Limit, capsys: pytest.CaptureFixture[str]
) -> None:
    topic = unique("written")
    modern.create(kafka, topic, 1)
    limit("producer_byte_rate", 20_000)

    def write(count: int) -> None:
        producer = Producer([kafka], ProducerSettings(-1, 10_000, "none", 1_000_000, 1, 1, 60_000))
        producer.produce([Record(MESSAGE)] * count, lambda _: (topic, None))
        assert producer.flush() == []
        producer.close()

    def end() -> int:
        return progress.ends(client.connect([kafka]), topic)[0]

    for written in (260, 320, 1220):
        write(written - end())
        assert end() == written
    # A minute and more; whoever has only just begun knows it as well.
    for _ in range(2):
        with pytest.raises(RetryableError, match="producer_byte_rate"):
            write(1)
    assert end() == 1220
    assert len([line for line in capsys.readouterr().out.splitlines() if SAID in line]) == 1
