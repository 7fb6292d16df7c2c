# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Looks up and creates topics, and how far they and their readers are, by pykafka."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from elworkers.connectors.kafka.driver import TopicShape
from elworkers.connectors.kafka.pykafka import client, progress, topic_creation, topics
from elworkers.core.contracts import TopicPartition


class Admin:
    """Implements `driver.Admin`.

    Args:
        hosts: the brokers, each `host:port`.
        options: of a URI, typed: whether by TLS.
    """

    def __init__(self, hosts: Sequence[str], options: Mapping[str, Any] = MappingProxyType({})) -> None:
        self._cluster = client.connect(hosts, options)

    def get_or_create(self, topic: str, partitions: int | None = None, replication: int | None = None) -> TopicShape:
        """See `driver.Admin.get_or_create`."""
        return TopicShape(*topics.shape(topic_creation.get_or_create(self._cluster, topic, partitions, replication)))

    def topics(self) -> list[str]:
        """See `driver.Admin.topics`."""
        return topics.names(self._cluster)

    def topic_ids(self, names: Sequence[str]) -> dict[str, str]:
        """See `driver.Admin.topic_ids`."""
        return topics.ids(self._cluster, names)

    def ends(self, topic: str) -> dict[TopicPartition, int]:
        """See `driver.Admin.ends`."""
        topics.missing(self._cluster, [topic])
        return {TopicPartition(topic, number): end for number, end in progress.ends(self._cluster, topic).items()}

    def stable_ends(self, topic: str) -> dict[TopicPartition, int]:
        """See `driver.Admin.stable_ends`."""
        topics.missing(self._cluster, [topic])
        found = progress.stable_ends(self._cluster, topic)
        return {TopicPartition(topic, number): end for number, end in found.items()}

    def committed(self, group: str, topic: str) -> dict[TopicPartition, int]:
        """See `driver.Admin.committed`."""
        topics.missing(self._cluster, [topic])
        committed = progress.committed(self._cluster, group, topic)
        return {TopicPartition(topic, number): offset for number, offset in committed.items()}

    def brokers(self) -> set[int]:
        """See `driver.Admin.brokers`."""
        return set(self._cluster.brokers)

    def close(self) -> None:
        """See `driver.Admin.close`."""
        client.close(self._cluster)
