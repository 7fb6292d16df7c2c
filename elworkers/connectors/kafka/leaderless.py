# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Tracks since when partitions have had no leader, over all producers of a process.

A partition may be without a leader for the seconds of an election, or for as long as a broker is away that has the only
replica. The first is an outage like any other; behind the second the others must not wait.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import structlog

from elworkers.core.contracts import Metrics, TopicPartition

NO_LEADER = "it has no leader at the moment"
"""What is said of a partition that nobody leads."""

_PATIENCE_S = 60.0
"""Longer than an election takes, or a broker's quick restart."""

_MAX_TOPICS = 1_000
"""Of topics whose partitions are remembered."""

log = structlog.get_logger(__name__)


class LeaderlessPartitions:
    """Which partitions of the topics that are written to have no leader, or none that can be reached.

    Args:
        metrics: is told what is set aside.
    """

    def __init__(self, metrics: Metrics | None = None) -> None:
        self._metrics = metrics
        self._since: dict[str, dict[int, float]] = {}

    def update(self, topic: str, leaders: Sequence[Any]) -> None:
        """Take note of a topic's leaders, by number of their partition; false, and with `why`, where there is none."""
        before = self._since.pop(topic, {})
        leaderless = [number for number, leader in enumerate(leaders) if not leader]
        for number in before.keys() - set(leaderless):
            log.info("partition goes on", code="kafka_partition_writable", topic=topic, partition=number)
            if self._metrics is not None:
                self._metrics.resumed(f"topic {topic}[{number}]")
        if not leaderless or len(self._since) >= _MAX_TOPICS:
            return
        now = time.monotonic()
        self._since[topic] = {number: before.get(number, now) for number in leaderless}
        for number in leaderless:
            why = leaders[number].why or NO_LEADER
            if number not in before:
                log.error(
                    "partition cannot be written to",
                    code="kafka_partition_unwritable",
                    topic=topic,
                    partition=number,
                    reason=why,
                )
            if self._metrics is not None:
                self._metrics.set_aside(f"topic {topic}[{number}]", why)

    def has(self, topic: str) -> bool:
        """Return whether a partition of the topic had no leader when it was last looked at."""
        return topic in self._since

    def has_waited_long(self, partition: TopicPartition) -> bool:
        """Return whether a partition has had no leader for too long to be waited for."""
        since = self._since.get(partition.topic, {}).get(partition.partition)
        return since is not None and time.monotonic() - since >= _PATIENCE_S
