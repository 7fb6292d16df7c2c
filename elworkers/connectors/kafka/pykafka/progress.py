# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Reads how far topics and groups are. Reads only; commits nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from queue import Empty
from typing import Any

from pykafka.protocol import PartitionOffsetFetchRequest
from pykafka.simpleconsumer import SimpleConsumer

from elworkers.connectors.kafka.pykafka import topics
from elworkers.connectors.kafka.pykafka.client import translated
from elworkers.core.errors import RetryableError

_LED_WITHIN_S, _ASK_AGAIN_S = 5.0, 0.05


def ends(cluster: Any, name: str) -> dict[int, int]:
    """Return for each partition the offset that its next message gets; empty where there is no such topic.

    Waits a little for a broker that does not know yet, or no longer, that it leads a partition.

    Raises:
        RetryableError: Kafka does not answer.
    """
    deadline = time.monotonic() + _LED_WITHIN_S
    while (topic := topics.existing(cluster, name)) is not None:
        with translated(f"ask for the ends of {name}"):
            limits = topic.latest_available_offsets()
            refused = {partition: limit.err for partition, limit in limits.items() if limit.err}
            if not refused:
                return {partition: int(limit.offset[0]) for partition, limit in limits.items()}
            if time.monotonic() > deadline:
                raise RetryableError(f"Kafka: ask for the ends of {name}: error codes by partition: {refused}")
            time.sleep(_ASK_AGAIN_S)
            cluster.update()
    return {}


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
        topic = topics.existing(cluster, name)
        partitions = topic.partitions if topic else ()
    requests = [PartitionOffsetFetchRequest(name.encode(), partition) for partition in partitions]
    if not requests:
        return {}
    with translated(f"ask for the offsets of group {group}"):
        coordinator = cluster.get_group_coordinator(group.encode())
        answer = coordinator.fetch_consumer_group_offsets(group.encode(), requests).topics[name.encode()]
        if any(part.err for part in answer.values()):
            raise RetryableError(f"Kafka: offsets of group {group}: error codes {[p.err for p in answer.values()]}")
        return {partition: part.offset for partition, part in answer.items() if part.offset >= 0}


class TopicEnds:
    """The messages of a topic from now on (or from its beginning), read without a group.

    Raises:
        RetryableError: Kafka does not answer, or there is no such topic.
    """

    def __init__(self, cluster: Any, name: str, from_beginning: bool = False) -> None:
        topic = topics.existing(cluster, name)
        if topic is None:
            raise RetryableError(f"Kafka: there is no topic {name}")
        self._name = name
        with translated(f"read {name}"):
            self._consumer = SimpleConsumer(
                topic,
                cluster,
                auto_offset_reset=-2 if from_beginning else -1,
                reset_offset_on_start=True,
                consumer_timeout_ms=1,
            )

    def read(self, take: Callable[[bytes], None]) -> int:
        """Hand over every message that has come since the last call; return how many there were."""
        count = 0
        with translated(f"read {self._name}"):
            self._consumer._raise_worker_exceptions()
            for owned in self._consumer._partitions_by_id.values():
                while True:
                    try:
                        message = owned._messages.get_nowait()
                    except Empty:
                        break
                    take(message.value or b"")
                    count += 1
            self._consumer._slot_available.set()
        return count

    def close(self) -> None:
        """Stop reading."""
        self._consumer.stop()
