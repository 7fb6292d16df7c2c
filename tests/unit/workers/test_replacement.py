# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Workers are replaced: what their parent decides, without any process."""

from __future__ import annotations

import signal
import time

import pytest

from elworkers.core.errors import EX_CONFIG
from elworkers.core.worker_state import State
from elworkers.workers.replacement import Replacement
from elworkers.workers.scoreboard import Remarks, Scoreboard
from elworkers.workers.worker_process import WorkerProcess
from elworkers.workers.worker_processes import WorkerProcesses


class Place:
    """One place of a pool: a worker in it, and what is started and ended there."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        scoreboard = Scoreboard()
        self.present = WorkerProcess(0, scoreboard.free_slot(), pid=1001)
        self.worker_processes = WorkerProcesses(scoreboard, [self.present])
        self.started: list[tuple[WorkerProcess, int | None]] = []
        self.asked: list[int | None] = []

        def send(worker_process: WorkerProcess, number: signal.Signals) -> None:
            assert number is signal.SIGTERM
            self.asked.append(worker_process.pid)

        monkeypatch.setattr(WorkerProcess, "send", send)
        self.replacement = Replacement(self.worker_processes, side_by_side=True, stop_timeout_s=1.0, start=self.start)

    def start(self, worker_process: WorkerProcess, after: int | None) -> None:
        self.started.append((worker_process, after))
        worker_process.pid, worker_process.begun = 2000 + len(self.started), time.monotonic()

    def begun(self) -> WorkerProcess:
        """The successor, just started."""
        self.replacement.begin([0])
        assert not self.replacement.step()
        assert self.worker_processes.successor is not None
        return self.worker_processes.successor


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Place:
    return Place(monkeypatch)


def test_the_present_one_is_asked_to_end_when_the_next_is_ready(place: Place) -> None:
    successor = place.begun()
    assert place.started == [(successor, 1001)]
    assert not place.replacement.step()
    assert not place.asked
    successor.slot.report(State.READY)
    assert not place.replacement.step()
    assert place.asked == [1001]
    place.present.pid = None
    assert not place.replacement.step()
    # It has the place now; nobody is left to replace.
    assert place.replacement.step()
    assert place.worker_processes.get(0) is successor
    assert not place.replacement.under_way


def test_what_was_abandoned_is_not_done_so_that_old_addresses_stay_open(place: Place) -> None:
    successor = place.begun()
    place.replacement.abandon()
    assert place.asked == [successor.pid]
    successor.pid = None
    assert not place.replacement.step()
    assert not place.replacement.step()
    assert place.worker_processes.successor is None
    # The next attempt is as good as the first.
    place.begun().slot.report(State.READY)
    place.replacement.step()
    place.present.pid = None
    assert [place.replacement.step(), place.replacement.step()] == [False, True]


@pytest.mark.parametrize(("code", "tries"), [(0, 1), (EX_CONFIG, 1), (1, 3), (-signal.SIGSEGV, 3)])
def test_a_successor_that_ends_is_given_up_and_the_present_one_goes_on(place: Place, code: int, tries: int) -> None:
    successor = place.begun()
    successor.slot.set_remarks(Remarks("why"))
    for left in range(tries, 0, -1):
        successor.pid = None
        assert place.replacement.is_useless(successor, code) == (left == 1)
        successor.pid = 3000
    assert place.replacement.give_up(successor, code) == "why"
    assert not place.replacement.under_way
    assert not place.replacement.step()
    assert not place.asked
    assert place.worker_processes.alive() == [place.present]


@pytest.mark.parametrize("code", [0, 1, EX_CONFIG])
def test_a_successor_is_not_given_up_when_the_present_one_has_been_asked_to_end(place: Place, code: int) -> None:
    successor = place.begun()
    successor.slot.report(State.READY)
    place.replacement.step()
    assert place.asked == [1001]
    # Otherwise nobody would be left.
    assert not any(place.replacement.is_useless(successor, code) for _ in range(5))


def test_only_a_successor_is_given_up(place: Place) -> None:
    assert not any(place.replacement.is_useless(place.present, code) for code in (0, 1, 1, 1, EX_CONFIG))
