# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Finds and creates topics, and refreshes the metadata of their partitions."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from pykafka.exceptions import KafkaException
from pykafka.protocol.admin import CreateTopicRequest, CreateTopicsRequest
from pykafka.utils import struct_helpers

from elworkers.connectors.kafka.pykafka import topic_ids
from elworkers.connectors.kafka.pykafka.client import translate_errors
from elworkers.connectors.kafka.pykafka.error_codes import INVALID_NAME, INVALID_SETTINGS, describe, error_type
from elworkers.core.errors import ConfigurationError, RetryableError

LEADERS_WITHIN_S = 3.0
"""How long partitions of a topic that is there may take to get leaders."""

APPEARS_WITHIN_S = 15.0
"""How long a topic that was created may take to get leaders."""

_EXISTS_ALREADY, _FORBIDDEN = 36, 44
_INVALID_PARTITIONS, _INVALID_REPLICATION = 37, 38
_AT_A_TIME = 50


def get_or_create(
    cluster: Any,
    name: str,
    partitions: int | None = None,
    replication: int | None = None,
    *,
    create: bool = True,
    fallback: tuple[int | None, int | None] | None = None,
) -> Any:
    """Return the topic, created where it does not exist yet; of one that does, some partitions may have no leader.

    pykafka's own auto-creation fails on brokers of today, so topics are made explicitly.

    Args:
        cluster: of `client.connect`.
        name: the topic.
        partitions: how many it gets when it has to be created; None means the broker's default.
        replication: how many replicas of each; None means the broker's default.
        create: False: wait for somebody else to make it.
        fallback: see `create_missing`; None: the same as `partitions` and `replication`.

    Raises:
        RetryableError: the broker is away, the topic does not get leaders in time, or is not there to be read.
        ConfigurationError: the broker refuses the name, the partitions or the replication.
    """
    topic = _get_ready(cluster, name)
    if topic is not None:
        return topic
    is_missing = bool(missing(cluster, [name]))
    if is_missing and not create:
        raise RetryableError(f"Kafka: topic {name} was deleted while it was read; reading again once it is made")
    if not is_missing and (topic := _get_partly_ready(cluster, name)) is not None:
        return topic
    fallback = fallback or (partitions, replication)
    rejected = create_missing(cluster, [name], partitions, replication, fallback=fallback)
    if name in rejected:
        raise creation_error(name, rejected[name], *fallback)
    return wait_for_leaders(cluster, name, time.monotonic() + APPEARS_WITHIN_S)


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
        RetryableError: the broker is away, or the topic is not there in time.
    """
    while (topic := _get_ready(cluster, name)) is None:
        now = time.monotonic()
        topic = get(cluster, name) if now > leaders_until else None
        if topic is not None and topic.partitions and not _has_leaders(topic):
            return topic
        if now > deadline:
            raise RetryableError(f"Kafka: topic {name} has no leaders {APPEARS_WITHIN_S:.0f} s after it was asked for")
        time.sleep(0.05)
        with translate_errors(f"wait for topic {name}"):
            cluster.update()
    return topic


def _get_partly_ready(cluster: Any, name: str) -> Any | None:
    """Return the topic, once some partitions have had time to get a leader and others have one."""
    try:
        return wait_for_leaders(cluster, name, time.monotonic() + LEADERS_WITHIN_S)
    except RetryableError:
        topic = get(cluster, name)
        return topic if topic is not None and any(one.leader for one in topic.partitions.values()) else None


def _get_ready(cluster: Any, name: str) -> Any | None:
    # Asking for metadata costs as much as the cluster has topics; a sink may want a thousand of them.
    key = name.encode()
    with translate_errors(f"look up topic {name}"):
        if _is_known(cluster, key) and _has_leaders(topic := cluster.topics[key]) and _leaders_ready(topic):
            return topic
    return None


def create_missing(
    cluster: Any,
    names: Iterable[str],
    partitions: int | None,
    replication: int | None,
    settings: Mapping[str, str] = MappingProxyType({}),
    fallback: tuple[int | None, int | None] | None = None,
) -> dict[str, int]:
    """Create those that do not exist, many at a time; `wait_for_leaders` then finds each of them.

    One after the other, a thousand topics would ask two thousand times for metadata of all of them.

    Args:
        partitions, replication: as in `get_or_create`.
        settings: of the topics, where they are not to be the broker's.
        fallback: partitions and replication that replace a number that Kafka refuses where that came from another
            instance file; None: nothing does.

    Returns:
        Names that could not be created, with Kafka's error code.

    Raises:
        RetryableError: the broker is away.
    """
    wanted = missing(cluster, names)
    rejected: dict[str, int] = {}
    for begin in range(0, len(wanted), _AT_A_TIME):
        rows = [
            CreateTopicRequest(
                name.encode(),
                partitions or -1,
                replication or -1,
                [],
                [(key.encode(), value.encode()) for key, value in settings.items()],
            )
            for name in wanted[begin : begin + _AT_A_TIME]
        ]
        codes = _create(cluster, rows)
        rejected.update({name: code for name, code in codes.items() if code not in (0, _EXISTS_ALREADY)})
    if fallback is not None:
        rejected = _create_with_fallback(cluster, rejected, (partitions, replication), settings, fallback)
    if wanted:
        with translate_errors("read metadata"):
            cluster.update()
    return rejected


def _create_with_fallback(
    cluster: Any,
    rejected: dict[str, int],
    numbers: tuple[int | None, int | None],
    settings: Mapping[str, str],
    fallback: tuple[int | None, int | None],
) -> dict[str, int]:
    """Return those that still cannot be created, with a number of one's own for the one that Kafka has refused."""
    remaining = dict(rejected)
    for code, substitute in (
        (_INVALID_PARTITIONS, (fallback[0], numbers[1])),
        (_INVALID_REPLICATION, (numbers[0], fallback[1])),
    ):
        names = [name for name, found in rejected.items() if found == code]
        if names and substitute != numbers:
            for name in names:
                del remaining[name]
            remaining |= create_missing(cluster, names, *substitute, settings, fallback)
    return remaining


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


