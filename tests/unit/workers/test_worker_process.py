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

from elworkers.core.loop import State
from elworkers.workers import worker_process
from elworkers.workers.scoreboard import CRASHED, Remarks, Scoreboard
from elworkers.workers.watchdog import watch
from elworkers.workers.worker_process import FIRST_BACKOFF_S, LONGEST_BACKOFF_S, WorkerProcess
from elworkers.workers.worker_processes import WorkerProcesses, shut_out

DEADLINE_S = 30.0


def for_ever() -> int:
    while True:
        time.sleep(60)


def start_deaf(member: WorkerProcess) -> None:
    """Start one that ends of nothing but SIGKILL; returns when it is so."""

    def deaf() -> int:
        for number in (signal.SIGTERM, signal.SIGUSR2):
            signal.signal(number, signal.SIG_IGN)
        member.slot.report(State.RUNNING)
        return for_ever()

    member.start(deaf, ())
    wait_for(lambda: member.at_work, DEADLINE_S, "its start")


@pytest.fixture
def member() -> Iterator[WorkerProcess]:
    made = WorkerProcess(0, Scoreboard().free_slot())
    yield made
    if made.pid is not None:
        made.send(signal.SIGKILL)
        os.waitpid(made.pid, 0)


def code_of(member: WorkerProcess) -> int:
    """The exit code, when it has ended."""
    found: list[int] = []

    def ended() -> bool:
        code = member.reap()
        found.extend([] if code is None else [code])
        return bool(found)

    wait_for(ended, DEADLINE_S, "its end")
    return found[0]


def fails() -> int:
    raise ValueError("x")


@pytest.mark.parametrize(("work", "code"), [(lambda: 0, 0), (lambda: 78, 78), (fails, 1)])
def test_a_process_ends_with_what_its_work_gives(member: WorkerProcess, work: Callable[[], int], code: int) -> None:
    member.start(work, ())
    assert member.pid is not None
    assert code_of(member) == code
    assert member.pid is None
    assert member.reap() is None
    assert member.restarts == 0


def test_a_process_has_the_default_for_what_its_parent_handles(member: WorkerProcess) -> None:
    member.start(for_ever, (signal.SIGTERM, signal.SIGHUP))
    member.send(signal.SIGHUP)
    member.ask_to_end(30.0)
    assert member.leaving
    assert member.kill_at > time.monotonic()
    assert code_of(member) == -signal.SIGTERM


def test_what_was_asked_to_end_is_killed_when_its_time_is_over(member: WorkerProcess) -> None:
    start_deaf(member)
    member.ask_to_end(0.0)
    wait_for(lambda: time.monotonic() > member.kill_at, DEADLINE_S, "the end of its time")
    with capture_logs() as logs:
        watch([member], 300.0)
    assert [entry["event"] for entry in logs] == ["worker killed: it did not stop in time"]
    assert code_of(member) == -signal.SIGKILL


def test_what_hangs_is_killed_after_it_was_asked_for_its_stacks(member: WorkerProcess) -> None:
    start_deaf(member)
    watch([member], 300.0)
    assert not member.kill_at
    with capture_logs() as logs:
        watch([member], -1.0)
    assert [entry["event"] for entry in logs] == ["worker makes no progress; its stacks follow, then it is replaced"]
    assert member.hangs.startswith("no sign of life for ")
    assert member.kill_at > time.monotonic()
    assert not member.leaving
    member.kill_at = time.monotonic()
    wait_for(lambda: time.monotonic() > member.kill_at, DEADLINE_S, "the end of its time")
    with capture_logs() as logs:
        watch([member], -1.0)
    assert "worker killed: it did not stop in time" in [entry["event"] for entry in logs]
    assert code_of(member) == -signal.SIGKILL


def test_what_waits_on_purpose_is_not_silent(member: WorkerProcess) -> None:
    member.start(for_ever, ())
    assert member.silent_s() >= 0
    member.slot.report(State.WAITING)
    assert member.silent_s() == 0.0


def test_a_worker_that_dies_again_waits_longer_each_time(member: WorkerProcess) -> None:
    member.begun = time.monotonic()
    pauses = [member.died("exit code 1") for _ in range(9)]
    assert pauses[:3] == [FIRST_BACKOFF_S, 2 * FIRST_BACKOFF_S, 4 * FIRST_BACKOFF_S]
    assert max(pauses) == pauses[-1] == LONGEST_BACKOFF_S
    assert member.crashes == 9
    member.begun = time.monotonic() - 3600
    assert member.died("exit code 1") == FIRST_BACKOFF_S


