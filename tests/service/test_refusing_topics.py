# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""What a real broker refuses, of one record or one topic, stops nothing else and is written nowhere twice."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Iterator, Sequence

import brokeradmin
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elworkers.connectors.kafka.confluent.confluent_driver import ConfluentDriver
from elworkers.connectors.kafka.driver import Driver
from elworkers.connectors.kafka.producer_protocol import Producer, ProducerContext
from elworkers.connectors.kafka.pykafka import client, produce_requests, progress, topic_creation, topics
from elworkers.connectors.kafka.pykafka.pykafka_driver import PykafkaDriver
from elworkers.connectors.kafka.sink import settings as produced
from elworkers.connectors.registry import check_sink
from elworkers.core.contracts import Assignment, Record, RejectedRecord
from elworkers.core.deliveries import DeliveryLog
from elworkers.core.errors import ConfigurationError, InvalidEventError, RetryableError
from elworkers.core.metrics import Counters

Unique = Callable[[str], str]
Y2100_MS = 4_102_444_800_000
COMPACT = {"cleanup.policy": "compact"}


@pytest.fixture(params=[PykafkaDriver, ConfluentDriver], autouse=True, scope="module")
def driver(request: pytest.FixtureRequest) -> Iterator[None]:
    """Each driver in turn; the tests take it from here, because Hypothesis takes no fixture of a module."""
    _driver.append(request.param())
    yield
    _driver.clear()


_driver: list[Driver] = []


def producer_to(kafka: str, options: str = "", **keywords: object) -> Producer:
    typed = check_sink(f"kafka:///{kafka}?topic=x&partitions=1{options}").options
    return _driver[0].producer([kafka], produced(typed), ProducerContext(**keywords))  # type: ignore[arg-type]


def named(record: Record) -> tuple[str, bytes | None]:
    """The topic that stands in the record's event."""
    assert record.event is not None
    return record.event["topic"], record.key


def to(topic: str, *values: bytes, key: bytes | None = None, timestamp_ms: int = 0) -> list[Record]:
    return [Record(value, event={"topic": topic}, key=key, timestamp_ms=timestamp_ms) for value in values]


def count(kafka: str, topic: str) -> int:
    return sum(progress.ends(client.connect([kafka]), topic).values())


def refused(producer: Producer, records: Sequence[Record], *, derived: bool = True) -> list[RejectedRecord]:
    producer.produce(records, named, derived=derived)
    return producer.flush()


@pytest.mark.parametrize("compression", ["none", "gzip"])
@pytest.mark.parametrize("derived", [True, False])
def test_a_compacted_topic_refuses_what_has_no_key_and_nothing_else(
    kafka: str, unique: Unique, compression: str, derived: bool
) -> None:
    compact, other = unique("compact"), unique("other")
    brokeradmin.create_topic(kafka, compact, COMPACT)
    metrics = Counters()
    producer = producer_to(kafka, f"&compression={compression}", metrics=metrics)
    bad = to(compact, *(b"%d" % number for number in range(300)))
    good = [*to(compact, b"keyed", key=b"k"), *to(other, *(b"%d" % number for number in range(50)))]
    for round_ in (1, 2):
        found = refused(producer, [*bad, *good], derived=derived)
        assert {id(one.record) for one in found} == {id(record) for record in bad}
        assert len(found) == len(bad)
        assert all(compact in one.message for one in found)
        assert (count(kafka, compact), count(kafka, other)) == (round_, 50 * round_)
    assert "without a key" in metrics.aside[f"topic {compact}"]


