# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Kafka source and sink on a real broker: groups by Kafka and by ZooKeeper, positions, topics, restarts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import brokeradmin
import pytest
from members import DEADLINE_S, Members, positions, produce, read, sink_to
from waiting import wait_for

from elworkers.connectors.kafka import batching_producer as producer_module
from elworkers.connectors.kafka.pykafka import client, progress, topic_creation, topics
from elworkers.connectors.kafka.pykafka.fetch_shares import _RESPONSE_BYTES, FetchShares
from elworkers.connectors.kafka.pykafka.producer import Producer
from elworkers.connectors.kafka.sink import KafkaSink, settings
from elworkers.connectors.kafka.source import KafkaSource
from elworkers.connectors.registry import check_sink
from elworkers.core.contracts import Assignment, Record
from elworkers.core.errors import ConfigurationError, RetryableError
from elworkers.devstack import Stack

Unique = Callable[[str], str]


@pytest.fixture(params=["kafka", "zookeeper"])
def members(request: pytest.FixtureRequest, kafka: str, unique: Unique) -> Iterator[Members]:
    zookeeper = request.getfixturevalue("zookeeper") if request.param == "zookeeper" else None
    made = Members(kafka, zookeeper, unique("group"))
    yield made
    made.close()


def values(records: list[Record]) -> list[bytes]:
    return sorted(record.value for record in records)


def test_a_group_goes_on_where_it_has_committed(kafka: str, members: Members, unique: Unique) -> None:
    topic = unique("topic")
    produce(kafka, topic, [b"%d" % number for number in range(20)])
    first = members.join(topic)
    taken = read(first, 20)
    assert values(taken) == sorted(b"%d" % number for number in range(20))
    first.commit(positions(taken))
    first.close()
    produce(kafka, topic, [b"new"])
    assert values(read(members.join(topic), 1)) == [b"new"]


def test_what_was_not_committed_is_read_again(kafka: str, members: Members, unique: Unique) -> None:
    topic = unique("topic")
    produce(kafka, topic, [b"a", b"b"])
    first = members.join(topic)
    assert values(read(first, 2)) == [b"a", b"b"]
    first.close()
    assert values(read(members.join(topic), 2)) == [b"a", b"b"]


def test_partitions_are_shared_out_and_taken_over(kafka: str, members: Members, unique: Unique) -> None:
    topic = unique("topic")
    produce(kafka, topic, [b"x"])
    first, second = members.join(topic), members.join(topic)

    def shares() -> list[int]:
        first.poll(10, 0.05)
        second.poll(10, 0.05)
        return sorted(first.partitions + second.partitions) if first.partitions and second.partitions else []

    wait_for(lambda: shares() == [0, 1, 2, 3] and len(first.partitions) == 2, DEADLINE_S, "two partitions each")
    first.close()
    wait_for(lambda: second.poll(10, 0.05) is not None and second.partitions == [0, 1, 2, 3], DEADLINE_S, "all of them")


def test_a_rebalance_waits_for_what_was_taken_and_nothing_is_read_twice(
    kafka: str, members: Members, unique: Unique
) -> None:
    topic = unique("topic")
    produce(kafka, topic, [b"%d" % number for number in range(40)])
    first = members.join(topic)
    taken = read(first, 40)
    # Joining lasts until the first member has let go, as it does in another process.
    with ThreadPoolExecutor(1) as elsewhere:
        joining = elsewhere.submit(members.join, topic)
        asked: list[bool] = []

        def flush() -> None:
            asked.append(joining.done())
            first.commit(positions(taken))

        first.flush_by(flush)
        wait_for(lambda: first.poll(10, 0.05) == [] and asked, DEADLINE_S, "a flush is asked for")
        second = joining.result(DEADLINE_S)
        assert asked == [False]

    def settled() -> bool:
        assert first.poll(10, 0.05) == []
        assert second.poll(10, 0.05) == []
        return len(first.partitions) == len(second.partitions) == 2

    wait_for(settled, DEADLINE_S, "two partitions each")
    produce(kafka, topic, [b"after"])
    later: list[Record] = []
    wait_for(lambda: later.extend(first.poll(9, 0.1) + second.poll(9, 0.1)) or later, DEADLINE_S, "the new message")
    assert values(later) == [b"after"]


def test_positions_of_a_partition_that_has_left_are_passed_over(kafka: str, members: Members, unique: Unique) -> None:
    topic = unique("topic")
    produce(kafka, topic, [b"a"])
    source = members.join(topic)
    (record,) = read(source, 1)
    assert record.origin is not None
    source.commit({record.origin._replace(assignment_epoch=99): 1, Assignment("other", 0): 1})
    source.close()
    assert values(read(members.join(topic), 1)) == [b"a"]


