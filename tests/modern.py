# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""What producers and administrators of today do to a topic, by librdkafka: pykafka can do none of it."""

from __future__ import annotations

from collections.abc import Sequence

from confluent_kafka import Consumer, IsolationLevel, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    OffsetSpec,
    ResourcePatternType,
    ResourceType,
)
from waiting import wait_for

DEADLINE_S = 60.0


def _admin(broker: str) -> AdminClient:
    # Its answers go with it, so that whoever asks has to hold it.
    return AdminClient({"bootstrap.servers": broker})


def create(broker: str, topic: str, partitions: int = 1, **config: str) -> None:
    """Make a topic; options of `config` have `_` for `.`."""
    given = {name.replace("_", "."): value for name, value in config.items()}
    admin = _admin(broker)
    admin.create_topics([NewTopic(topic, partitions, 1, config=given)])[topic].result(DEADLINE_S)


def delete(broker: str, topic: str) -> None:
    """Delete a topic."""
    admin = _admin(broker)
    admin.delete_topics([topic])[topic].result(DEADLINE_S)


def expire(broker: str, topic: str, partition: int, before: int) -> None:
    """Delete the messages of a partition before an offset."""
    admin = _admin(broker)
    wanted = TopicPartition(topic, partition, before)
    admin.delete_records([wanted])[wanted].result(DEADLINE_S)


def add_partitions(broker: str, topic: str, total: int) -> None:
    """Have a topic have more partitions."""
    admin = _admin(broker)
    admin.create_partitions([NewPartitions(topic, total)])[topic].result(DEADLINE_S)


def alter(broker: str, topic: str, name: str, value: str) -> None:
    """Set one option of a topic."""
    entry = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    admin = _admin(broker)
    admin.incremental_alter_configs([resource])[resource].result(DEADLINE_S)


def deny(broker: str, kind: str, name: str) -> None:
    """Deny everybody everything with a `topic` or a `group`, on a broker with ACLs."""
    admin = _admin(broker)
    binding = AclBinding(
        ResourceType[kind.upper()],
        name,
        ResourcePatternType.LITERAL,
        "User:*",
        "*",
        AclOperation.ALL,
        AclPermissionType.DENY,
    )
    admin.create_acls([binding])[binding].result(DEADLINE_S)


def produce(
    broker: str,
    topic: str,
    values: Sequence[bytes],
    partition: int = 0,
    codec: str = "none",
    *,
    idempotent: bool = False,
    key: bytes | None = None,
) -> None:
    """Write messages to one partition."""
    options = {"compression.codec": codec, "linger.ms": 50, "enable.idempotence": idempotent}
    producer = Producer({"bootstrap.servers": broker, **options})
    for value in values:
        producer.produce(topic, value, key, partition)
    assert producer.flush(DEADLINE_S) == 0


def committed_values(broker: str, topic: str, partitions: int) -> list[bytes]:
    """All values that readers of committed messages get, once no transaction is open."""
    places = [TopicPartition(topic, number, 0) for number in range(partitions)]
    admin = _admin(broker)

    def ends(level: IsolationLevel) -> list[int]:
        asked = admin.list_offsets(dict.fromkeys(places, OffsetSpec.latest()), isolation_level=level)
        return [asked[one].result(DEADLINE_S).offset for one in places]

    wait_for(
        lambda: ends(IsolationLevel.READ_COMMITTED) == ends(IsolationLevel.READ_UNCOMMITTED),
        DEADLINE_S,
        "the end of every transaction",
    )
    consumer = Consumer({"bootstrap.servers": broker, "group.id": "none", "enable.partition.eof": True})
    consumer.assign(places)
    values, unread = [], partitions
    while unread:
        for message in consumer.consume(100, 0.05):
            if message.error() is None:
                values.append(message.value() or b"")
            else:
                assert message.error().code() == KafkaError._PARTITION_EOF
                unread -= 1
    consumer.close()
    return values


class Transactions:
    """A producer that writes to one partition in transactions."""

    def __init__(self, broker: str, topic: str, transactional_id: str, partition: int = 0) -> None:
        self._topic = topic
        self._partition = partition
        self._producer = Producer({"bootstrap.servers": broker, "transactional.id": transactional_id})
        self._producer.init_transactions(DEADLINE_S)

    def begin(self, values: Sequence[bytes]) -> None:
        """Write messages in a transaction that stays open."""
        self._producer.begin_transaction()
        for value in values:
            self._producer.produce(self._topic, value, partition=self._partition)
        assert self._producer.flush(DEADLINE_S) == 0

    def commit(self) -> None:
        """End it."""
        self._producer.commit_transaction(DEADLINE_S)

    def abort(self) -> None:
        """End it, and make void what was written."""
        self._producer.abort_transaction(DEADLINE_S)