@settings(max_examples=12)
@given(st.lists(st.booleans(), min_size=1, max_size=60), st.booleans())
def test_a_record_whose_time_the_topic_does_not_allow_is_refused_alone(
    kafka: str, late: list[bool], keyed: bool
) -> None:
    topic = f"times_{uuid.uuid4().hex}"
    brokeradmin.create_topic(kafka, topic, {"message.timestamp.after.max.ms": "3600000"})
    now_ms, key = int(time.time() * 1000), b"k" if keyed else None
    records = [
        to(topic, b"%d" % number, key=key, timestamp_ms=Y2100_MS if one else now_ms)[0]
        for number, one in enumerate(late)
    ]
    found = refused(producer_to(kafka), records, derived=False)
    # What is found in smaller parts comes later.
    assert sorted(one.record.value for one in found) == sorted(
        record.value for record in records if record.timestamp_ms == Y2100_MS
    )
    assert count(kafka, topic) == late.count(False)


@pytest.mark.parametrize("exists_first", [True, False])
def test_two_names_that_kafka_counts_as_one_are_never_mixed(kafka: str, unique: Unique, exists_first: bool) -> None:
    name = unique("Foo")
    owner, other, third = f"{name}_Bar", f"{name}.Bar", unique("third")
    if exists_first:
        topic_creation.get_or_create(client.connect([kafka]), owner)
    metrics = Counters()
    producer = producer_to(kafka, metrics=metrics)
    records = [*to(third, b"1"), *to(owner, b"2"), *to(other, b"3"), *to(third, b"4")]
    if exists_first:
        records.reverse()
    for round_ in (1, 2):
        found = refused(producer, records)
        assert [one.record.value for one in found] == [b"3"]
        assert owner in found[0].message
        assert (count(kafka, owner), count(kafka, third)) == (round_, 2 * round_)
    assert other not in topics.names(client.connect([kafka]))
    assert f"topic {other}" in metrics.aside


def test_both_go_on_where_both_topics_exist(kafka: str, unique: Unique) -> None:
    name = unique("Foo")
    topic_creation.get_or_create(client.connect([kafka]), f"{name}_Bar")
    with pytest.raises(ConfigurationError, match="that no other topic has"):
        topic_creation.get_or_create(client.connect([kafka]), f"{name}.Bar")
    assert refused(producer_to(kafka), to(f"{name}_Bar", b"1")) == []


@pytest.mark.parametrize("bad", [".", "..", "x" * 250, "__consumer_offsets", "__new"])
def test_a_name_made_from_an_event_that_kafka_refuses_is_that_events_fault(
    kafka: str, unique: Unique, bad: str
) -> None:
    good = unique("good")
    producer = producer_to(kafka)
    for round_ in (1, 2):
        found = refused(producer, [*to(good, b"a"), *to(bad, b"b"), *to(good, b"c")])
        assert [one.record.value for one in found] == [b"b"]
        assert count(kafka, good) == 2 * round_


def test_a_topic_that_the_operator_wrote_is_never_an_events_fault(kafka: str, unique: Unique) -> None:
    with pytest.raises(ConfigurationError, match="a name of letters"):
        refused(producer_to(kafka), to("..", b"x"), derived=False)
    with pytest.raises(ConfigurationError, match="replicas is larger"):
        refused(producer_to(kafka, "&replication=3"), to(unique("topic"), b"x"), derived=False)
    # Made from an event it waits: a broker may be away, and no event ends a program.
    with pytest.raises(RetryableError, match="replicas is larger"):
        refused(producer_to(kafka, "&replication=3"), to(unique("topic"), b"x"))
    # It was used before, so that this is no mistake of whoever wrote it.
    topic = unique("topic")
    with pytest.raises(RetryableError, match="replicas is larger"):
        refused(producer_to(kafka, "&replication=3", known_topics={topic}), to(topic, b"x"), derived=False)


def test_a_topic_that_takes_no_event_errors_is_an_outage(kafka: str, unique: Unique) -> None:
    topic = unique("errors")
    brokeradmin.create_topic(kafka, topic, COMPACT)
    records = to(topic, b"a", b"b")
    for record in records:
        record.valid = False
    with pytest.raises(RetryableError, match=f"the topic {topic} takes no EventErrors"):
        refused(producer_to(kafka), records)