def test_crashes_are_forgotten_in_time(member: WorkerProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    member.died("signal SIGSEGV")
    now = time.monotonic()
    monkeypatch.setattr(worker_process.time, "monotonic", lambda: now + 599)
    member.died("signal SIGSEGV")
    assert member.crashes == 2
    monkeypatch.setattr(worker_process.time, "monotonic", lambda: now + 700)
    assert member.crashes == 1


def test_it_is_told_how_it_died_and_what_it_said_of_that(member: WorkerProcess) -> None:
    member.died("signal SIGKILL")
    assert member.crash == "signal SIGKILL"
    member.hangs = "no sign of life for 301 s"
    member.died("signal SIGKILL")
    assert member.crash == "signal SIGKILL: no sign of life for 301 s"
    member.slot.tell(Remarks(f"{CRASHED}KeyError: 7", 1.0))
    member.died("exit code 1")
    assert member.crash == f"exit code 1: {CRASHED}KeyError: 7"


@pytest.mark.parametrize(
    ("state", "at_work", "ready"),
    [
        (State.RUNNING, True, True),
        (State.IDLE, True, True),
        (State.READY, False, True),
        (State.WAITING, False, False),
        (State.STARTING, False, False),
    ],
)
def test_who_has_come_through_its_start(member: WorkerProcess, state: State, at_work: bool, ready: bool) -> None:
    member.slot.report(state)
    assert (member.at_work, member.ready) == (False, False)
    member.pid = os.getpid()
    try:
        assert (member.at_work, member.ready) == (at_work, ready)
    finally:
        member.pid = None


def test_places_are_made_and_forgotten_and_a_successor_takes_one() -> None:
    members = WorkerProcesses(Scoreboard())
    first, second = members.place(0), members.place(1)
    assert members.place(0) is first
    assert members.beyond(1) == [second]
    assert members.alive() == []
    first.died("exit code 1")
    successor = members.name_successor(first)
    assert list(members) == [first, second, successor]
    # It remembers how those before it died.
    assert (successor.crashes, successor.crash) == (1, "exit code 1")
    slots = {one.slot.number for one in members}
    assert len(slots) == 3
    members.promote()
    assert members.successor is None
    assert (members.get(0), members.get(1)) == (successor, second)
    members.remove(second)
    assert members.get(1) is None
    # Slots are given back, and found again.
    assert {members.place(index).slot.number for index in (1, 2)} <= slots | {3}


def test_a_successor_that_has_ended_leaves_the_place_as_it_was() -> None:
    members = WorkerProcesses(Scoreboard())
    first = members.place(0)
    members.name_successor(first)
    members.dismiss()
    assert members.successor is None
    assert list(members) == [first]
    members.promote()
    assert members.get(0) is first


def test_all_are_leaving_when_nobody_would_go_on() -> None:
    members = WorkerProcesses(Scoreboard())
    first, second = members.place(0), members.place(1)
    first.leaving = True
    assert not members.all_leaving()
    second.leaving = True
    assert members.all_leaving()


def test_what_an_operator_is_told_of_a_worker() -> None:
    members = WorkerProcesses(Scoreboard())
    member = members.place(3)
    member.slot.read(42)
    member.slot.report(State.RUNNING)
    member.slot.tell(Remarks("the database is away", 5.0))
    (seen,) = members.seen()
    # No process: whatever its slot says is of one that is no more.
    assert (seen.worker, seen.pid, seen.state, seen.reason) == (3, None, "stopped", "")
    member.pid = 4711
    (seen,) = members.seen()
    assert (seen.pid, seen.state, seen.records) == (4711, "running", 42)
    assert (seen.reason, seen.reason_since) == ("the database is away", 5.0)
    assert not seen.done
    member.pid, member.leaving = None, True
    assert members.seen()[0].done


def test_workers_that_cannot_be_started_are_told_of_as_waiting() -> None:
    told = shut_out(2, "127.0.0.1:80 is taken", 9.0)
    assert [(one.worker, one.pid, one.state, one.reason, one.reason_since) for one in told] == [
        (0, None, "waiting", "127.0.0.1:80 is taken", 9.0),
        (1, None, "waiting", "127.0.0.1:80 is taken", 9.0),
    ]
