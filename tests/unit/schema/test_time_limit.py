# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Calls with a limit."""

from __future__ import annotations

from threading import Event

import pytest

from elworkers.schema.time_limit import TimeLimit

LONG_S = 60.0


def test_what_comes_in_time_is_given_or_raised() -> None:
    limit = TimeLimit(1)
    for _ in range(3):
        assert limit.call(lambda: 7, LONG_S) == 7
        with pytest.raises(ZeroDivisionError):
            limit.call(lambda: 1 // 0, LONG_S)


def test_what_does_not_come_back_is_left_and_only_so_many_of_it() -> None:
    limit, ended, begun = TimeLimit(2), Event(), []

    def hang() -> bool:
        begun.append(True)
        return ended.wait(LONG_S)

    for _ in range(3):
        with pytest.raises(TimeoutError):
            limit.call(hang, 0.02)
    assert len(begun) == 2
    left = list(limit._abandoned)
    ended.set()
    for thread in left:
        thread.join(LONG_S)
    assert limit.call(hang, LONG_S)
