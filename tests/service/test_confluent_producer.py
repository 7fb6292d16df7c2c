# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Producers of the confluent driver while a real broker dies, refuses for now, or refuses one record for ever."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import modern
import pytest
from waiting import wait_for

from elworkers.connectors.kafka.confluent import delivery_client, producer
from elworkers.connectors.kafka.confluent.confluent_driver import ConfluentDriver
from elworkers.connectors.kafka.confluent.transactional_client import Timeouts
from elworkers.connectors.kafka.confluent.transactional_producer import ConfluentTransactionalProducer
from elworkers.connectors.kafka.driver import Reader
from elworkers.connectors.kafka.producer_protocol import Producer, ProducerContext, ProducerSettings
from elworkers.connectors.kafka.sink import settings
from elworkers.connectors.registry import check_sink
from elworkers.core.contracts import Record
from elworkers.core.deliveries import DeliveryLog
from elworkers.core.errors import RetryableError
from elworkers.core.metrics import Counters
from elworkers.devstack import Stack

Unique = Callable[[str], str]

DEADLINE_S = 90.0
BATCH = 50


@pytest.fixture(params=["kafka", "kafka44"])
def broker(request: pytest.FixtureRequest) -> str:
    """`host:port` of an old and of the newest Kafka in turn."""
    return str(request.getfixturevalue(request.param))


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have what is not delivered in a second fail."""
    monkeypatch.setattr(delivery_client, "DELIVERY_S", 0.5)


def produced(broker: str) -> ProducerSettings:
    return settings(check_sink(f"kafka:///{broker}?topic=x&ack_timeout_ms=500").options)


def transactional(broker: str, topic: str) -> ConfluentTransactionalProducer:
    return ConfluentTransactionalProducer(
        [broker], produced(broker), {}, no_reader, f"id-{topic}", timeouts=Timeouts(20_000, 600, 5.0)
    )


def no_reader(_: int) -> Reader:
    raise AssertionError("no topic is of a schema")


def write(producer: Producer, topic: str, values: list[bytes]) -> list[bytes]:
    """Write and flush; gives what is refused."""
    producer.produce([Record(value) for value in values], lambda _: (topic, b"k"))
    return [one.record.value for one in producer.flush()]


def batches() -> Iterator[list[bytes]]:
    number = 0
    while True:
        yield [b"%d" % (number + one) for one in range(BATCH)]
        number += BATCH


def again(make: Callable[[], Producer]) -> Producer:
    """A producer, as soon as one can be made."""

    def made() -> Producer | None:
        try:
            return make()
        except RetryableError:
            return None

    found = wait_for(made, DEADLINE_S, "a producer")
    assert found is not None
    return found


class Plain:
    """Writes batch after batch, each until it is written, as the loop does."""

    def __init__(self, broker: str, topic: str) -> None:
        self._topic = topic
        self._delivered, self.metrics = DeliveryLog(), Counters()
        self._make = lambda: ConfluentDriver().producer(
            [broker], produced(broker), ProducerContext(self.metrics, self._delivered)
        )
        self._producer: Producer = self._make()
        self.failures = self.batches = 0

    def write(self, values: list[bytes]) -> None:
        """Write a batch."""
        records = [Record(value) for value in values]
        while True:
            try:
                self._producer.produce(records, lambda _: (self._topic, b"k"))
                assert self._producer.flush() == []
            except RetryableError:
                self.failures += 1
                self._producer.close()
                self._producer = again(self._make)
            else:
                self._delivered.forget({})
                return


class InTransactions:
    """Writes batch after batch, each in a transaction, until it is committed."""

    def _again(self) -> ConfluentTransactionalProducer:
        made = again(lambda: transactional(self._broker, self._topic))
        assert isinstance(made, ConfluentTransactionalProducer)
        return made

    def __init__(self, broker: str, topic: str) -> None:
        self._broker = broker
        self._topic = topic
        # The broker makes its topic for transactions first.
        self._producer = self._again()
        self.failures = self.batches = 0

    def write(self, values: list[bytes]) -> None:
        """Write a batch."""
        while True:
            try:
                self._producer.begin()
                assert write(self._producer, self._topic, values) == []
                self._producer.commit()
            except RetryableError:
                self.failures += 1
                in_doubt = self._producer.in_doubt
                self._producer.close()
                self._producer = self._again()
                # The offsets of a group would say so as well.
                if in_doubt and values[0] in modern.committed_values(self._broker, self._topic, 1):
                    return
            else:
                return


def test_a_broker_that_is_killed_while_it_is_written_to_loses_nothing(
    own_stack: Stack, unique: Unique, impatient: None
) -> None:
    own_stack.up("kafka")
    broker = own_stack.env()["KAFKA"]
    writers = Plain(broker, unique("plain")), InTransactions(broker, unique("transactions"))
    for writer in writers:
        modern.create(broker, writer._topic)
    is_back = Event()

    def run(writer: Plain | InTransactions) -> int:
        left = 3
        for number, values in enumerate(batches(), 1):
            writer.write(values)
            writer.batches += 1
            left -= is_back.is_set()
            if not left:
                return number * BATCH
        raise AssertionError("there is always another batch")

    with ThreadPoolExecutor(2) as threads:
        running = [threads.submit(run, writer) for writer in writers]
        wait_for(lambda: all(writer.batches for writer in writers), DEADLINE_S, "messages")
        own_stack.kill("kafka")
        try:
            wait_for(lambda: all(writer.failures for writer in writers), DEADLINE_S, "an outage")
        finally:
            own_stack.start("kafka")
            is_back.set()
        counts = [one.result(DEADLINE_S) for one in running]
    plain, transactions = (Counter(modern.committed_values(broker, writer._topic, 1)) for writer in writers)
    assert plain.keys() == {b"%d" % number for number in range(counts[0])}
    assert plain.total() - len(plain) <= writers[0].metrics.summary().get("records_repeated", 0)
    assert transactions == Counter(b"%d" % number for number in range(counts[1]))


def test_what_is_refused_in_a_transaction_can_be_told_of_in_the_same_one(broker: str, unique: Unique) -> None:
    topic, keyless = unique("limited"), unique("compact")
    modern.create(broker, topic, max_message_bytes="2000")
    modern.create(broker, keyless, cleanup_policy="compact")
    producer = transactional(broker, topic)
    producer.begin()
    assert write(producer, topic, [b"before"]) == []
    large = [os.urandom(3_000) for _ in range(3)]
    producer.produce([Record(b"no key")], lambda _: (keyless, None))
    # Together they are too large as well, so that they have to stay apart.
    some = [b"%d" % number * 10 for number in range(1000, 1100)]
    refused = write(producer, topic, [*some[:50], *large[:2], *some[50:], large[2]])
    assert sorted(refused) == sorted([*large, b"no key"])
    assert write(producer, topic, [b"an EventError"]) == []
    producer.commit()
    assert sorted(modern.committed_values(broker, topic, 1)) == sorted([b"before", *some, b"an EventError"])
    assert modern.committed_values(broker, keyless, 1) == []
    producer.close()


def test_that_all_replicas_are_waited_for_is_said_once(
    kafka: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(producer, "_told_of_acks", set())
    said: list[bool] = []
    for acks in ("all", "1", "1"):
        options = check_sink(f"kafka-confluent:///{kafka}?topic=x&required_acks={acks}").options
        ConfluentDriver().producer([kafka], settings(options)).close()
        said.append("required_acks=1 is taken as required_acks=all" in capsys.readouterr().out)
    assert said == [False, True, False]
