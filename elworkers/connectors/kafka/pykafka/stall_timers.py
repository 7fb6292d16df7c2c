# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Times when partitions that cannot be read are asked for again."""

from __future__ import annotations

import time
from typing import NamedTuple

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 30.0


class _Stall(NamedTuple):
    """Until when a partition is left alone (monotonic seconds), and for how long."""

    until: float
    pause_s: float


class StallTimers:
    """Leaves stalled partitions alone, each for twice as long as the time before."""

    def __init__(self) -> None:
        self._stalls: dict[int, _Stall] = {}

    def start(self, partition: int) -> None:
        """Leave a partition alone for a while."""
        before = self._stalls.get(partition)
        pause_s = _FIRST_PAUSE_S if before is None else min(2 * before.pause_s, _LONGEST_PAUSE_S)
        self._stalls[partition] = _Stall(time.monotonic() + pause_s, pause_s)

    def is_due(self, partition: int) -> bool:
        """Return whether a partition may be asked for."""
        stall = self._stalls.get(partition)
        return stall is None or time.monotonic() >= stall.until

    def clear(self, partition: int) -> bool:
        """Forget that a partition stood still; return whether it did."""
        return self._stalls.pop(partition, None) is not None
