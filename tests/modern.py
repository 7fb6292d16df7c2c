# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""What producers and administrators of today do to a topic, by librdkafka: pykafka can do none of it."""

from __future__ import annotations

from collections.abc import Sequence

from confluent_kafka import Producer
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourcePatternType,
    ResourceType,
)

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
