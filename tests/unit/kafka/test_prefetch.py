# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Items that another thread gets ahead."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from waiting import wait_for

from elworkers.connectors.kafka.pykafka.prefetch import prefetched

DEADLINE_S = 20.0


def counting(got: list[int], *, ends_at: int = 100, error: Exception | None = None) -> Iterator[int]:
    for number in range(ends_at):
        got.append(number)
        yield number
    if error is not None:
        raise error


def test_items_come_in_order_and_one_of_them_early() -> None:
    got: list[int] = []
    items = prefetched(counting(got), threading.Event())
    assert next(items) == 0
    # One waits, and one more is being handed over.
    wait_for(lambda: got == [0, 1, 2], DEADLINE_S, "the next ones")
    assert list(items) == list(range(1, 100))


def test_what_getting_them_raises_comes_behind_those_before() -> None:
    items = prefetched(counting([], ends_at=2, error=ValueError("planted")), threading.Event())
    assert [next(items), next(items)] == [0, 1]
    with pytest.raises(ValueError, match="planted"):
        next(items)


def test_who_takes_no_more_leaves_no_thread() -> None:
    before, cancelled = threading.active_count(), threading.Event()
    items = prefetched(counting([]), cancelled)
    next(items)
    assert threading.active_count() == before + 1
    items.close()
    assert cancelled.is_set()
    assert threading.active_count() == before