@pytest.mark.parametrize("placed", [True, False])
def test_a_retry_writes_only_what_is_missing_where_it_is_missing(kafka: str, unique: Unique, placed: bool) -> None:
    good, stuck, origin = unique("good"), unique("stuck"), Assignment("raw", 0)
    topic_creation.get_or_create(client.connect([kafka]), good)
    # More replicas than there are brokers: that one cannot be made for now.
    too_many = "&replication=3"
    records = [*to(good, *(b"%d" % number for number in range(20))), *to(stuck, b"s", b"t")]
    if placed:
        for number, record in enumerate(records):
            record.origin, record.offset = origin, number
    delivered, metrics = DeliveryLog(), Counters()
    for claim in range(3):
        # As after each rebuilt pipeline: the same records, and another producer.
        for record in records:
            record.origin = origin._replace(assignment_epoch=claim) if placed else None
        with pytest.raises(RetryableError, match="replicas is larger"):
            refused(producer_to(kafka, too_many, delivered=delivered, metrics=metrics), records)
    assert count(kafka, good) == 20
    brokeradmin.create_topic(kafka, stuck, {})
    more = to(good, b"later")
    assert refused(producer_to(kafka, delivered=delivered, metrics=metrics), [*records, *more]) == []
    assert (count(kafka, good), count(kafka, stuck)) == (21, 2)
    delivered.forget({origin: len(records)})
    assert not delivered


def test_what_may_have_been_stored_is_written_again_and_counted_as_repeated(kafka: str, unique: Unique) -> None:
    topic, delivered, metrics = unique("topic"), DeliveryLog(), Counters()
    records = to(topic, b"a", b"b", b"c")
    # As after a connection that broke before the broker's answer.
    delivered.add(f"{kafka}/{topic}", records[:2], acknowledged=False)
    assert refused(producer_to(kafka, delivered=delivered, metrics=metrics), records) == []
    assert count(kafka, topic) == 3
    assert metrics.summary()["records_repeated"] == 2


class PlantedError(Exception):
    """What no code of ours raises."""


@settings(max_examples=12)
@given(st.lists(st.sampled_from(["good", "route", "encode", "no topic"]), min_size=1, max_size=30))
def test_a_record_that_makes_a_step_raise_is_refused_alone(kafka: str, faults: list[str]) -> None:
    topic = f"planted_{uuid.uuid4().hex}"
    encode = produce_requests.message_set

    def routed(record: Record) -> tuple[str, bytes | None]:
        if record.value == b"route":
            raise PlantedError("in the route")
        if record.value == b"no topic":
            raise InvalidEventError("has no topic of its own", "storage")
        return topic, None

    def encoded(records: Sequence[Record], *others: object) -> list[bytes]:
        if any(record.value == b"encode" for record in records):
            raise PlantedError("in the encoder")
        return encode(records, *others)  # type: ignore[arg-type]

    producer = producer_to(kafka)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(produce_requests, "message_set", encoded)
        # librdkafka encodes itself, and takes nothing but bytes.
        kind = bytes if isinstance(_driver[0], PykafkaDriver) else bytearray
        records = [Record((kind if fault == "encode" else bytes)(fault.encode())) for fault in faults]  # type: ignore[arg-type]
        producer.produce(records, routed, derived=True)
        found = producer.flush()
    assert sorted(one.record.value.decode() for one in found) == sorted(fault for fault in faults if fault != "good")
    assert {one.code for one in found if one.record.value in (b"route", b"encode")} <= {"processor"}
    assert {one.code for one in found if one.record.value == b"no topic"} <= {"storage"}
    assert count(kafka, topic) == faults.count("good")


def test_a_step_that_fails_for_a_good_record_too_is_a_crash(kafka: str) -> None:
    def broken(_record: Record) -> tuple[str, bytes | None]:
        raise PlantedError(os.devnull)

    with pytest.raises(PlantedError):
        producer_to(kafka).produce([Record(b"v")], broken)
