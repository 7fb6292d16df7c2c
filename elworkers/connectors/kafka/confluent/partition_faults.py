# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Remembers which partitions of a member stand still, and when to try them again; the others go on."""

from __future__ import annotations

import math
import time
from collections.abc import Collection

from elworkers.connectors.kafka.leaderless import NO_LEADER
from elworkers.connectors.kafka.stalled_partitions import StalledPartitions
from elworkers.core.contracts import Metrics

_TRY_AGAIN_S = 10.0


class PartitionFaults:
    """What is wrong with single partitions.

    Args:
        topic: its name.
        metrics: is told what stands still.
    """

    def __init__(self, topic: str, metrics: Metrics) -> None:
        self._stalled = StalledPartitions(topic, metrics)
        self._numbers: set[int] = set()
        self._leaderless: set[int] = set()
        self._again_at: dict[int, float] = {}

    def stands_still(self, number: int, why: str) -> None:
        """Take note that a partition cannot be read at its position."""
        self._numbers.add(number)
        self._stalled.report(number, why)
        self._again_at[number] = time.monotonic() + _TRY_AGAIN_S

    def has(self, number: int) -> bool:
        """Return whether something is wrong with a partition."""
        return number in self._numbers

    def has_no_leader(self, number: int) -> None:
        """Take note that nobody can say anything of a partition now."""
        self._leaderless.add(number)
        self.stands_still(number, NO_LEADER)

    def due(self, now: float) -> list[int]:
        """Return the partitions to try again.

        Args:
            now: as `time.monotonic` counts.
        """
        return [number for number, at in self._again_at.items() if at <= now] if self._again_at else []

    def tried(self, number: int) -> None:
        """Take note that a partition is being tried again."""
        self._again_at.pop(number, None)

    def goes_on(self, number: int) -> None:
        """Take note that something was heard of a partition."""
        if number in self._numbers:
            self._numbers.discard(number)
            self._leaderless.discard(number)
            self._again_at.pop(number, None)
            self._stalled.report(number, None)

    def leaders(self, led: Collection[int], held: Collection[int]) -> None:
        """Take note of which partitions have leaders; librdkafka waits for one without a word.

        Args:
            led: those that have one.
            held: those that matter.
        """
        for number in held:
            if number not in led:
                self._numbers.add(number)
                self._leaderless.add(number)
                self._stalled.report(number, NO_LEADER)
            elif number in self._again_at:
                # It was taken out of what is read, and goes on once it was put back.
                self._again_at[number] = -math.inf
            elif number in self._leaderless:
                self.goes_on(number)

    def retain(self, held: Collection[int]) -> None:
        """Forget partitions that are no longer held."""
        for number in self._numbers - set(held):
            self._numbers.discard(number)
            self._leaderless.discard(number)
            self._again_at.pop(number, None)
        self._stalled.retain(held)
