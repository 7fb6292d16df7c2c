# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Topics that transactional producers write to, on a real broker."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import modern
import pytest
from waiting import wait_for

from elworkers.config.endpoints import check_topics
from elworkers.connectors.kafka.pykafka import client, progress, topic_creation, transactions
from elworkers.connectors.kafka.pykafka.fetcher import Fetcher
from elworkers.connectors.kafka.pykafka.reader import TopicsReader
from elworkers.connectors.kafka.source import KafkaSource
from elworkers.connectors.registry import check_source
from elworkers.core.contracts import TopicPartition
from elworkers.core.metrics import Counters
from elworkers.roles.importer import topics_reader

Unique = Callable[[str], str]
DEADLINE_S = 30.0


def written(kafka: str, topic: str) -> set[int]:
    cluster = client.connect([kafka])
    partitions = topic_creation.get_or_create(cluster, topic).partitions.values()
    leaders = {(topic, partition.id): partition.leader for partition in partitions}
    return {number for _, number in transactions.with_transactions(cluster, leaders)}


def test_a_broker_tells_which_partitions_have_transactions(kafka: str, unique: Unique) -> None:
    topic = unique("topic")
    modern.create(kafka, topic, 3)
    modern.produce(kafka, topic, [b"plain"], 1)
    modern.produce(kafka, topic, [b"idempotent"], 2, idempotent=True)
    assert written(kafka, topic) == set()
    producer = modern.Transactions(kafka, topic, unique("id"), 0)
    producer.begin([b"a"])
    assert written(kafka, topic) == {0}, "open"
    producer.commit()
    assert written(kafka, topic) == {0}, "committed"


def test_the_batch_at_a_marker_is_seen(kafka: str, unique: Unique) -> None:
    topic = unique("topic")
    modern.create(kafka, topic, 1)
    modern.produce(kafka, topic, [b"plain"])
    producer = modern.Transactions(kafka, topic, unique("id"))
    producer.begin([b"a", b"b"])
    producer.abort()
    leader = topic_creation.get_or_create(client.connect([kafka]), topic).partitions[0].leader
    assert transactions.batches_at(leader, topic, 0, 0) == [(1, False, False)]
    assert transactions.batches_at(leader, topic, 0, 1) == [(3, True, False)]
    marker = wait_for(lambda: transactions.batches_at(leader, topic, 0, 3), DEADLINE_S, "the marker")
    assert marker == [(4, True, True)]
    assert [batch.next for batch in transactions.batches_at(leader, topic, 0, 0, 1_000_000)] == [1, 3, 4]
    assert transactions.batches_at(leader, topic, 0, 4) == [], "the end"


class Reader:
    """Reads a topic in a group, and commits what it has taken."""

    def __init__(self, kafka: str, topic: str, group: str, options: str = "") -> None:
        text = f"kafka:///{kafka}?topic={topic}&session_timeout_ms=6000&auto_offset_reset=earliest{options}"
        self.metrics = Counters()
        self.source = KafkaSource([kafka], check_source(text).options, group, self.metrics)
        self.found: list[bytes] = []

    def poll(self) -> list[bytes]:
        records = self.source.poll(100, 0.1)
        self.source.commit({record.origin: record.offset + 1 for record in records if record.origin})
        self.found += [record.value for record in records]
        return self.found


@pytest.fixture
def reader(kafka: str, unique: Unique) -> Iterator[Callable[..., Reader]]:
    made: list[Reader] = []

    def make(*words: str) -> Reader:
        made.append(Reader(kafka, *words))
        return made[-1]

    yield make
    for one in made:
        one.source.close()


def test_a_partition_with_transactions_stands_still_and_the_others_go_on(
    kafka: str, unique: Unique, reader: Callable[..., Reader]
) -> None:
    topic = unique("topic")
    modern.create(kafka, topic, 2)
    producer = modern.Transactions(kafka, topic, unique("id"), 0)
    producer.begin([b"committed"])
    producer.commit()
    producer.begin([b"aborted"])
    producer.abort()
    producer.begin([b"open"])
    modern.produce(kafka, topic, [b"plain"], 1)
    one = reader(topic, unique("group"))
    wait_for(lambda: one.poll() == [b"plain"], DEADLINE_S, "the other partition")
    assert "needs another driver" in one.metrics.aside[f"topic {topic}[0]"]
    modern.produce(kafka, topic, [b"later"], 1)
    wait_for(lambda: one.poll() == [b"plain", b"later"], DEADLINE_S, "the other partition goes on")
    producer.abort()


@pytest.mark.parametrize("age", [100, 300_000], ids=["seen when metadata is renewed", "seen at the marker"])
def test_transactions_that_begin_later_are_seen(
    kafka: str, unique: Unique, reader: Callable[..., Reader], monkeypatch: pytest.MonkeyPatch, age: int
) -> None:
    topic, group = unique("topic"), unique("group")
    modern.create(kafka, topic, 1)
    modern.produce(kafka, topic, [b"a", b"b"])
    one = reader(topic, group, f"&metadata_max_age_ms={age}")
    wait_for(lambda: one.poll() == [b"a", b"b"], DEADLINE_S, "what came before")
    producer = modern.Transactions(kafka, topic, unique("id"))
    producer.begin([b"void"])
    producer.abort()
    wait_for(lambda: one.poll() and one.metrics.aside, DEADLINE_S, "the word on it")
    before = list(one.found)
    modern.produce(kafka, topic, [b"behind"])
    looks: list[object] = []
    stand = Fetcher._stall
    monkeypatch.setattr(Fetcher, "_stall", lambda self, *words: (looks.append(words), stand(self, *words))[1])
    if age > DEADLINE_S * 1000:
        wait_for(lambda: one.poll() and len(looks) > 1, DEADLINE_S, "two more looks")
    assert one.poll() == before
    assert b"behind" not in before
    assert one.metrics.summary()["kafka_transactional_messages"] >= len(before) - 2


