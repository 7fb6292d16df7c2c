# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Reports the stalled partitions of a consumer."""

from __future__ import annotations

import time
from collections.abc import Collection

import structlog

from elworkers.core.contracts import Metrics

_REPORT_INTERVAL_S = 60.0

log = structlog.get_logger(__name__)


class StalledPartitions:
    """Remembers which partitions of a topic are stalled, and why.

    Args:
        topic: its name.
        metrics: is told what is set aside; counts `kafka_transactional_messages`.
    """

    def __init__(self, topic: str, metrics: Metrics) -> None:
        self._topic = topic
        self._metrics = metrics
        self._reported: dict[int, tuple[str, float]] = {}

    def is_stalled(self, partition: int, why: str) -> bool:
        """Return whether a partition is stalled for this reason already."""
        return self._reported.get(partition, ("", 0.0))[0] == why

    def report(self, partition: int, why: str | None) -> None:
        """Report, once a minute, why a partition is stalled; None: it goes on."""
        what = f"topic {self._topic}[{partition}]"
        if why is None:
            self._reported.pop(partition, None)
            self._metrics.resumed(what)
            log.info("partition goes on", code="kafka_partition_resumed", topic=self._topic, partition=partition)
            return
        self._metrics.set_aside(what, why)
        now = time.monotonic()
        reported_reason, at = self._reported.get(partition, ("", 0.0))
        if why != reported_reason or now - at > _REPORT_INTERVAL_S:
            self._reported[partition] = (why, now)
            log.error(
                "partition stands still; others go on",
                code="kafka_partition_stalled",
                topic=self._topic,
                partition=partition,
                reason=why,
            )

    def retain(self, held: Collection[int]) -> None:
        """Forget partitions that are no longer held."""
        for partition in set(self._reported) - set(held):
            self._reported.pop(partition, None)
            self._metrics.resumed(f"topic {self._topic}[{partition}]")

    def count_transactional(self, partition: int, max_count: int) -> None:
        """Report how many messages may have been handed on before their transactions were seen."""
        self._metrics.count("kafka_transactional_messages", max(0, max_count), topic=self._topic)
        if max_count > 0:
            log.error(
                "messages were handed on before it was seen that a transactional producer writes to their partition",
                code="kafka_transactional_messages",
                topic=self._topic,
                partition=partition,
                at_most=max_count,
            )
