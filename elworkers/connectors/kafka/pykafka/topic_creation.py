# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Creates topics, and says why some cannot be created."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from pykafka.protocol.admin import CreateTopicRequest, CreateTopicsRequest
from pykafka.utils import struct_helpers

from elworkers.connectors.kafka.error_codes import EXISTS_ALREADY, creation_error
from elworkers.connectors.kafka.pykafka import topics
from elworkers.connectors.kafka.pykafka.client import translate_errors
from elworkers.connectors.kafka.topic_client import APPEARS_WITHIN_S, LEADERS_WITHIN_S
from elworkers.connectors.kafka.topic_fallback import create_with_fallback
from elworkers.core.errors import RetryableError

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
    topic = topics.get_ready(cluster, name)
    if topic is not None:
        return topic
    is_missing = bool(topics.missing(cluster, [name]))
    if is_missing:
        topics.check_authorized(cluster, name)
    if is_missing and not create:
        raise RetryableError(f"Kafka: topic {name} was deleted while it was read; reading again once it is made")
    if not is_missing and (topic := _get_partly_ready(cluster, name)) is not None:
        return topic
    fallback = fallback or (partitions, replication)
    rejected = create_missing(cluster, [name], partitions, replication, fallback=fallback)
    if name in rejected:
        raise creation_error(name, rejected[name], *fallback)
    return topics.wait_for_leaders(cluster, name, time.monotonic() + APPEARS_WITHIN_S)


def _get_partly_ready(cluster: Any, name: str) -> Any | None:
    """Return the topic, once some partitions have had time to get a leader and others have one."""
    try:
        return topics.wait_for_leaders(cluster, name, time.monotonic() + LEADERS_WITHIN_S)
    except RetryableError:
        topic = topics.get(cluster, name)
        return topic if topic is not None and any(one.leader for one in topic.partitions.values()) else None


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
    wanted = topics.missing(cluster, names)
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
        rejected.update({name: code for name, code in codes.items() if code not in (0, EXISTS_ALREADY)})
    if fallback is not None:
        rejected = create_with_fallback(
            lambda names, numbers: create_missing(cluster, names, *numbers, settings),
            rejected,
            (partitions, replication),
            fallback,
        )
    if wanted:
        with translate_errors("read metadata"):
            cluster.update()
    return rejected


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
