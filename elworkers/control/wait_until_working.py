# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Waits until the workers of started instances can work."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from elworkers.control.deadline import Deadline
from elworkers.control.status import Row

_POLL_INTERVAL_S = 0.2
_WAITS_S = 10.0
"""Seconds that a worker may wait for something before it is not waited for any longer."""


def wait_until_working(read_rows: Callable[[], Sequence[Row]], deadline: Deadline) -> Sequence[Row]:
    """Wait until each worker has joined its group or bound its port, or it is known what it waits for.

    Args:
        read_rows: gives the rows of the instances.
        deadline: the wait ends then, whatever they do.

    Returns:
        The rows as they are then.
    """
    while True:
        rows = read_rows()
        if deadline.over() or not any(_is_under_way(row) for row in rows):
            return rows
        time.sleep(_POLL_INTERVAL_S)


def _is_under_way(row: Row) -> bool:
    states = row.workers
    if row.state != "RUNNING" or states.crashing:
        return False
    if states.reason:
        return states.proving or states.waits_s < _WAITS_S
    return not row.works
