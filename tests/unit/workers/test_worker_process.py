# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""One worker and all of a pool's as their parent sees them, with real processes."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator

import pytest
from structlog.testing import capture_logs
from waiting import wait_for

from elworkers.core.worker_state import State
from elworkers.workers import worker_process as module
from elworkers.workers.scoreboard import CRASHED, Remarks, Scoreboard
from elworkers.workers.watchdog import watch
from elworkers.workers.worker_process import FIRST_BACKOFF_S, LONGEST_BACKOFF_S, WorkerProcess
from elworkers.workers.worker_processes import WorkerProcesses, not_started

DEADLINE_S = 30.0


def for_ever() -> int:
    while True:
        time.sleep(60)


def start_deaf(process: WorkerProcess) -> None:
    """Start one that ends of nothing but SIGKILL; returns when it is so."""

    def deaf() -> int:
        for number in (signal.SIGTERM, signal.SIGUSR2):
            signal.signal(number, signal.SIG_IGN)
        process.slot.report(State.RUNNING)
        return for_ever()

    process.start(deaf, ())
    wait_for(lambda: process.is_working, DEADLINE_S, "its start")


@pytest.fixture
def process() -> Iterator[WorkerProcess]:
    made = WorkerProcess(0, Scoreboard().free_slot())
    yield made
    if made.pid is not None:
        made.send(signal.SIGKILL)
        os.waitpid(made.pid, 0)


def code_of(process: WorkerProcess) -> int:
    """The exit code, when it has ended."""
    found: list[int] = []

    def ended() -> bool:
        code = process.reap()
        found.extend([] if code is None else [code])
        return bool(found)

    wait_for(ended, DEADLINE_S, "its end")
    return found[0]


def fails() -> int:
    raise ValueError("x")


@pytest.mark.parametrize(("work", "code"), [(lambda: 0, 0), (lambda: 78, 78), (fails, 1)])
def test_a_process_ends_with_what_its_work_gives(process: WorkerProcess, work: Callable[[], int], code: int) -> None:
    process.start(work, ())
    assert process.pid is not None
    assert code_of(process) == code
    assert process.pid is None
    assert process.reap() is None
    assert process.restarts == 0


def test_a_process_has_the_default_for_what_its_parent_handles(process: WorkerProcess) -> None:
    process.start(for_ever, (signal.SIGTERM, signal.SIGHUP))
    process.send(signal.SIGHUP)
    process.request_stop(30.0)
    assert process.leaving
    assert process.kill_at > time.monotonic()
    assert code_of(process) == -signal.SIGTERM


def test_what_was_asked_to_end_is_killed_when_its_time_is_over(process: WorkerProcess) -> None:
    start_deaf(process)
    process.request_stop(0.0)
    wait_for(lambda: time.monotonic() > process.kill_at, DEADLINE_S, "the end of its time")
    with capture_logs() as logs:
        watch([process], 300.0)
    assert [entry["event"] for entry in logs] == ["worker killed: it did not stop in time"]
    assert code_of(process) == -signal.SIGKILL


def test_what_hangs_is_killed_after_it_was_asked_for_its_stacks(process: WorkerProcess) -> None:
    start_deaf(process)
    watch([process], 300.0)
    assert not process.kill_at
    with capture_logs() as logs:
        watch([process], -1.0)
    assert [entry["event"] for entry in logs] == ["worker makes no progress; its stacks follow, then it is replaced"]
    assert process.hangs.startswith("no sign of life for ")
    assert process.kill_at > time.monotonic()
    assert not process.leaving
    process.kill_at = time.monotonic()
    wait_for(lambda: time.monotonic() > process.kill_at, DEADLINE_S, "the end of its time")
    with capture_logs() as logs:
        watch([process], -1.0)
    assert "worker killed: it did not stop in time" in [entry["event"] for entry in logs]
    assert code_of(process) == -signal.SIGKILL


def test_what_waits_on_purpose_is_not_silent(process: WorkerProcess) -> None:
    process.start(for_ever, ())
    assert process.silent_s() >= 0
    process.slot.report(State.WAITING)
    assert process.silent_s() == 0.0


def test_a_worker_that_dies_again_waits_longer_each_time(process: WorkerProcess) -> None:
    process.begun = time.monotonic()
    pauses = [process.died("exit code 1") for _ in range(9)]
    assert pauses[:3] == [FIRST_BACKOFF_S, 2 * FIRST_BACKOFF_S, 4 * FIRST_BACKOFF_S]
    assert max(pauses) == pauses[-1] == LONGEST_BACKOFF_S
    assert process.crashes == 9
    process.begun = time.monotonic() - 3600
    assert process.died("exit code 1") == FIRST_BACKOFF_S


