# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""One harness for each driver of Kafka: clients of it, and what an administrator does to their topic."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence

import brokeradmin
import modern
from kafkaproxy import KafkaProxy
from waiting import wait_for

from elworkers.connectors.kafka.confluent.confluent_driver import ConfluentDriver
from elworkers.connectors.kafka.confluent.transactional_client import Timeouts
from elworkers.connectors.kafka.confluent.transactional_producer import ConfluentTransactionalProducer
from elworkers.connectors.kafka.driver import Consumer, Driver
from elworkers.connectors.kafka.drivers import driver, in_memory
from elworkers.connectors.kafka.memory.broker import MemoryBroker
from elworkers.connectors.kafka.producer_protocol import Producer, ProducerContext
from elworkers.connectors.kafka.sink import settings
from elworkers.connectors.kafka.transactional import TransactionalDriver, TransactionalProducer
from elworkers.connectors.registry import check_sink, check_source
from elworkers.core.contracts import Record, TopicPartition
from elworkers.core.deliveries import Deliveries
from elworkers.core.metrics import Counters

DEADLINE_S = 60.0


class RecordingListener:
    """What a consumer tells, in order; a `driver.AssignmentListener`.

    Attributes:
        overrides: where partitions are to begin that the group would have begin elsewhere.
        flush: called where partitions leave.
        threads: those that have told something.
    """

    def __init__(self) -> None:
        self.positions: list[dict[TopicPartition, int]] = []
        self.revocations: list[tuple[list[TopicPartition], bool]] = []
        self.offset_resets: list[tuple[TopicPartition, int, int]] = []
        self.overrides: dict[TopicPartition, int] = {}
        self.flush: Callable[[], None] = lambda: None
        self.threads: set[int] = set()

    def assigned(self, positions: Mapping[TopicPartition, int]) -> Mapping[TopicPartition, int]:
        self.threads.add(threading.get_ident())
        self.positions.append(dict(positions))
        return {partition: at for partition, at in self.overrides.items() if partition in positions}

    def revoked(self, partitions: Collection[TopicPartition], *, lost: bool) -> None:
        self.threads.add(threading.get_ident())
        self.revocations.append((sorted(partitions), lost))
        if not lost:
            self.flush()

    def offset_reset(self, partition: TopicPartition, wanted: int, earliest: int) -> None:
        self.threads.add(threading.get_ident())
        self.offset_resets.append((partition, wanted, earliest))


class Member:
    """A consumer of the harness's topic, what it was told and what it has read."""

    def __init__(self, consumer: Consumer, listener: RecordingListener) -> None:
        self.consumer = consumer
        self.listener = listener
        self.values: list[bytes | None] = []
        self.ends: dict[TopicPartition, int] = {}

    def poll(self, limit: int = 1000, timeout_s: float = 0.05) -> int:
        """How many messages there were; each list is checked."""
        count = 0
        for partition, found in self.consumer.poll(limit, timeout_s):
            offsets = [message[0] for message in found]
            assert offsets == sorted(set(offsets)) != []
            self.values += [message[3] for message in found]
            self.ends[partition] = offsets[-1] + 1
            count += len(found)
        assert count <= limit
        return count

    def read(self, count: int, limit: int = 1000) -> list[bytes | None]:
        """All values so far, once there are so many."""
        wait_for(lambda: (self.poll(limit), len(self.values) >= count)[1], DEADLINE_S, f"{count} messages")
        return self.values

    def holds(self, *partitions: int) -> None:
        """Wait until these are the partitions that it has."""
        wait_for(
            lambda: (self.poll(), [one.partition for one in self.consumer.assigned()] == list(partitions))[1],
            DEADLINE_S,
            f"partitions {partitions}",
        )


