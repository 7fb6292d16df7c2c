# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Finds topics, waits for their leaders, and refreshes their metadata."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterable
from typing import Any

from pykafka.exceptions import KafkaException

from elworkers.connectors.kafka.error_codes import NOT_AUTHORIZED, describe
from elworkers.connectors.kafka.errors import NotAuthorizedError
from elworkers.connectors.kafka.pykafka import topic_ids
from elworkers.connectors.kafka.pykafka.client import translate_errors
from elworkers.connectors.kafka.topic_client import APPEARS_WITHIN_S
from elworkers.core.errors import RetryableError


def wait_for_leaders(cluster: Any, name: str, deadline: float) -> Any:
    """Return the topic, as soon as each of its partitions has a leader that knows of it.

    Args:
        deadline: how long that may take, as `time.monotonic` counts.

    Raises:
        RetryableError: the broker is away, or the topic does not get leaders in time.
    """
    return wait_for_some_leaders(cluster, name, deadline, math.inf)


def wait_for_some_leaders(cluster: Any, name: str, deadline: float, leaders_until: float) -> Any:
    """Return the topic when each of its partitions has a leader that knows of it, or some have none for too long.

    Args:
        deadline: how long leaders may take to know of it, as `time.monotonic` counts.
        leaders_until: how long partitions may have no leader.

    Raises:
        RetryableError: the broker is away, this user may not see the topic, or it is not there in time.
    """
    while (topic := get_ready(cluster, name)) is None:
        now = time.monotonic()
        topic = get(cluster, name)
        if topic is None:
            check_authorized(cluster, name)
        elif now > leaders_until and topic.partitions and not _has_leaders(topic):
            return topic
        if now > deadline:
            raise RetryableError(f"Kafka: topic {name} has no leaders {APPEARS_WITHIN_S:.0f} s after it was asked for")
        time.sleep(0.05)
        with translate_errors(f"wait for topic {name}"):
            cluster.update()
    return topic


def get_ready(cluster: Any, name: str) -> Any | None:
    """Return the topic, if each of its partitions has a leader that knows of it."""
    # Asking for metadata costs as much as the cluster has topics; a sink may want a thousand of them.
    key = name.encode()
    with translate_errors(f"look up topic {name}"):
        if _is_known(cluster, key) and _has_leaders(topic := cluster.topics[key]) and _leaders_ready(topic):
            return topic
    return None


def check_authorized(cluster: Any, name: str) -> None:
    """Check that this user may see a topic; pykafka takes one that is hidden for one that does not exist.

    Raises:
        NotAuthorizedError: it may not.
        RetryableError: the broker is away.
    """
    with translate_errors(f"look up topic {name}"):
        found = cluster._get_metadata([name.encode()]).topics.get(name.encode())
    if found is not None and found.err in NOT_AUTHORIZED:
        raise NotAuthorizedError(f"Kafka: topic {name}: {describe(found.err)}")


def missing(cluster: Any, names: Iterable[str]) -> list[str]:
    """Return those that do not exist; metadata is asked for anew where it does not have all of them.

    Raises:
        RetryableError: the broker is away.
    """
    unknown = [name for name in names if not _is_known(cluster, name.encode())]
    if not unknown:
        return []
    with translate_errors("read metadata"):
        cluster.update()
    return [name for name in unknown if not _is_known(cluster, name.encode())]


def shape(topic: Any) -> tuple[int, int]:
    """Return how many partitions a topic of `get_or_create` has, and how many replicas the first of them."""
    partitions = topic.partitions
    return len(partitions), len(partitions[0].replicas) if 0 in partitions else 0


def _has_leaders(topic: Any) -> bool:
    return topic is not None and bool(topic.partitions) and all(one.leader for one in topic.partitions.values())


def _leaders_ready(topic: Any) -> bool:
    # Metadata names a leader some moments before that broker knows of it.
    limits = topic.latest_available_offsets()
    for limit in limits.values():
        if limit.err in NOT_AUTHORIZED:
            raise NotAuthorizedError(f"Kafka: topic {topic.name.decode()}: {describe(limit.err)}")
    return len(limits) == len(topic.partitions) and not any(limit.err for limit in limits.values())


def get(cluster: Any, name: str) -> Any | None:
    """Return the topic, or None where the cluster's metadata does not have it."""
    key = name.encode()
    with translate_errors(f"look up topic {name}"):
        return cluster.topics[key] if _is_known(cluster, key) else None


def ids(cluster: Any, names: Iterable[str]) -> dict[str, str]:
    """Return for each name Kafka's id of the topic as 32 hex digits, asked for anew.

    Without topics that do not exist; empty where the brokers tell no ids (before Kafka 2.8).

    Args:
        cluster: of `client.connect`.

    Raises:
        RetryableError: no broker answers.
    """
    if not topic_ids.is_supported(cluster):
        return {}
    wanted = list(names)
    with translate_errors("ask for the ids of topics"):
        brokers = sorted(cluster.brokers.values(), key=lambda broker: not broker.connected)
        for broker in brokers:
            with contextlib.suppress(KafkaException, OSError):
                return topic_ids.fetch(broker, wanted)
    raise RetryableError("Kafka: ask for the ids of topics: no broker answers")


class MetadataRefresher:
    """Refreshes metadata when it is old; pykafka alone does so only after errors, and never sees added partitions.

    Args:
        cluster: of `client.connect`.
        max_age_ms: how old metadata may become.
    """

    def __init__(self, cluster: Any, max_age_ms: int) -> None:
        self._cluster = cluster
        self._max_age_s = max_age_ms / 1000
        self._next = time.monotonic() + self._max_age_s

    def refresh_if_old(self) -> bool:
        """Refresh metadata if it is old; return whether it was.

        Raises:
            RetryableError: no broker answers.
        """
        if time.monotonic() < self._next:
            return False
        with translate_errors("read metadata"):
            self._cluster.update()
        self._next = time.monotonic() + self._max_age_s
        return True


def known_names(cluster: Any) -> list[str]:
    """Return the names of all topics, as metadata was when it was last asked for."""
    return [key.decode() for key in list(cluster.topics.keys())]


def names(cluster: Any) -> list[str]:
    """Return the names of all topics but internal ones, from fresh metadata."""
    with translate_errors("list topics"):
        cluster.update()
        return sorted(key.decode() for key in cluster.topics)


def _is_known(cluster: Any, key: bytes) -> bool:
    return key in cluster.topics.keys()  # noqa: SIM118 - `in` on pykafka's dict would try to create the topic
