# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Quarantines topics that the store rejects and partitions that Kafka cannot give, and retries them later.

Since when they do is noted in the store: the next process, as a single run of cron's is, goes on counting.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass

import structlog

from elworkers.core.contracts import Metrics, TopicPartition
from elworkers.importer.notes import Note, Notes, Which

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 5.0, 300.0
_REPORT_AGAIN_S = 60.0

log = structlog.get_logger(__name__)


@dataclass
class _Standing:
    note: Note
    reported: float = -math.inf
    pause_s: float = 0.0
    until: float = 0.0
    tried: bool = False


class Quarantine:
    """The topics and partitions that stand still.

    Args:
        metrics: is told of them.
        notes: of the store.
    """

    def __init__(self, metrics: Metrics, notes: Notes) -> None:
        self._metrics = metrics
        self._notes = notes
        self._standing: dict[Which, _Standing] = {}
        self._restored = False
        self._to_drop: set[Which] = set()

    def restore(self, is_ours: Callable[[str], bool]) -> None:
        """Load, once, what the process before has quarantined; it is retried at once.

        Args:
            is_ours: whether a topic is this worker's.

        Raises:
            RetryableError: the store does not answer.
        """
        if self._restored:
            return
        for which, note in self._notes.read().items():
            if is_ours(which.topic):
                self._standing[which] = _Standing(note)
                self._metrics.set_aside(which.name, note.why, note.since)
        self._restored = True

    def has(self, topic: str) -> bool:
        """Return whether a topic is in quarantine and not being retried."""
        standing = self._standing.get(Which(topic))
        return standing is not None and not standing.tried

    def is_tried(self, topic: str) -> bool:
        """Return whether this run retries a topic that was in quarantine."""
        standing = self._standing.get(Which(topic))
        return standing is not None and standing.tried

    def may_retry(self, topic: str) -> bool:
        """Return whether a topic is not in quarantine, or has been for long enough to be retried."""
        standing = self._standing.get(Which(topic))
        return standing is None or time.monotonic() >= standing.until

    def add(self, topic: str, why: str) -> None:
        """Quarantine a topic, for longer each time; it is logged once a minute while the reason is the same."""
        before = self._standing.get(Which(topic))
        pause_s = min(2 * before.pause_s, _LONGEST_PAUSE_S) if before and before.pause_s else _FIRST_PAUSE_S
        standing = self._stand(Which(topic), why, _REPORT_AGAIN_S, tried_again_in_s=pause_s)
        standing.pause_s, standing.until = pause_s, time.monotonic() + pause_s

    def _stand(self, which: Which, why: str, report_again_s: float, **more: object) -> _Standing:
        now, before = time.monotonic(), self._standing.get(which)
        note = Note(why, before.note.since if before else int(time.time()))
        standing = _Standing(note)
        if before is not None and _comparable(which, before.note.why) == _comparable(which, why):
            standing.reported = before.reported
        if now - standing.reported > report_again_s or standing.reported == -math.inf:
            log.error(
                f"{which.kind} stands still; others go on",  # noqa: G004 - one of two
                code="import_stalled",
                **_named(which),
                reason=why,
                **more,
            )
            standing.reported = now
        self._standing[which] = standing
        self._to_drop.discard(which)
        self._notes.write(which, note)
        self._metrics.set_aside(which.name, why, note.since)
        return standing

    def try_again(self, topic: str) -> None:
        """Retry a topic in this run, if it was in quarantine."""
        if Which(topic) in self._standing:
            self._standing[Which(topic)].tried = True

    def resume_tried(self, unfinished: Container[str]) -> None:
        """Release the topics that were retried and have not been added again.

        Args:
            unfinished: topics of which this run has not published all that it read: whether they go on is not known.
        """
        for which, standing in list(self._standing.items()):
            if standing.tried and which.topic not in unfinished:
                self._resume(which)
        self._to_drop = {which for which in self._to_drop if not self._notes.drop(which)}

    def _resume(self, which: Which) -> None:
        note = self._standing.pop(which).note
        stood_s = max(0, int(time.time()) - note.since)
        log.info(f"{which.kind} goes on", code="import_resumed", **_named(which), stood_still_s=stood_s)  # noqa: G004 - one of two
        self._metrics.resumed(which.name)
        self._to_drop.add(which)

    def report_unreadable(self, unreadable: Mapping[TopicPartition, str], read: Container[TopicPartition]) -> None:
        """Quarantine the partitions that Kafka could not give in this run, and release those that it could.

        Args:
            unreadable: why, for each that it could not.
            read: those that this run has read as far as they reach, or would have if they had anything.
        """
        for which in [which for which in self._standing if which.number is not None]:
            partition = TopicPartition(which.topic, which.number or 0)
            if partition in read and partition not in unreadable:
                self._resume(which)
        for partition, why in unreadable.items():
            self._stand(Which(*partition), why, math.inf)


def _named(which: Which) -> dict[str, object]:
    return {"topic": which.topic, **({} if which.number is None else {"partition": which.number})}


def _comparable(which: Which, why: str) -> str:
    """Return a reason without what differs between tries: numbers of HDFS are counts, those of Kafka are codes."""
    return re.sub("[0-9]+", "0", why) if which.number is None else why
