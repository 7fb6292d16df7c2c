# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Reads how far topics and groups are. Reads only; commits nothing."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from pykafka.protocol import PartitionOffsetFetchRequest

from elworkers.connectors.kafka.error_codes import describe, error_type
from elworkers.connectors.kafka.errors import OutageError
from elworkers.connectors.kafka.pykafka import topics, transactions
from elworkers.connectors.kafka.pykafka.client import translate_errors
from elworkers.core.errors import RetryableError

_LEADER_TIMEOUT_S, _RETRY_INTERVAL_S = 5.0, 0.05


def ends(cluster: Any, name: str) -> dict[int, int]:
    """Return for each partition the offset that its next message gets; empty where there is no such topic.

    Waits a little for a broker that does not know yet, or no longer, that it leads a partition.

    Raises:
        RetryableError: Kafka does not answer.
    """
    deadline = time.monotonic() + _LEADER_TIMEOUT_S
    while (topic := topics.get(cluster, name)) is not None:
        with translate_errors(f"ask for the ends of {name}"):
            limits = topic.latest_available_offsets()
            errors = {partition: limit.err for partition, limit in limits.items() if limit.err}
            if not errors:
                return {partition: int(limit.offset[0]) for partition, limit in limits.items()}
            if time.monotonic() > deadline:
                raise _error(f"ask for the ends of {name}", errors)
            time.sleep(_RETRY_INTERVAL_S)
            cluster.update()
    topics.check_authorized(cluster, name)
    return {}


def stable_ends(cluster: Any, name: str) -> dict[int, int]:
    """Return for each partition its end, or where its oldest open transaction begins; empty as `ends`.

    Raises:
        RetryableError: Kafka does not answer, or a partition has no leader.
    """
    found = ends(cluster, name)
    if not found or not transactions.tells_stable_ends(cluster):
        return found
    stable = led_stable_ends(cluster, name, found)
    if missing := found.keys() - stable.keys():
        raise OutageError(f"Kafka: ask for the stable ends of {name}: partitions {sorted(missing)} have no leader")
    return stable


def led_stable_ends(cluster: Any, name: str, numbers: Collection[int]) -> dict[int, int]:
    """Return the same for some partitions, without those that have no leader.

    Raises:
        RetryableError: Kafka does not answer.
    """
    topic = topics.get(cluster, name)
    leaders = {number: one.leader for number, one in topic.partitions.items() if one.leader} if topic else {}
    with translate_errors(f"ask for the stable ends of {name}"):
        if topic is not None and not transactions.tells_stable_ends(cluster):
            limits = topic.latest_available_offsets()
            return {number: int(limits[number].offset[0]) for number in numbers if not limits[number].err}
        stable: dict[int, int] = {}
        for leader in set(leaders.values()):
            wanted = [(name, number) for number in numbers if leaders.get(number) is leader]
            stable |= {number: end for (_, number), end in transactions.stable_ends(leader, wanted).items()}
    return stable


def committed(cluster: Any, group: str, name: str, partitions: Iterable[int] | None = None) -> dict[int, int]:
    """Return for each partition the offset that the group reads next; without those it has never committed.

    Args:
        cluster: of `client.connect`.
        group, name: of the consumer group and of the topic.
        partitions: that the topic has; None means those of the cluster's metadata.

    Raises:
        RetryableError: Kafka does not answer.
    """
    if partitions is None:
        topic = topics.get(cluster, name)
        partitions = topic.partitions if topic else ()
    requests = [PartitionOffsetFetchRequest(name.encode(), partition) for partition in partitions]
    if not requests:
        return {}
    with translate_errors(f"ask for the offsets of group {group}"):
        coordinator = cluster.get_group_coordinator(group.encode())
        response = coordinator.fetch_consumer_group_offsets(group.encode(), requests).topics[name.encode()]
        errors = {number: one.err for number, one in response.items() if one.err}
        if errors:
            raise _error(f"ask for the offsets of group {group}", errors)
        return {
            partition: partition_offset.offset
            for partition, partition_offset in response.items()
            if partition_offset.offset >= 0
        }


def _error(asked: str, errors: Mapping[int, int]) -> RetryableError:
    """Return the error for partitions that a broker refuses to answer for, each with Kafka's code."""
    number, code = min(errors.items())
    more = f" and {len(errors) - 1} more partitions" if len(errors) > 1 else ""
    return error_type(code)(f"Kafka: {asked}: partition {number}{more}: {describe(code)}")
