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
from elworkers.importer.notes import Note, Notes, TopicOrPartition

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 5.0, 300.0
_REPORT_AGAIN_S = 60.0

log = structlog.get_logger(__name__)


@dataclass
class _Entry:
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
        self._entries: dict[TopicOrPartition, _Entry] = {}
        self._restored = False
        self._to_drop: set[TopicOrPartition] = set()

    def restore(self, is_ours: Callable[[str], bool]) -> None:
        """Load, once, what the process before has quarantined; it is retried at once.

        Args:
            is_ours: whether a topic is this worker's.

        Raises:
            RetryableError: the store does not answer.
        """
        if self._restored:
            return
        for item, note in self._notes.read().items():
            if is_ours(item.topic):
                self._entries[item] = _Entry(note)
                self._metrics.set_aside(item.name, note.why, note.since)
        self._restored = True

    def has(self, topic: str) -> bool:
        """Return whether a topic is in quarantine and not being retried."""
        entry = self._entries.get(TopicOrPartition(topic))
        return entry is not None and not entry.tried

    def is_tried(self, topic: str) -> bool:
        """Return whether this run retries a topic that was in quarantine."""
        entry = self._entries.get(TopicOrPartition(topic))
        return entry is not None and entry.tried

    def may_retry(self, topic: str) -> bool:
        """Return whether a topic is not in quarantine, or has been for long enough to be retried."""
        entry = self._entries.get(TopicOrPartition(topic))
        return entry is None or time.monotonic() >= entry.until

    def add(self, topic: str, why: str) -> None:
        """Quarantine a topic, for longer each time; it is logged once a minute while the reason is the same."""
        before = self._entries.get(TopicOrPartition(topic))
        pause_s = min(2 * before.pause_s, _LONGEST_PAUSE_S) if before and before.pause_s else _FIRST_PAUSE_S
        entry = self._put(TopicOrPartition(topic), why, _REPORT_AGAIN_S, tried_again_in_s=pause_s)
        entry.pause_s, entry.until = pause_s, time.monotonic() + pause_s

    def _put(self, item: TopicOrPartition, why: str, report_again_s: float, **more: object) -> _Entry:
        now, before = time.monotonic(), self._entries.get(item)
        note = Note(why, before.note.since if before else int(time.time()))
        entry = _Entry(note)
        if before is not None and _comparable(item, before.note.why) == _comparable(item, why):
            entry.reported = before.reported
        if now - entry.reported > report_again_s or entry.reported == -math.inf:
            log.error(
                f"{item.noun} stands still; others go on",  # noqa: G004 - one of two
                code="import_stalled",
                **_log_fields(item),
                reason=why,
                **more,
            )
            entry.reported = now
        self._entries[item] = entry
        self._to_drop.discard(item)
        self._notes.write(item, note)
        self._metrics.set_aside(item.name, why, note.since)
        return entry

    def try_again(self, topic: str) -> None:
        """Retry a topic in this run, if it was in quarantine."""
        if TopicOrPartition(topic) in self._entries:
            self._entries[TopicOrPartition(topic)].tried = True

    def resume_tried(self, unfinished: Container[str]) -> None:
        """Release the topics that were retried and have not been added again.

        Args:
            unfinished: topics of which this run has not published all that it read: whether they go on is not known.
        """
        for item, entry in list(self._entries.items()):
            if entry.tried and item.topic not in unfinished:
                self._release(item)
        self._to_drop = {item for item in self._to_drop if not self._notes.drop(item)}

    def _release(self, item: TopicOrPartition) -> None:
        note = self._entries.pop(item).note
        stood_s = max(0, int(time.time()) - note.since)
        log.info(f"{item.noun} goes on", code="import_resumed", **_log_fields(item), stood_still_s=stood_s)  # noqa: G004 - one of two
        self._metrics.resumed(item.name)
        self._to_drop.add(item)

    def report_unreadable(self, unreadable: Mapping[TopicPartition, str], read: Container[TopicPartition]) -> None:
        """Quarantine the partitions that Kafka could not give in this run, and release those that it could.

        Args:
            unreadable: why, for each that it could not.
            read: those that this run has read as far as they reach, or would have if they had anything.
        """
        for item in [item for item in self._entries if item.number is not None]:
            partition = TopicPartition(item.topic, item.number or 0)
            if partition in read and partition not in unreadable:
                self._release(item)
        for partition, why in unreadable.items():
            self._put(TopicOrPartition(*partition), why, math.inf)


def _log_fields(item: TopicOrPartition) -> dict[str, object]:
    return {"topic": item.topic, **({} if item.number is None else {"partition": item.number})}


def _comparable(item: TopicOrPartition, why: str) -> str:
    """Return a reason without what differs between tries: numbers of HDFS are counts, those of Kafka are codes."""
    return re.sub("[0-9]+", "0", why) if item.number is None else why