class DriverHarness:
    """A topic of two partitions, and clients of one driver.

    Attributes:
        driver, hosts: what clients are made by and for.
        topic, partitions: the topic, and its partitions.
    """

    driver: Driver
    hosts: Sequence[str]

    def __init__(self) -> None:
        self.topic = f"driver_{uuid.uuid4().hex}"
        self.group = f"group-{self.topic}"
        self.partitions = [TopicPartition(self.topic, number) for number in range(2)]
        self.metrics = Counters()
        self._members: list[Member] = []
        self._producer: Producer | None = None

    def join(self, listener: RecordingListener | None = None, options: str = "") -> Member:
        """A member of the group."""
        listener = listener or RecordingListener()
        uri = f"kafka:///{','.join(self.hosts)}?topic={self.topic}&partitions=2&session_timeout_ms=6000{options}"
        consumer = self.driver.consumer(self.hosts, check_source(uri).options, self.group, listener, self.metrics)
        self._members.append(Member(consumer, listener))
        return self._members[-1]

    def producer(self, delivered: Deliveries | None = None) -> Producer:
        """A producer to topics of two partitions."""
        options = check_sink(f"kafka:///{','.join(self.hosts)}?topic={self.topic}&partitions=2").options
        return self.driver.producer(self.hosts, settings(options), ProducerContext(delivered=delivered))

    def feed(self, *values: bytes, key: bytes = b"one") -> None:
        """Produce with a key, so that all are in one partition: 1 with the key `one`, 0 with `two`."""
        self._producer = self._producer or self.producer()
        self._producer.produce([Record(value) for value in values], lambda _: (self.topic, key))
        assert self._producer.flush() == []

    def committed(self) -> dict[TopicPartition, int]:
        """How far the group is."""
        return self.driver.admin(self.hosts).committed(self.group, self.topic)

    def limit(self, size: int) -> None:
        """Have the topic, which is not there yet, take no larger messages."""
        raise NotImplementedError

    def expire(self, partition: TopicPartition, before: int) -> None:
        """Delete messages before an offset."""
        raise NotImplementedError

    def add_partition(self) -> None:
        """Give the topic a third one."""
        self._producer = None

    def delete(self) -> None:
        """Delete the topic."""
        self._producer = None

    def transaction(self, *values: bytes) -> Callable[[], None]:
        """Write to partition 1 in a transaction that stays open; what is given back commits it."""
        raise NotImplementedError

    def away(self) -> Sequence[str]:
        """Hosts of a Kafka that does not answer, from now on."""
        return ["127.0.0.1:1"]

    def close(self) -> None:
        """Leave the group."""
        for member in self._members:
            member.consumer.close()
        if self._producer is not None:
            self._producer.close()


class Pykafka(DriverHarness):
    """On a real broker."""

    def __init__(self, broker: str) -> None:
        super().__init__()
        self.driver = driver()
        self.hosts = [broker]

    def limit(self, size: int) -> None:
        """See `DriverHarness.limit`."""
        brokeradmin.create_topic(self.hosts[0], self.topic, {"max.message.bytes": str(size)}, 2)

    def expire(self, partition: TopicPartition, before: int) -> None:
        """See `DriverHarness.expire`."""
        brokeradmin.delete_records(self.hosts[0], partition.topic, partition.partition, before)

    def transaction(self, *values: bytes) -> Callable[[], None]:
        """See `DriverHarness.transaction`; by another client, because this one has none."""
        from modern import Transactions

        foreign = Transactions(self.hosts[0], self.topic, f"id-{self.topic}", partition=1)
        foreign.begin(values)
        return foreign.commit

    def add_partition(self) -> None:
        """See `DriverHarness.add_partition`."""
        super().add_partition()
        brokeradmin.add_partitions(self.hosts[0], self.topic, 3)

    def delete(self) -> None:
        """See `DriverHarness.delete`."""
        super().delete()
        brokeradmin.delete_topic(self.hosts[0], self.topic)
        admin = self.driver.admin(self.hosts)
        wait_for(lambda: self.topic not in admin.topics(), DEADLINE_S, "the topic to be gone")


class TransactionalHarness(DriverHarness):
    """A harness of a driver that has transactions."""

    driver: TransactionalDriver

    def transactional_producer(self, transactional_id: str = "", *, short: bool = False) -> TransactionalProducer:
        """A producer of transactions; by default of an id that no other has.

        Args:
            transactional_id: its id.
            short: whether its transactions may be open for a second only, where time is real.
        """
        raise NotImplementedError

    def fail_commit(self, *, done: bool) -> None:
        """Have commits of transactions go without an answer from now on, before or after they are `done`."""
        raise NotImplementedError

    def answer(self) -> None:
        """Have commits answered again."""

    def pass_session(self) -> None:
        """Let more time go by than a member may be silent, where time is not real."""

    def pass_transaction(self) -> None:
        """Let more time go by than a transaction may be open, where time is not real."""


