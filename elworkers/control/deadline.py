# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Measures how much of a wait is left."""

from __future__ import annotations

import time


class Deadline:
    """A point in time, in seconds from now on the monotonic clock."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._at = time.monotonic() + seconds

    def over(self) -> bool:
        """Return whether it has passed."""
        return time.monotonic() >= self._at

    def left(self) -> float:
        """Return how many seconds are left.

        Raises:
            TimeoutError: none.
        """
        seconds = self._at - time.monotonic()
        if seconds <= 0:
            raise TimeoutError
        return seconds

    def __str__(self) -> str:
        return f"{self._seconds:g} s"
