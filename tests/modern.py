"""What producers and administrators of today do to a topic, by librdkafka: pykafka can do none of it."""

from __future__ import annotations

from collections.abc import Sequence

from confluent_kafka import Producer
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
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


def produce(broker: str, topic: str, values: Sequence[bytes], partition: int = 0, codec: str = "none") -> None:
    """Write messages to one partition."""
    producer = Producer({"bootstrap.servers": broker, "compression.codec": codec, "linger.ms": 50})
    for value in values:
        producer.produce(topic, value, partition=partition)
    assert producer.flush(DEADLINE_S) == 0