class Confluent(TransactionalHarness, Pykafka):
    """On a real broker, by librdkafka; what ends transactions goes through a proxy."""

    def __init__(self, broker: str) -> None:
        Pykafka.__init__(self, broker)
        self.driver = ConfluentDriver(max_poll_interval_ms=7_000)
        self._proxy: KafkaProxy | None = None

    def limit(self, size: int) -> None:
        """See `DriverHarness.limit`."""
        modern.create(self.hosts[0], self.topic, 2, max_message_bytes=str(size))

    def expire(self, partition: TopicPartition, before: int) -> None:
        """See `DriverHarness.expire`."""
        modern.expire(self.hosts[0], partition.topic, partition.partition, before)

    def add_partition(self) -> None:
        """See `DriverHarness.add_partition`."""
        DriverHarness.add_partition(self)
        modern.add_partitions(self.hosts[0], self.topic, 3)

    def delete(self) -> None:
        """See `DriverHarness.delete`."""
        DriverHarness.delete(self)
        modern.delete(self.hosts[0], self.topic)
        admin = self.driver.admin(self.hosts)
        wait_for(lambda: self.topic not in admin.topics(), DEADLINE_S, "the topic to be gone")

    def transactional_producer(self, transactional_id: str = "", *, short: bool = False) -> TransactionalProducer:
        """See `TransactionalHarness.transactional_producer`."""
        self._proxy = self._proxy or KafkaProxy(self.hosts[0])
        options = check_sink(f"kafka:///{self._proxy.address}?topic={self.topic}&partitions=2").options
        return ConfluentTransactionalProducer(
            [self._proxy.address],
            settings(options),
            {},
            lambda size: self.driver.reader(self.hosts, size, reads_uncommitted=True),
            transactional_id or uuid.uuid4().hex,
            timeouts=Timeouts(transaction_ms=1_000 if short else 60_000, request_ms=800, call_s=3.0),
        )

    def fail_commit(self, *, done: bool) -> None:
        """See `TransactionalHarness.fail_commit`."""
        assert self._proxy is not None
        self._proxy.hold(lambda one: one.commit, count=1_000, deliver=done)

    def answer(self) -> None:
        """See `TransactionalHarness.answer`."""
        assert self._proxy is not None
        self._proxy.hold(lambda _: False)

    def close(self) -> None:
        """See `DriverHarness.close`."""
        super().close()
        if self._proxy is not None:
            self._proxy.close()


class Memory(TransactionalHarness):
    """On a broker in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.broker = MemoryBroker()
        self.driver = in_memory(self.broker)
        self.hosts = ["memory:9092"]

    def limit(self, size: int) -> None:
        """See `DriverHarness.limit`."""
        self.broker.max_message_bytes = size

    def expire(self, partition: TopicPartition, before: int) -> None:
        """See `DriverHarness.expire`."""
        self.broker.expire(partition, before)

    def transaction(self, *values: bytes) -> Callable[[], None]:
        """See `DriverHarness.transaction`."""
        producer = self.transactional_producer()
        producer.begin()
        producer.produce([Record(value) for value in values], lambda _: (self.topic, b"one"))
        assert producer.flush() == []
        return producer.commit

    def transactional_producer(self, transactional_id: str = "", *, short: bool = False) -> TransactionalProducer:
        """See `TransactionalHarness.transactional_producer`."""
        options = check_sink(f"kafka:///{','.join(self.hosts)}?topic={self.topic}&partitions=2").options
        transactional_id = transactional_id or uuid.uuid4().hex
        return self.driver.transactional_producer(self.hosts, settings(options), transactional_id)

    def away(self) -> Sequence[str]:
        """See `DriverHarness.away`."""
        self.broker.down = True
        return self.hosts

    def fail_commit(self, *, done: bool) -> None:
        """See `TransactionalHarness.fail_commit`; it is the next one only."""
        self.broker.fail("commit_transaction", done=done)

    def pass_session(self) -> None:
        """See `TransactionalHarness.pass_session`."""
        self.broker.clock.advance(7)

    def pass_transaction(self) -> None:
        """See `TransactionalHarness.pass_transaction`."""
        self.broker.clock.advance(61)

    def add_partition(self) -> None:
        """See `DriverHarness.add_partition`."""
        super().add_partition()
        self.broker.add_partitions(self.topic, 1)

    def delete(self) -> None:
        """See `DriverHarness.delete`."""
        super().delete()
        self.broker.delete(self.topic)