def test_a_new_group_at_the_latest_loses_nothing_over_a_restart(kafka: str, members: Members, unique: Unique) -> None:
    topic = unique("topic")
    produce(kafka, topic, [b"old"])
    first = members.join(topic, "&auto_offset_reset=latest")
    assert first.poll(10, 0.5) == []
    first.close()
    produce(kafka, topic, [b"while nobody was there"])
    found = read(members.join(topic, "&auto_offset_reset=latest"), 1)
    assert values(found) == [b"while nobody was there"]


def test_members_of_one_group_may_read_different_topics(kafka: str, members: Members, unique: Unique) -> None:
    one, other = unique("topic"), unique("topic")
    produce(kafka, one, [b"one"])
    produce(kafka, other, [b"other"])
    sources = {one: members.join(one), other: members.join(other)}
    found: dict[str, list[Record]] = {one: [], other: []}

    def both() -> bool:
        for topic, source in sources.items():
            found[topic] += source.poll(10, 0.05)
        return all(found.values()) and all(source.partitions == [0, 1, 2, 3] for source in sources.values())

    wait_for(both, DEADLINE_S, "each topic by its own member")
    assert {values(records)[0] for records in found.values()} == {b"one", b"other"}


def test_records_carry_kafkas_facts(kafka: str, members: Members, unique: Unique) -> None:
    topic = unique("topic")
    options = check_sink(f"kafka:///{kafka}?topic={topic}").options
    sink = KafkaSink([kafka], options, lambda _: (topic, b"key"))
    sink.write([Record(b"\x00\xff", timestamp_ms=1_469_796_874_000)])
    assert sink.flush() == []
    (record,) = read(members.join(topic), 1)
    assert (record.value, record.key, record.timestamp_ms) == (b"\x00\xff", b"key", 1_469_796_874_000)


def test_topics_get_the_partitions_that_the_uri_says(kafka: str, unique: Unique) -> None:
    cluster = client.connect([kafka])
    topic = unique("topic")
    assert len(topic_creation.get_or_create(cluster, topic, 3).partitions) == 3
    assert len(topic_creation.get_or_create(cluster, topic, 5).partitions) == 3, "an existing topic stays as it is"
    assert len(topic_creation.get_or_create(cluster, unique("topic")).partitions) == 1, "the broker's default"


def test_a_topic_that_cannot_be_made_says_why(kafka: str) -> None:
    cluster = client.connect([kafka])
    with pytest.raises(ConfigurationError, match="a name of letters"):
        topic_creation.get_or_create(cluster, "no spaces allowed")
    with pytest.raises(ConfigurationError, match="replicas is larger"):
        topic_creation.get_or_create(cluster, "too_many_replicas", 1, 3)


def test_the_same_key_always_goes_to_the_same_partition(kafka: str, unique: Unique) -> None:
    topic = unique("topic")
    options = check_sink(f"kafka:///{kafka}?topic={topic}&partitions=4").options
    for _ in range(2):
        sink = KafkaSink([kafka], options, lambda record: (topic, record.value))
        sink.write([Record(b"%d" % number) for number in range(50)])
        assert sink.flush() == []
    ends = progress.ends(client.connect([kafka]), topic)
    assert sum(ends.values()) == 100
    assert all(end % 2 == 0 for end in ends.values())
    assert sum(end > 0 for end in ends.values()) > 1


def test_a_message_that_the_broker_refuses_leaves_its_neighbours_stored(kafka: str, unique: Unique) -> None:
    topic = unique("topic")
    sink = sink_to(kafka, topic, "&max_request_size=100000000")
    too_large = Record(b"x" * 5 * 1024 * 1024)
    sink.write([Record(b"a"), too_large, Record(b"b")])
    refused = sink.flush()
    assert [refusal.record for refusal in refused] == [too_large]
    assert topic in refused[0].message
    assert sum(progress.ends(client.connect([kafka]), topic).values()) == 2


@pytest.mark.parametrize("compression", ["none", "gzip", "snappy"])
def test_batches_larger_than_a_request_are_split(kafka: str, unique: Unique, compression: str) -> None:
    topic = unique("topic")
    sink = sink_to(kafka, topic, f"&max_request_size=1000&compression={compression}")
    sink.write([Record(b"%d" % number * 100) for number in range(100)])
    assert sink.flush() == []
    assert sum(progress.ends(client.connect([kafka]), topic).values()) == 100


def test_a_full_message_set_goes_on_in_the_next_partition(kafka: str, unique: Unique) -> None:
    topic = unique("topic")
    sink = sink_to(kafka, topic, "&max_request_size=1000&partitions=4")
    sink.write([Record(b"x" * 400) for _ in range(8)])
    assert sink.flush() == []
    assert set(progress.ends(client.connect([kafka]), topic).values()) == {2}


