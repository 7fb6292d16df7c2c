# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Tracks what was read of a partition but not published, and decides when to publish it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import NamedTuple

from elworkers.importer.hours import HourPartition
from elworkers.importer.staging import StagingFile


class RollPolicy(NamedTuple):
    """When files are closed.

    Attributes:
        size: bytes of lines in a staging file.
        age_s: since a staging file's first line came.
        grace_ms: after the end of an hour.
    """

    size: int
    age_s: float
    grace_ms: int


@dataclass
class PendingRange:
    """What has been read of a partition but not published.

    Attributes:
        begin: where the last manifest ended.
        next: where reading goes on.
        since: monotonic time of the first staging file's first line.
        files: by hour.
        published: monotonic time at which this process has last published something of it; 0 for never.
    """

    begin: int
    next: int
    since: float = 0.0
    files: dict[HourPartition, StagingFile] = field(default_factory=dict)
    published: float = 0.0

    def should_roll(self, policy: RollPolicy, now_ms: int) -> bool:
        """Return whether its files are to be closed, which is always done for all of them together.

        Args:
            policy: when files are closed.
            now_ms: the time, in ms since the epoch.
        """
        if not self.files:
            return False
        now = time.monotonic()
        if now - self.since >= policy.age_s:
            return True
        # Stragglers of an hour that was closed before wait, so that they do not make a file each.
        waited = not self.published or now - self.published >= policy.age_s
        begun_ms = now_ms - int((now - self.since) * 1000)
        closes = [hour_partition.end_ms + policy.grace_ms for hour_partition in self.files]
        return any(closes_ms <= now_ms and (begun_ms < closes_ms or waited) for closes_ms in closes)
