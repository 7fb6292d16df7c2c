# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Timestamps of capsules as Unix seconds."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elworkers.events.capsule import iso_from_unix
from elworkers.events.timestamps import unix_seconds_of


@pytest.mark.parametrize(
    ("timestamp", "seconds"),
    [
        (0, 0),
        (1_469_795_696, 1_469_795_696),
        (1_469_795_696.5, 1_469_795_696.5),
        (10**12, 10**12),
        (10**12 + 1, 1_000_000_000.001),
        (1_358_791_834_912, 1_358_791_834.912),
        (1_358_791_834_912.0, 1_358_791_834.912),
        (1_358_791_834_000, 1_358_791_834),
        (-1_358_791_834_000, -1_358_791_834),
        (-(10**12), -(10**12)),
        (10**15 + 1, 1_000_000_000_000.001),
        (10**400, 10**397),
        (math.inf, math.inf),
    ],
)
def test_what_is_beyond_a_million_million_is_milliseconds(timestamp: float, seconds: float) -> None:
    assert unix_seconds_of(timestamp) == seconds
    assert isinstance(unix_seconds_of(timestamp), type(seconds))


@given(st.integers(10**9 + 1, 4 * 10**9), st.integers(0, 999))
def test_a_time_in_milliseconds_is_the_same_time(seconds: int, rest: int) -> None:
    assert iso_from_unix(seconds * 1000 + rest) == iso_from_unix(seconds)


@given(st.integers() | st.floats(allow_nan=False))
def test_any_number_is_one_behind_it(timestamp: float) -> None:
    assert abs(unix_seconds_of(timestamp)) <= abs(timestamp)