def test_sinks_that_share_a_producer_send_together(kafka: str, unique: Unique) -> None:
    names = [unique("topic"), unique("topic")]
    options = check_sink(f"kafka:///{kafka}?topic=x").options
    producer = Producer([kafka], settings(options))
    sinks = [KafkaSink([kafka], options, lambda _, name=name: (name, None), producer=producer) for name in names]
    for sink in sinks:
        sink.write([Record(b"v")])
    assert sinks[0].flush() == []
    cluster = client.connect([kafka])
    assert [sum(progress.ends(cluster, name).values()) for name in names] == [1, 1]


def test_what_has_become_much_is_sent_before_the_flush(
    kafka: str, unique: Unique, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(producer_module, "_MAX_BYTES", 1_000)
    topic = unique("topic")
    producer = Producer([kafka], settings(check_sink(f"kafka:///{kafka}?topic=x&partitions=1").options))
    producer.produce([Record(b"v" * 400)] * 2, lambda _: (topic, None))
    assert producer.wants_more(), "a set of two small messages"
    assert topic not in topics.names(client.connect([kafka]))
    producer.produce([Record(b"v" * 400, key=b"k")], lambda record: (topic, record.key))
    assert not producer.wants_more(), "nothing is waiting"
    cluster = client.connect([kafka])
    assert progress.ends(cluster, topic) == {0: 3}
    assert producer.flush() == []
    assert progress.ends(cluster, topic) == {0: 3}


@pytest.mark.parametrize("key", [None, b"k"])
def test_the_sets_of_one_partition_are_sent_in_their_order(
    kafka: str, members: Members, unique: Unique, key: bytes | None
) -> None:
    topic = unique("topic")
    options = check_sink(f"kafka:///{kafka}?topic=x&max_request_size=1000&partitions=1").options
    sink = KafkaSink([kafka], options, lambda _: (topic, key))
    values = [b"%03d" % number * 100 for number in range(20)]
    sink.write([Record(value) for value in values])
    assert sink.flush() == []
    assert [record.value for record in read(members.join(topic), 20)] == values


def test_many_new_topics_are_made_together(kafka: str, unique: Unique, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[object] = []
    update = client._Cluster.update
    monkeypatch.setattr(client._Cluster, "update", lambda self: (looks.append(self), update(self))[1])
    names = [unique("topic") for _ in range(60)]
    routed = iter(names)
    sink = KafkaSink([kafka], check_sink(f"kafka:///{kafka}?topic=x").options, lambda _: (next(routed), None))
    sink.write([Record(b"v")] * len(names))
    assert sink.flush() == []
    assert len(looks) < len(names)
    cluster = client.connect([kafka])
    assert [sum(progress.ends(cluster, name).values()) for name in names] == [1] * len(names)


def test_a_message_larger_than_a_fetch_is_read(kafka: str, members: Members, unique: Unique) -> None:
    topic = unique("topic")
    large = b"x" * 300_000
    produce(kafka, topic, [b"before", large, b"behind"], "&partitions=1")
    records = read(members.join(topic, "&fetch_message_max_bytes=1000"), 3)
    assert [record.value for record in records] == [b"before", large, b"behind"]


def test_many_messages_larger_than_a_fetch_are_read_a_few_at_a_time(
    kafka: str, members: Members, unique: Unique, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    shares_of = FetchShares.allocate

    def spied(self: FetchShares, wanted: Sequence[int], *, throttled: bool) -> dict[int, int]:
        shares = shares_of(self, wanted, throttled=throttled)
        asked.append(sum(shares.values()))
        return shares

    monkeypatch.setattr(FetchShares, "allocate", spied)
    topic, partitions = unique("topic"), 64
    produce(kafka, topic, [b"x" * 300_000] * partitions, f"&partitions={partitions}")
    records = read(members.join(topic), partitions)
    assert {record.origin.partition for record in records if record.origin} == set(range(partitions))
    assert max(asked) <= partitions * 64 * 1024 + _RESPONSE_BYTES


def test_async_false_waits_for_each_message(kafka: str, unique: Unique) -> None:
    topic = unique("topic")
    sink = sink_to(kafka, topic, "&async=False")
    sink.write([Record(b"a"), Record(b"b")])
    assert sum(progress.ends(client.connect([kafka]), topic).values()) == 2


def test_what_a_group_has_committed_is_what_it_reads_next(kafka: str, unique: Unique) -> None:
    topic, group = unique("topic"), unique("group")
    produce(kafka, topic, [b"a", b"b", b"c"], "&partitions=1")
    members = Members(kafka, None, group)
    source = members.join(topic)
    taken = read(source, 3)
    source.commit(positions(taken[:1]))
    assert progress.committed(client.connect([kafka]), group, topic) == {0: 1}
    members.close()


def test_use_rdkafka_without_the_extension_is_a_clear_error(kafka: str, zookeeper: str) -> None:
    members = Members(kafka, zookeeper, "group")
    with pytest.raises(ConfigurationError, match="librdkafka extension is not built"):
        members.join("topic", "&use_rdkafka=True")
    with pytest.raises(ConfigurationError, match="only for groups managed by ZooKeeper"):
        Members(kafka, None, "group").join("topic", "&use_rdkafka=True")


def test_no_broker_is_retryable_and_named() -> None:
    with pytest.raises(RetryableError, match=r"127\.0\.0\.1:1"):
        client.connect(["127.0.0.1:1"])


def test_a_broker_that_was_killed_is_retryable_and_a_new_client_goes_on(own_stack: Stack, unique: Unique) -> None:
    own_stack.up("kafka")
    kafka, topic = own_stack.env()["KAFKA"], unique("topic")
    produce(kafka, topic, [b"before"], "&partitions=1")
    members = Members(kafka, None, unique("group"))
    source, sink = members.join(topic), sink_to(kafka, topic)
    taken = read(source, 1)
    source.commit(positions(taken))
    sink.write([Record(b"first")])
    sink.flush()
    own_stack.kill("kafka")
    sink.write([Record(b"lost with the sink")])
    with pytest.raises(RetryableError):
        sink.flush()

    def fails(call: Callable[[], Any]) -> bool:
        try:
            call()
        except RetryableError:
            return True
        return False

    wait_for(lambda: fails(lambda: source.poll(10, 0.1)), 60, "the source notices that the broker is gone")
    source.close()
    own_stack.start("kafka")
    assert values(read(members.join(topic), 1)) == [b"first"]
    members.close()


def read_all(source: KafkaSource, count: int) -> list[Record]:
    """So many records."""
    found: list[Record] = []
    wait_for(lambda: found.extend(source.poll(100, 0.5)) or len(found) >= count, DEADLINE_S, f"{count} records")
    return found


def test_partitions_that_were_added_are_noticed_and_read_from_their_beginning(
    kafka: str, members: Members, unique: Unique
) -> None:
    topic = unique("grows")
    produce(kafka, topic, [b"first"], "&partitions=1")
    source = members.join(topic, "&auto_offset_reset=earliest")
    first = read_all(source, 1)
    source.commit({record.origin: record.offset + 1 for record in first if record.origin})
    source.close()

    source = members.join(topic, "&auto_offset_reset=latest&metadata_max_age_ms=100")
    brokeradmin.add_partitions(kafka, topic, 3)

    def refused() -> str:
        try:
            source.poll(10, 0.1)
        except RetryableError as error:
            return str(error)
        return ""

    assert f"topic {topic} has 3 partitions now, not 1" in wait_for(refused, DEADLINE_S, "the notice")
    source.close()
    # Before the consumer is back: at the latest offset these would be lost.
    produce(kafka, topic, [b"%d" % number for number in range(6)])
    again = members.join(topic, "&auto_offset_reset=latest")
    assert sorted(record.value for record in read_all(again, 6)) == [b"%d" % number for number in range(6)]
    assert again.partitions == [0, 1, 2]


def test_a_sink_uses_partitions_that_were_added(kafka: str, unique: Unique) -> None:
    topic = unique("grows")
    sink = sink_to(kafka, topic, "&partitions=1&metadata_max_age_ms=1")
    sink.write([Record(b"first")])
    assert sink.flush() == []
    brokeradmin.add_partitions(kafka, topic, 2)

    def both_used() -> bool:
        sink.write([Record(b"later")])
        assert sink.flush() == []
        cluster = client.connect([kafka])
        cluster.update()
        return all(progress.ends(cluster, topic).values())

    wait_for(both_used, DEADLINE_S, "a message in the new partition")


def test_what_kafka_has_deleted_is_counted_and_passed_over(kafka: str, members: Members, unique: Unique) -> None:
    topic = unique("gap")
    produce(kafka, topic, [b"%d" % number for number in range(10)], "&partitions=1")
    source = members.join(topic, "&auto_offset_reset=earliest")
    read_all(source, 10)
    source.commit({})
    source.close()
    brokeradmin.delete_records(kafka, topic, 0, 7)
    again = members.join(topic, "&auto_offset_reset=latest")
    assert [record.value for record in read_all(again, 3)] == [b"7", b"8", b"9"]
    assert members.metrics.totals["kafka_gap_messages", (("topic", topic),)] == 7
