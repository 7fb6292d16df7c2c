# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Looks up and creates the topics of a producer, by pykafka."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from elworkers.connectors.kafka.pykafka import client, topic_creation, topics
from elworkers.connectors.kafka.topic_client import NO_SETTINGS, FoundTopic
from elworkers.connectors.kafka.topic_fallback import Numbers


class TopicLookup:
    """Implements `topic_client.TopicClient`.

    Args:
        cluster: of `client.connect`.
        metadata_max_age_ms: how old metadata may become.
    """

    def __init__(self, cluster: Any, metadata_max_age_ms: int) -> None:
        self._cluster = cluster
        self._metadata = topics.MetadataRefresher(cluster, metadata_max_age_ms)

    def refresh_if_old(self) -> bool:
        """See `topic_client.TopicClient.refresh_if_old`."""
        return self._metadata.refresh_if_old()

    def known_names(self) -> list[str]:
        """See `topic_client.TopicClient.known_names`."""
        return topics.known_names(self._cluster)

    def missing(self, names: Iterable[str]) -> list[str]:
        """See `topic_client.TopicClient.missing`."""
        return topics.missing(self._cluster, names)

    def create_missing(
        self, names: Sequence[str], numbers: Numbers, fallback: Numbers, settings: Mapping[str, str] = NO_SETTINGS
    ) -> dict[str, int]:
        """See `topic_client.TopicClient.create_missing`."""
        return topic_creation.create_missing(self._cluster, names, *numbers, settings, fallback)

    def wait_for_leaders(self, name: str, deadline: float, leaders_until: float) -> FoundTopic:
        """See `topic_client.TopicClient.wait_for_leaders`."""
        found = topics.wait_for_some_leaders(self._cluster, name, deadline, leaders_until)
        with client.translate_errors(f"look up the leaders of {name}"):
            leaders = [found.partitions[number].leader for number in range(len(found.partitions))]
        return FoundTopic(leaders, topics.shape(found)[1])