def test_crashes_are_forgotten_in_time(process: WorkerProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    process.died("signal SIGSEGV")
    now = time.monotonic()
    monkeypatch.setattr(module.time, "monotonic", lambda: now + 599)
    process.died("signal SIGSEGV")
    assert process.crashes == 2
    monkeypatch.setattr(module.time, "monotonic", lambda: now + 700)
    assert process.crashes == 1


def test_it_is_told_how_it_died_and_what_it_said_of_that(process: WorkerProcess) -> None:
    process.died("signal SIGKILL")
    assert process.crash == "signal SIGKILL"
    process.hangs = "no sign of life for 301 s"
    process.died("signal SIGKILL")
    assert process.crash == "signal SIGKILL: no sign of life for 301 s"
    process.slot.set_remarks(Remarks(f"{CRASHED}KeyError: 7", 1.0))
    process.died("exit code 1")
    assert process.crash == f"exit code 1: {CRASHED}KeyError: 7"


@pytest.mark.parametrize(
    ("state", "is_working", "ready"),
    [
        (State.RUNNING, True, True),
        (State.IDLE, True, True),
        (State.READY, False, True),
        (State.WAITING, False, False),
        (State.STARTING, False, False),
    ],
)
def test_who_has_come_through_its_start(process: WorkerProcess, state: State, is_working: bool, ready: bool) -> None:
    process.slot.report(state)
    assert (process.is_working, process.ready) == (False, False)
    process.pid = os.getpid()
    try:
        assert (process.is_working, process.ready) == (is_working, ready)
    finally:
        process.pid = None


def test_places_are_made_and_forgotten_and_a_successor_takes_one() -> None:
    worker_processes = WorkerProcesses(Scoreboard())
    first, second = worker_processes.get_or_create(0), worker_processes.get_or_create(1)
    assert worker_processes.get_or_create(0) is first
    assert worker_processes.from_index(1) == [second]
    assert worker_processes.alive() == []
    first.died("exit code 1")
    successor = worker_processes.name_successor(first)
    assert list(worker_processes) == [first, second, successor]
    # It remembers how those before it died.
    assert (successor.crashes, successor.crash) == (1, "exit code 1")
    slots = {one.slot.number for one in worker_processes}
    assert len(slots) == 3
    worker_processes.promote()
    assert worker_processes.successor is None
    assert (worker_processes.get(0), worker_processes.get(1)) == (successor, second)
    worker_processes.remove(second)
    assert worker_processes.get(1) is None
    # Slots are given back, and found again.
    assert {worker_processes.get_or_create(index).slot.number for index in (1, 2)} <= slots | {3}


def test_a_successor_that_has_ended_leaves_the_place_as_it_was() -> None:
    worker_processes = WorkerProcesses(Scoreboard())
    first = worker_processes.get_or_create(0)
    worker_processes.name_successor(first)
    worker_processes.dismiss()
    assert worker_processes.successor is None
    assert list(worker_processes) == [first]
    worker_processes.promote()
    assert worker_processes.get(0) is first


def test_all_are_leaving_when_nobody_would_go_on() -> None:
    worker_processes = WorkerProcesses(Scoreboard())
    first, second = worker_processes.get_or_create(0), worker_processes.get_or_create(1)
    first.leaving = True
    assert not worker_processes.all_leaving()
    second.leaving = True
    assert worker_processes.all_leaving()


def test_what_an_operator_is_told_of_a_worker() -> None:
    worker_processes = WorkerProcesses(Scoreboard())
    process = worker_processes.get_or_create(3)
    process.slot.read(42)
    process.slot.report(State.RUNNING)
    process.slot.set_remarks(Remarks("the database is away", 5.0))
    (seen,) = worker_processes.states()
    # No process: whatever its slot says is of one that is no more.
    assert (seen.worker, seen.pid, seen.state, seen.reason) == (3, None, "stopped", "")
    process.pid = 4711
    (seen,) = worker_processes.states()
    assert (seen.pid, seen.state, seen.records) == (4711, "running", 42)
    assert (seen.reason, seen.reason_since) == ("the database is away", 5.0)
    assert not seen.done
    process.pid, process.leaving = None, True
    assert worker_processes.states()[0].done


def test_workers_that_cannot_be_started_are_told_of_as_waiting() -> None:
    told = not_started(2, "127.0.0.1:80 is taken", 9.0)
    assert [(one.worker, one.pid, one.state, one.reason, one.reason_since) for one in told] == [
        (0, None, "waiting", "127.0.0.1:80 is taken", 9.0),
        (1, None, "waiting", "127.0.0.1:80 is taken", 9.0),
    ]