def creation_error(
    name: str, code: int, partitions: int | None, replication: int | None
) -> ConfigurationError | RetryableError:
    """Return the error that tells of a topic of the operator's that could not be created.

    Args:
        code: Kafka's.
        partitions, replication: as in `get_or_create`.
    """
    message = (
        f"Kafka refuses to create the topic {name} with partitions={partitions or -1} replication={replication or -1}"
        f" (-1: the broker's default): {describe(code)}"
    )
    # What the broker's own defaults make impossible is nothing that the operator wrote here.
    if (code in INVALID_NAME and code != _FORBIDDEN) or (code in INVALID_SETTINGS and (partitions or replication)):
        return ConfigurationError(message)
    return error_type(code)(message)


def shape(topic: Any) -> tuple[int, int]:
    """Return how many partitions a topic of `get_or_create` has, and how many replicas the first of them."""
    partitions = topic.partitions
    return len(partitions), len(partitions[0].replicas) if 0 in partitions else 0


def _has_leaders(topic: Any) -> bool:
    return topic is not None and bool(topic.partitions) and all(one.leader for one in topic.partitions.values())


def _leaders_ready(topic: Any) -> bool:
    # Metadata names a leader some moments before that broker knows of it.
    limits = topic.latest_available_offsets()
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
    """Asks for metadata anew when it is old; pykafka alone does so only after errors, and never sees added partitions.

    Args:
        cluster: of `client.connect`.
        max_age_ms: how old metadata may become.
    """

    def __init__(self, cluster: Any, max_age_ms: int) -> None:
        self._cluster = cluster
        self._max_age_s = max_age_ms / 1000
        self._next = time.monotonic() + self._max_age_s

    def refresh_if_old(self) -> bool:
        """Return whether metadata was old, and has been asked for.

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


def _create(cluster: Any, wanted: Sequence[Any]) -> dict[str, int]:
    """Create topics, and return Kafka's error code of each name; 0 for none."""
    request = CreateTopicsRequest(wanted, timeout=10_000)
    first = wanted[0].topic_name.decode()
    with translate_errors(f"create topic {first}" if len(wanted) == 1 else f"create {len(wanted)} topics"):
        broker = cluster.controller_broker or next(iter(cluster.brokers.values()))
        if broker.handler is None:
            broker.connect()
        response = broker.handler.request(request).get()
    # pykafka's own response class knows neither "exists already" nor why a topic is refused.
    return {topic.decode(): code for topic, code in struct_helpers.unpack_from("[Sh]", response, 0)}
