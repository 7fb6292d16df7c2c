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
"""Reason why a partition without a leader cannot be used."""

_PATIENCE_S = 60.0
"""Seconds without a leader after which a partition is not waited for: more than an election or a restart takes."""

_MAX_TOPICS = 1_000
"""Number of topics whose partitions are remembered."""

log = structlog.get_logger(__name__)


class LeaderlessPartitions:
    """Remembers which partitions of output topics have no leader, or none that can be reached.

    Args:
        metrics: is told what is set aside.
    """

    def __init__(self, metrics: Metrics | None = None) -> None:
        self._metrics = metrics
        self._since: dict[str, dict[int, float]] = {}

    def update(self, topic: str, leaders: Sequence[Any]) -> None:
        """Update what is known of a topic.

        Args:
            leaders: of its partitions, by number; one that is missing is false, and its `why` says the reason.
        """
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
        """Return whether a partition of the topic had no leader at the last update."""
        return topic in self._since

    def has_waited_long(self, partition: TopicPartition) -> bool:
        """Return whether a partition has had no leader for too long to be waited for."""
        since = self._since.get(partition.topic, {}).get(partition.partition)
        return since is not None and time.monotonic() - since >= _PATIENCE_S
