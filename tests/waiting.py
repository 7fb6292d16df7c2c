# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Waits for a condition, up to a deadline, and returns its value."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_for(condition: Callable[[], T], deadline_s: float, what: str) -> T:
    """The first true value of `condition`, asked again and again for `deadline_s` seconds.

    Raises:
        AssertionError: names `what` and the last value.
    """
    deadline = time.monotonic() + deadline_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {deadline_s} s; the last value was {value!r}")
        time.sleep(0.02)
