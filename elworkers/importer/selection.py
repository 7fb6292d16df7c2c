"""A topic's name comes in; whether this worker imports it, and into which folder, goes out."""

from __future__ import annotations

import hashlib
import re
from typing import NamedTuple

PREFIX = "eventlogging_"
"""Of the topics that processors write (reference of 2016)."""


def schema_of(topic: str) -> str:
    """The folder of a topic: its name without `eventlogging_`."""
    return topic.removeprefix(PREFIX)


class Selection(NamedTuple):
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
        """Whether a topic is among them."""
        if not self.wanted.fullmatch(topic) or (self.unwanted is not None and self.unwanted.fullmatch(topic)):
            return False
        return _number(topic) % self.workers == self.worker


def _number(topic: str) -> int:
    # Not a CRC: that gives names that differ in one digit numbers that differ in few bits.
    return int.from_bytes(hashlib.sha256(topic.encode()).digest()[:8], "big")