def test_who_reads_all_comes_to_the_end_and_does_not_ask_for_a_marker_again_and_again(
    kafka: str, unique: Unique, reader: Callable[..., Reader], monkeypatch: pytest.MonkeyPatch
) -> None:
    topic, group = unique("topic"), unique("group")
    modern.create(kafka, topic, 1)
    producer = modern.Transactions(kafka, topic, unique("id"))
    for value in (b"a", b"b"):
        producer.begin([value])
        producer.abort()
    asked: list[int] = []
    ask = Fetcher._request_fetch

    def spied(self: Fetcher, broker: Any, wanted: Any) -> Any:
        answer = ask(self, broker, wanted)
        asked.extend(one.next_offset for one in wanted)
        return answer

    monkeypatch.setattr(Fetcher, "_request_fetch", spied)
    one = reader(topic, group, "&transactions=read_uncommitted")
    cluster = client.connect([kafka])
    wait_for(
        lambda: (
            one.poll() == [b"a", b"b"] and progress.committed(cluster, group, topic) == progress.ends(cluster, topic)
        ),
        DEADLINE_S,
        "no lag",
    )
    assert progress.ends(cluster, topic) == {0: 4}
    assert asked.count(3) <= 3
    assert not one.metrics.aside
    one.source.close()
    producer.begin([b"void"])
    producer.abort()
    modern.produce(kafka, topic, [b"c"])
    again = reader(topic, group, "&transactions=read_uncommitted")
    wait_for(lambda: len(again.poll()) >= 2, DEADLINE_S, "what comes later")
    assert again.poll() == [b"void", b"c"]


def test_holes_of_a_compacted_topic_are_no_transactions(
    kafka: str, unique: Unique, reader: Callable[..., Reader]
) -> None:
    topic = unique("topic")
    modern.create(
        kafka,
        topic,
        1,
        cleanup_policy="compact",
        segment_ms="100",
        min_cleanable_dirty_ratio="0.01",
        max_compaction_lag_ms="100",
    )
    for number in range(20):
        modern.produce(kafka, topic, [b"%d" % number], key=b"same")
    leader = topic_creation.get_or_create(client.connect([kafka]), topic).partitions[0].leader

    def has_holes() -> bool:
        modern.produce(kafka, topic, [b"more"], key=b"same")
        batches = transactions.batches_at(leader, topic, 0, 0, 1_000_000)
        return batches[0].next > 1

    wait_for(has_holes, 2 * DEADLINE_S, "compaction")
    one = reader(topic, unique("group"))
    wait_for(lambda: b"more" in one.poll(), DEADLINE_S, "what was left")
    assert not one.metrics.aside


def test_an_importer_leaves_partitions_with_transactions(kafka: str, unique: Unique) -> None:
    topic = unique("topic")
    modern.create(kafka, topic, 2)
    producer = modern.Transactions(kafka, topic, unique("id"), 0)
    producer.begin([b"void"])
    producer.abort()
    modern.produce(kafka, topic, [b"plain"], 1)
    reader = TopicsReader([kafka])
    try:
        mine = [partition for partition in reader.partitions() if partition.topic == topic]
        assert reader.ranges(mine) == {TopicPartition(topic, 1): (0, 1)}
    finally:
        reader.close()


def test_a_log_tells_of_transactions_that_the_broker_has_forgotten(
    kafka: str, unique: Unique, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What comes before its marker looks like anything else.
    wanted = {unique("behind"): [b"plain", b"void"], unique("between"): []}
    for topic in wanted:
        modern.create(kafka, topic, 1)
        modern.produce(kafka, topic, [b"plain"])
        producer = modern.Transactions(kafka, topic, unique("id"))
        producer.begin([b"void"])
        producer.abort()
        if topic.startswith("between"):
            modern.produce(kafka, topic, [b"more"])
    monkeypatch.setattr(transactions, "with_transactions", lambda *_: set())
    reader = TopicsReader([kafka])
    try:
        for topic, values in wanted.items():
            mine = [partition for partition in reader.partitions() if partition.topic == topic]
            ranges = wait_for(
                lambda mine=mine: (found := reader.ranges(mine))[mine[0]].end >= 3 and found, DEADLINE_S, "the marker"
            )
            assert [value for one in reader.read(ranges) for *_, value in one.messages] == values
            assert reader.unreadable == {TopicPartition(topic, 0): transactions.EXPLANATION}
    finally:
        reader.close()


def test_an_importer_may_be_told_to_read_all_of_them(kafka: str, unique: Unique) -> None:
    topic = unique("topic")
    modern.create(kafka, topic, 1)
    producer = modern.Transactions(kafka, topic, unique("id"))
    producer.begin([b"void"])
    producer.abort()
    modern.produce(kafka, topic, [b"plain"])
    source = check_topics(f"kafka:///{kafka}?topics={topic}&transactions=read_uncommitted")
    reader = topics_reader(source)
    try:
        mine = [partition for partition in reader.partitions() if partition.topic == topic]
        read = [value for one in reader.read(reader.ranges(mine)) for *_, value in one.messages]
        assert read == [b"void", b"plain"]
        assert not reader.unreadable
    finally:
        reader.close()
