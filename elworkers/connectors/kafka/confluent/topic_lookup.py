# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Looks up and creates the topics of a producer, by librdkafka."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from elworkers.connectors.kafka.confluent.delivery_client import DeliveryClient
from elworkers.connectors.kafka.confluent.lookups import Lookups
from elworkers.connectors.kafka.confluent.topic_creation import create_topics
from elworkers.connectors.kafka.topic_client import APPEARS_WITHIN_S, NO_SETTINGS, FoundTopic
from elworkers.connectors.kafka.topic_fallback import Numbers
from elworkers.core.errors import RetryableError

_INTERNAL = "__"
_INTERVAL_S = 0.05


class Leader(NamedTuple):
    """The broker that leads a partition; always true."""

    broker: int


class NoLeader:
    """Stands for the leader of a partition that has none; it is false."""

    why = ""

    def __bool__(self) -> bool:
        return False


class TopicLookup:
    """Implements `topic_client.TopicClient`.

    Args:
        client: the producer, which asks for metadata itself, so that it knows the same leaders; as it is now.
        hosts, options: for the client that creates topics, made when one has to be.
        metadata_max_age_ms: how old metadata may become.
    """

    def __init__(
        self,
        client: Callable[[], DeliveryClient],
        hosts: Sequence[str],
        options: Mapping[str, Any],
        metadata_max_age_ms: int,
    ) -> None:
        self._client = client
        self._hosts = hosts
        self._options = options
        self._max_age_s = metadata_max_age_ms / 1000
        self._topics: dict[str, Any] = {}
        self._refresh()

    def _refresh(self) -> None:
        found = self._client().topics()
        self._topics = {name: one for name, one in found.items() if not name.startswith(_INTERNAL) and _exists(one)}
        self._next = time.monotonic() + self._max_age_s

    def refresh_if_old(self) -> bool:
        """See `topic_client.TopicClient.refresh_if_old`."""
        if time.monotonic() < self._next:
            return False
        self._refresh()
        return True

    def known_names(self) -> list[str]:
        """See `topic_client.TopicClient.known_names`."""
        return list(self._topics)

    def missing(self, names: Iterable[str]) -> list[str]:
        """See `topic_client.TopicClient.missing`."""
        unknown = [name for name in names if name not in self._topics]
        if unknown:
            self._refresh()
        return [name for name in unknown if name not in self._topics]

    def create_missing(
        self, names: Sequence[str], numbers: Numbers, fallback: Numbers, settings: Mapping[str, str] = NO_SETTINGS
    ) -> dict[str, int]:
        """See `topic_client.TopicClient.create_missing`."""
        wanted = self.missing(names)
        if not wanted:
            return {}
        with self._lookups() as lookups:
            rejected = create_topics(lookups.client, lookups.events, wanted, numbers, fallback, settings)
        self._refresh()
        return rejected

    def wait_for_leaders(self, name: str, deadline: float, leaders_until: float) -> FoundTopic:
        """See `topic_client.TopicClient.wait_for_leaders`."""
        while True:
            now = time.monotonic()
            topic = self._topics.get(name)
            if topic is None:
                self._check_authorized(name)
            elif topic.partitions and (now > leaders_until or _has_leaders(topic)):
                return _found(topic)
            if now > deadline:
                raise RetryableError(
                    f"Kafka: topic {name} has no leaders {APPEARS_WITHIN_S:.0f} s after it was asked for"
                )
            time.sleep(_INTERVAL_S)
            self._refresh()

    def _check_authorized(self, name: str) -> None:
        """Check that this user may see a topic that is not in the list of all.

        Raises:
            NotAuthorizedError: it may not.
        """
        with self._lookups() as lookups:
            lookups.topic_ids([name])

    @contextlib.contextmanager
    def _lookups(self) -> Iterator[Lookups]:
        lookups = Lookups(self._hosts, self._options)
        try:
            yield lookups
        finally:
            lookups.close()


def _has_leaders(topic: Any) -> bool:
    return all(one.leader >= 0 for one in topic.partitions.values())


def _exists(topic: Any) -> bool:
    return topic.error is None or bool(topic.partitions)


def _found(topic: Any) -> FoundTopic:
    partitions = [topic.partitions[number] for number in sorted(topic.partitions)]
    leaders = [Leader(one.leader) if one.leader >= 0 else NoLeader() for one in partitions]
    return FoundTopic(leaders, len(partitions[0].replicas))
