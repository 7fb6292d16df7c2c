# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""When partitions may move, seen from the thread that moves them."""

from __future__ import annotations

import threading

from waiting import wait_for

from elworkers.connectors.kafka.pykafka.rebalance_guard import RebalanceGuard

DEADLINE_S = 20.0


class Mover(threading.Thread):
    """Moves partitions once it may."""

    def __init__(self, guard: RebalanceGuard) -> None:
        super().__init__(daemon=True)
        self._guard = guard
        self.moved = threading.Event()
        self.start()

    def run(self) -> None:
        with self._guard.hold(threading.Lock()):
            self.moved.set()


def test_where_everything_is_committed_nothing_waits() -> None:
    guard = RebalanceGuard(DEADLINE_S, "t")
    mover = Mover(guard)
    mover.join(DEADLINE_S)
    assert mover.moved.is_set()
    assert not guard.is_rebalancing


def test_partitions_move_when_what_was_taken_is_committed() -> None:
    guard = RebalanceGuard(DEADLINE_S, "t")
    guard.uncommitted = True
    mover = Mover(guard)
    wait_for(lambda: guard.is_rebalancing, DEADLINE_S, "the other thread")
    assert not mover.moved.is_set()
    guard.committed()
    mover.join(DEADLINE_S)
    assert mover.moved.is_set()
    assert (guard.uncommitted, guard.lost_uncommitted) == (False, False)


def test_they_move_in_the_end_and_what_was_not_committed_is_lost() -> None:
    guard = RebalanceGuard(0.0, "t")
    guard.uncommitted = True
    mover = Mover(guard)
    mover.join(DEADLINE_S)
    assert mover.moved.is_set()
    assert guard.lost_uncommitted


def test_who_closes_lets_them_move_at_once() -> None:
    guard = RebalanceGuard(DEADLINE_S, "t")
    guard.uncommitted = True
    mover = Mover(guard)
    wait_for(lambda: guard.is_rebalancing, DEADLINE_S, "the other thread")
    guard.release()
    mover.join(DEADLINE_S)
    assert mover.moved.is_set()
    assert not guard.lost_uncommitted
