# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""What has been read of a partition → whether its files are closed."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from elworkers.core.contracts import TopicPartition
from elworkers.importer.hours import HOUR_MS, HourPartition
from elworkers.importer.pending_range import PendingRange, RollPolicy
from elworkers.importer.staging import StagingFile

MINUTE_MS = 60_000
POLICY = RollPolicy(size=1 << 30, age_s=3600.0, grace_ms=10 * MINUTE_MS)
NOON = 480_000 * HOUR_MS
EARLIER, THIS = HourPartition(479_999), HourPartition(480_000)


def pending(*places: HourPartition, minutes_ago: float, published_minutes_ago: float | None = None) -> PendingRange:
    now = time.monotonic()
    staging = {
        hour_partition: StagingFile(TopicPartition("t", 0), hour_partition, Path("unused"), 0, 0)
        for hour_partition in places
    }
    published = 0.0 if published_minutes_ago is None else now - published_minutes_ago * 60
    return PendingRange(0, 1, now - minutes_ago * 60, staging, published)


@pytest.mark.parametrize(
    ("what", "begun", "minutes_past_noon", "due"),
    [
        ("nothing was read", partial(pending, minutes_ago=500), 30, False),
        ("the hour goes on", partial(pending, THIS, minutes_ago=20), 30, False),
        ("old", partial(pending, THIS, minutes_ago=61), 30, True),
        ("the hour is over, events may still come", partial(pending, EARLIER, minutes_ago=20), 9, False),
        ("the hour is over, and so is its grace", partial(pending, EARLIER, THIS, minutes_ago=20), 10.5, True),
        ("a backlog that nobody has imported yet", partial(pending, EARLIER, minutes_ago=0), 30, True),
        (
            "stragglers soon after its file was closed",
            partial(pending, EARLIER, minutes_ago=1, published_minutes_ago=15),
            30,
            False,
        ),
        ("stragglers long after", partial(pending, EARLIER, minutes_ago=1, published_minutes_ago=61), 30, True),
    ],
)
def test_files_are_closed_when_an_hour_is_over_or_they_are_old(
    what: str, begun: Callable[[], PendingRange], minutes_past_noon: float, due: bool
) -> None:
    # Made here: the tests may have been running for longer than a file stays open.
    assert begun().should_roll(POLICY, NOON + int(minutes_past_noon * MINUTE_MS)) is due, what
