# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Looks up and creates topics, and how far they and their readers are, by librdkafka."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from typing import Any

from confluent_kafka.admin import OffsetSpec

from elworkers.connectors.kafka.confluent.committed import CommittedOffsets
from elworkers.connectors.kafka.confluent.lookups import Lookups, led_partitions
from elworkers.connectors.kafka.confluent.topic_creation import create_topics
from elworkers.connectors.kafka.driver import TopicShape
from elworkers.connectors.kafka.error_codes import creation_error
from elworkers.connectors.kafka.topic_client import APPEARS_WITHIN_S, LEADERS_WITHIN_S
from elworkers.connectors.kafka.topic_fallback import Numbers
from elworkers.core.contracts import TopicPartition
from elworkers.core.errors import RetryableError

_PAUSE_S = 0.05


class Admin:
    """Implements `driver.Admin`.

    Args:
        hosts: the brokers, each `host:port`.
        options: of a URI, typed: those that say how to connect.

    Attributes:
        lookups: asks about topics.
        group_offsets: asks what groups have committed.

    Raises:
        RetryableError: no broker answers.
    """

    def __init__(self, hosts: Sequence[str], options: Mapping[str, Any]) -> None:
        self.lookups = Lookups(hosts, options)
        self.group_offsets = CommittedOffsets(hosts, options)

    def get_or_create(self, topic: str, partitions: int | None = None, replication: int | None = None) -> TopicShape:
        """See `driver.Admin.get_or_create`."""
        numbers = partitions, replication
        return self.find_or_create(topic, numbers, numbers)

    def find_or_create(self, topic: str, numbers: Numbers, fallback: Numbers, *, create: bool = True) -> TopicShape:
        """Return the shape of a topic that is there or made; of one that is there some partitions may have no leader.

        Args:
            topic: its name.
            numbers: partitions and replication, where it has to be made.
            fallback: replaces a number that Kafka refuses; see `topic_fallback`.
            create: False: wait for somebody else to make it.

        Raises:
            RetryableError: no broker answers, or it is not there in time.
            ConfigurationError: the brokers refuse the name or the numbers.
        """
        exists = self.lookups.topic(topic) is not None
        if not exists and not create:
            raise RetryableError(f"Kafka: topic {topic} was deleted while it was read; reading again once it is made")
        if not exists:
            rejected = create_topics(self.lookups.client, self.lookups.events, [topic], numbers, fallback)
            if topic in rejected:
                raise creation_error(topic, rejected[topic], *fallback)
        return self._wait_for_leaders(topic, LEADERS_WITHIN_S if exists else APPEARS_WITHIN_S, some=exists)

    def _wait_for_leaders(self, topic: str, within_s: float, *, some: bool) -> TopicShape:
        deadline = time.monotonic() + within_s
        while True:
            found = self.lookups.topic(topic)
            led = led_partitions(found) if found is not None else []
            late = time.monotonic() > deadline
            if found is not None and led and (len(led) == len(found.partitions) or (late and some)):
                # Metadata names a leader some moments before that broker knows of it.
                offsets = self.lookups.offsets(led, OffsetSpec.latest())
                if not offsets.failed or (late and some):
                    return TopicShape(len(found.partitions), len(found.partitions[led[0].partition].replicas))
            if late:
                raise RetryableError(f"Kafka: topic {topic} has no leaders {within_s:.0f} s after it was asked for")
            time.sleep(_PAUSE_S)

    def topics(self) -> list[str]:
        """See `driver.Admin.topics`."""
        return sorted(name for name in self.lookups.metadata().topics if not name.startswith("__"))

    def topic_ids(self, topics: Sequence[str]) -> dict[str, str]:
        """See `driver.Admin.topic_ids`."""
        return self.lookups.topic_ids(topics)

    def ends(self, topic: str) -> dict[TopicPartition, int]:
        """See `driver.Admin.ends`."""
        return self.lookups.all_offsets(topic, OffsetSpec.latest())

    def stable_ends(self, topic: str) -> dict[TopicPartition, int]:
        """See `driver.Admin.stable_ends`."""
        return self.lookups.all_offsets(topic, OffsetSpec.latest(), stable=True)

    def committed(self, group: str, topic: str) -> dict[TopicPartition, int]:
        """See `driver.Admin.committed`."""
        found = self.lookups.topic(topic)
        wanted = [TopicPartition(topic, number) for number in found.partitions] if found is not None else []
        return {partition: one.offset for partition, one in self.group_offsets.of(group, wanted).items()}

    def brokers(self) -> set[int]:
        """See `driver.Admin.brokers`."""
        return set(self.lookups.metadata().brokers)

    def close(self) -> None:
        """See `driver.Admin.close`."""
        with contextlib.suppress(AttributeError):
            self.group_offsets.close()
            self.lookups.close()
