"""Topics that the store refuses or Kafka cannot give: they stand still, say why, and are tried again later."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import structlog

from elworkers.contracts import Metrics
from elworkers.kafka.reader import Partition

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 5.0, 300.0
_SAY_AGAIN_S = 60.0

log = structlog.get_logger(__name__)


@dataclass
class _Standing:
    why: str
    said: float
    pause_s: float
    until: float
    tried: bool = False


class Aside:
    """The topics that stand still.

    Args:
        metrics: is told of them.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._standing: dict[str, _Standing] = {}
        self._unreadable: set[Partition] = set()

    def has(self, topic: str) -> bool:
        """Whether a topic stands still, and is not tried at the moment."""
        standing = self._standing.get(topic)
        return standing is not None and not standing.tried

    def is_due(self, topic: str) -> bool:
        """Whether a topic may be tried."""
        standing = self._standing.get(topic)
        return standing is None or time.monotonic() >= standing.until

    def add(self, topic: str, why: str) -> None:
        """Have a topic stand still; for longer each time, and said once a minute while the reason is the same."""
        now = time.monotonic()
        before = self._standing.get(topic)
        pause_s = _FIRST_PAUSE_S if before is None else min(2 * before.pause_s, _LONGEST_PAUSE_S)
        said = before.said if before is not None and before.why == why else 0.0
        if not said or now - said > _SAY_AGAIN_S:
            log.error("topic stands still; others go on", topic=topic, reason=why, tried_again_in_s=pause_s)
            said = now
        self._standing[topic] = _Standing(why, said, pause_s, now + pause_s)
        self._metrics.set_aside(f"topic {topic}", why)

    def try_again(self, topic: str) -> None:
        """Let a topic go on for a run, if it stood still."""
        if topic in self._standing:
            self._standing[topic].tried = True

    def resume_tried(self) -> None:
        """Topics that were tried, and have not been added again, stand still no longer."""
        for topic in [topic for topic, standing in self._standing.items() if standing.tried]:
            del self._standing[topic]
            log.info("topic goes on", topic=topic)
            self._metrics.resumed(f"topic {topic}")

    def say_unreadable(self, refused: Mapping[Partition, str]) -> None:
        """Name the partitions that Kafka could not give in this run, and no longer those that it could."""
        for partition in self._unreadable - set(refused):
            self._metrics.resumed(f"topic {partition.topic}[{partition.number}]")
            log.info("partition goes on", topic=partition.topic, partition=partition.number)
        for partition, why in refused.items():
            if partition not in self._unreadable:
                log.error(
                    "partition stands still; others go on",
                    topic=partition.topic,
                    partition=partition.number,
                    reason=why,
                )
            self._metrics.set_aside(f"topic {partition.topic}[{partition.number}]", why)
        self._unreadable = set(refused)
