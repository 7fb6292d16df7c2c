# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Defines how a producer's topics are looked up and created; each driver does it with its own client."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

from elworkers.connectors.kafka.topic_fallback import Numbers

LEADERS_WITHIN_S = 3.0
"""How long partitions of a topic that is there may take to get leaders."""

APPEARS_WITHIN_S = 15.0
"""How long a topic that was created may take to get leaders."""

NO_SETTINGS: Mapping[str, str] = MappingProxyType({})


class FoundTopic(NamedTuple):
    """A topic as its brokers tell of it.

    Attributes:
        leaders: of its partitions, by number, as the driver has them; one that is missing is false, and its `why` says
            the reason.
        replication: how many replicas the first partition has.
    """

    leaders: Sequence[Any]
    replication: int


class TopicClient(Protocol):
    """Looks topics up and creates them. Every call may raise an error of `errors`."""

    def refresh_if_old(self) -> bool:
        """Ask for metadata anew if it is older than `ProducerSettings.metadata_max_age_ms`; return whether it was."""

    def known_names(self) -> list[str]:
        """Return the names of all topics, as metadata was when it was last asked for."""

    def missing(self, names: Iterable[str]) -> list[str]:
        """Return those that do not exist; asks for metadata anew where it does not have all of them."""

    def create_missing(
        self, names: Sequence[str], numbers: Numbers, fallback: Numbers, settings: Mapping[str, str] = NO_SETTINGS
    ) -> dict[str, int]:
        """Create those that do not exist, many at a time.

        Args:
            names: topics.
            numbers: partitions and replication.
            fallback: replaces a number that Kafka refuses; see `topic_fallback`.
            settings: of the topics, where they are not to be the broker's.

        Returns:
            Names that could not be created, with Kafka's error code.
        """

    def wait_for_leaders(self, name: str, deadline: float, leaders_until: float) -> FoundTopic:
        """Return the topic when each partition has a leader that knows of it, or some have none for too long.

        Args:
            name: a topic.
            deadline: how long leaders may take to know of it, as `time.monotonic` counts.
            leaders_until: how long partitions may have no leader.

        Raises:
            RetryableError: the broker is away, this user may not see the topic, or it is not there in time.
        """
