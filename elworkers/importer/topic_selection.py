# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Decides which topics a worker imports, and into which folders."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from typing import NamedTuple

PREFIX = "eventlogging_"
"""What names of topics with valid events begin with (reference of 2016)."""


_DIGITS = 8


def schema_of(topic: str) -> str:
    """Return the schema of a topic: its name without `eventlogging_`."""
    return topic.removeprefix(PREFIX)


def folders(topics: Iterable[str]) -> dict[str, str]:
    """Return for each topic its folder below the base folder, which no other topic has: the name of its schema.

    A name that would lead out of the base folder, that readers pass over (`.` or `_` in front), or that a topic with
    `eventlogging_` has already, gets a digest of the topic's name.
    """
    found: dict[str, str] = {}
    taken: set[str] = set()
    for topic in sorted(topics, key=lambda topic: (not topic.startswith(PREFIX), topic)):
        folder = schema_of(topic)
        if not folder or folder[0] in "._" or folder in taken:
            digest = hashlib.sha256(topic.encode()).hexdigest()[:_DIGITS]
            folder = f"{folder.lstrip('._') or 'topic'}-{digest}"
        found[topic] = folder
        taken.add(folder)
    return found


class TopicSelection(NamedTuple):
    """Which topics are one worker's.

    Attributes:
        wanted, unwanted: patterns that the whole name of a topic matches, and does not match.
        worker, workers: topics are shared out by a sum of their names.
    """

    wanted: re.Pattern[str]
    unwanted: re.Pattern[str] | None
    worker: int = 0
    workers: int = 1

    def has(self, topic: str) -> bool:
        """Return whether a topic is among them."""
        return self.matches(topic) and _number(topic) % self.workers == self.worker

    def matches(self, topic: str) -> bool:
        """Return whether the topic's name matches."""
        unwanted = self.unwanted is not None and self.unwanted.fullmatch(topic) is not None
        return self.wanted.fullmatch(topic) is not None and not unwanted


def _number(topic: str) -> int:
    # Not a CRC: that gives names that differ in one digit numbers that differ in few bits.
    return int.from_bytes(hashlib.sha256(topic.encode()).digest()[:8], "big")
