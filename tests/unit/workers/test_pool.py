# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""A parent and its workers as real processes, with work that is next to nothing."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from waiting import wait_for

from elworkers.core.contracts import Metrics
from elworkers.core.errors import EX_CONFIG, EX_DATAERR, EX_TEMPFAIL, ConfigurationError, DataError, UnfinishedError
from elworkers.core.sockets import Address
from elworkers.core.stop import Stop
from elworkers.core.worker_state import State, StateReporter
from elworkers.workers import pool, watchdog
from elworkers.workers.worker import PoolConfig, WorkerId

DEADLINE_S = 30.0


def works(_worker_id: WorkerId, stop: Stop, _metrics: Metrics, reporter: StateReporter) -> None:
    """Until asked to stop."""
    reporter.report(State.RUNNING)
    while not stop.wait(0.05):
        reporter.report(State.RUNNING)


def hangs(_worker_id: WorkerId, _stop: Stop, _metrics: Metrics, reporter: StateReporter) -> None:
    """Whatever it is asked."""
    reporter.report(State.RUNNING)
    while True:
        time.sleep(60)


def ends(_worker_id: WorkerId, _stop: Stop, _metrics: Metrics, _reporter: StateReporter) -> None:
    """At once."""


def raises(error: Exception) -> Callable[..., None]:
    """Work that cannot be done."""

    def run(*_: Any) -> None:
        raise error

    return run


class Running:
    """A pool in a process of its own.

    Args:
        folder: for what it says of its workers.
        more: of `PoolConfig`.
    """

    def __init__(self, folder: Path, run: Callable[..., None], **more: Any) -> None:
        self._file = folder / "state.json"
        self._log = folder / "log"
        job = PoolConfig("processor", "test", run, state_file=self._file, **more)
        self._code: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            code = 99
            try:
                # Nobody else is in this process, and a test waits for several looks.
                pool._POLL_INTERVAL_S, watchdog._DUMP_S = 0.02, 0.05
                sys.stderr = (folder / "log").open("a", buffering=1, encoding="utf-8")
                code = pool.Pool(job).run()
            finally:
                os._exit(code)

    def said(self) -> dict[str, Any]:
        """What the parent has written of itself."""
        with contextlib.suppress(FileNotFoundError):
            said: dict[str, Any] = json.loads(self._file.read_text(encoding="utf-8"))
            return said
        return {"workers": []}

    def logged(self, event: str) -> list[dict[str, Any]]:
        """What it and its workers have logged under this name."""
        lines = self._log.read_text(encoding="utf-8").splitlines() if self._log.exists() else []
        return [entry for entry in map(json.loads, lines) if entry["event"] == event]

    def workers(self) -> list[dict[str, Any]]:
        """What is written of the workers."""
        return list(self.said()["workers"])

    def until(self, count: int, *, without: frozenset[int] = frozenset(), running: bool = True) -> list[int]:
        """The pids of so many workers that run (or have begun), and none of those that are given; waits for them."""

        def pids() -> list[int]:
            states = ("running",) if running else ("running", "starting")
            found = [one["pid"] for one in self.workers() if one["state"] in states and one["pid"]]
            return found if len(found) == len(self.workers()) == count and not without & set(found) else []

        return wait_for(pids, DEADLINE_S, f"{count} workers")

    def send(self, number: signal.Signals) -> None:
        """Send the parent a signal."""
        os.kill(self.pid, number)

    def wait(self) -> int:
        """Its exit code, when it has ended."""

        def ended() -> bool:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._code = os.waitstatus_to_exitcode(status)
            return bool(pid)

        if self._code is None:
            wait_for(ended, DEADLINE_S, "the end of the parent")
        assert self._code is not None
        return self._code

    def close(self) -> None:
        """End it, however it is."""
        if self._code is None:
            self.send(signal.SIGKILL)
            self.wait()


Start = Callable[..., Running]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a pool; it is gone after the test."""
    made: list[Running] = []

    def begin(run: Callable[..., None], **more: Any) -> Running:
        made.append(Running(tmp_path, run, **more))
        return made[-1]

    yield begin
    for one in made:
        one.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_runs_so_many_workers_and_ends_them_when_asked(start: Start, number: signal.Signals) -> None:
    parent = start(works, workers=2)
    pids = parent.until(2)
    assert [one["worker"] for one in parent.workers()] == [0, 1]
    parent.send(number)
    assert parent.wait() == 0
    assert not any(map(psutil.pid_exists, pids))
    assert [(one["pid"], one["state"]) for one in parent.workers()] == [(None, "stopped")] * 2


def test_old_names_of_options_are_warned_of_once(start: Start, tmp_path: Path) -> None:
    parent = start(ends, workers=2, deprecated=(("--old", "--new"),))
    assert parent.wait() == 0
    lines = (tmp_path / "log").read_text(encoding="utf-8").splitlines()
    (warning,) = [line for line in lines if "deprecated" in line]
    assert "--old" in warning
    assert "--new" in warning


def test_a_worker_that_dies_is_replaced_and_that_is_remembered(start: Start) -> None:
    parent = start(works, workers=2)
    first, second = parent.until(2)
    os.kill(first, signal.SIGKILL)
    pids = parent.until(2, without=frozenset({first}))
    assert second in pids
    told = {one["worker"]: one for one in parent.workers()}
    assert (told[0]["restarts"], told[0]["crashes"], told[0]["crash"]) == (1, 1, "signal SIGKILL")
    assert (told[1]["restarts"], told[1]["crashes"], told[1]["crash"]) == (0, 0, "")


def test_what_a_worker_raised_is_told(start: Start) -> None:
    parent = start(raises(KeyError("no such field")))
    wait_for(lambda: any(one["crashes"] for one in parent.workers()), DEADLINE_S, "a crash")
    (told,) = parent.workers()
    assert told["crash"] == "exit code 1: crashed: KeyError: 'no such field'"


def test_one_more_and_one_less_but_never_none(start: Start) -> None:
    parent = start(works)
    (first,) = parent.until(1)
    parent.send(signal.SIGTTIN)
    assert parent.until(2)[0] == first
    parent.send(signal.SIGTTOU)
    assert parent.until(1) == [first]
    parent.send(signal.SIGTTOU)
    parent.send(signal.SIGHUP)
    parent.until(1, without=frozenset({first}))
    assert parent.said()["wanted"] == 1


def test_work_that_is_shared_out_is_not_scaled(start: Start) -> None:
    parent = start(works, scalable=False)
    (first,) = parent.until(1)
    parent.send(signal.SIGTTIN)
    parent.send(signal.SIGHUP)
    # Both are taken before a worker is replaced.
    parent.until(1, without=frozenset({first}))
    assert parent.said()["wanted"] == 1


@pytest.mark.parametrize("side_by_side", [True, False])
def test_all_are_replaced_on_request(start: Start, side_by_side: bool) -> None:
    parent = start(works, workers=2, side_by_side=side_by_side)
    before = frozenset(parent.until(2))
    parent.send(signal.SIGHUP)
    after = parent.until(2, without=before)
    wait_for(lambda: not parent.said()["replacing"], DEADLINE_S, "the end of it")
    assert not before & set(after)
    assert [one["crashes"] for one in parent.workers()] == [0, 0]


@pytest.mark.parametrize(
    ("run", "code"),
    [
        (ends, 0),
        (raises(DataError("one line was refused")), EX_DATAERR),
        (raises(UnfinishedError("3 messages are left")), EX_TEMPFAIL),
        (raises(ConfigurationError("no such table")), EX_CONFIG),
    ],
    ids=["done", "refused", "unfinished", "configuration"],
)
def test_it_ends_as_its_workers_have_ended(start: Start, run: Callable[..., None], code: int) -> None:
    parent = start(run, workers=2)
    assert parent.wait() == code
    assert {one["crashes"] for one in parent.workers()} == {0}


def test_a_worker_that_does_not_end_in_time_is_killed(start: Start) -> None:
    parent = start(hangs, stop_timeout_s=0.2)
    (pid,) = parent.until(1)
    parent.send(signal.SIGTERM)
    assert parent.wait() == 0
    assert not psutil.pid_exists(pid)


def test_a_worker_without_a_sign_of_life_is_replaced(start: Start) -> None:
    parent = start(hangs, worker_timeout_s=0.2)
    (pid,) = parent.until(1)
    parent.until(1, without=frozenset({pid}))
    (told,) = parent.workers()
    assert told["crash"].startswith("signal SIGKILL: no sign of life for ")


def sets_aside(worker_id: WorkerId, stop: Stop, metrics: Metrics, reporter: StateReporter) -> None:
    """With something set aside."""
    metrics.set_aside("schema Foo/3", "no such type")
    works(worker_id, stop, metrics, reporter)


def test_the_state_of_each_worker_is_logged_on_request(start: Start) -> None:
    parent = start(sets_aside, workers=2)
    pids = parent.until(2)
    parent.send(signal.SIGUSR1)
    wait_for(lambda: len(parent.logged("worker counters")) == 2, DEADLINE_S, "the counters")
    assert [(one["worker"], one["pid"], one["state"]) for one in parent.logged("worker state")] == [
        (0, pids[0], "running"),
        (1, pids[1], "running"),
    ]
    assert {one["aside"]["schema Foo/3"] for one in parent.workers()} == {"no such type"}


def test_a_worker_that_is_killed_as_all_end_holds_up_nobody(start: Start) -> None:
    parent = start(works, workers=2)
    first, _ = parent.until(2)
    parent.send(signal.SIGSTOP)
    os.kill(first, signal.SIGKILL)
    parent.send(signal.SIGTERM)
    parent.send(signal.SIGCONT)
    assert parent.wait() == 0
    assert not parent.logged("worker died")


def test_workers_end_with_a_parent_that_is_killed(start: Start) -> None:
    parent = start(works, workers=2)
    pids = parent.until(2)
    parent.send(signal.SIGKILL)
    parent.wait()
    wait_for(lambda: not any(map(alive, pids)), DEADLINE_S, "the end of its workers")


def alive(pid: int) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


def receives(address: Address) -> Callable[..., None]:
    """Work that takes one datagram, and says which."""

    def run(worker_id: WorkerId, stop: Stop, metrics: Metrics, reporter: StateReporter) -> None:
        (udp,) = worker_id.listening.inherited(address)
        udp.settimeout(DEADLINE_S)
        reporter.trouble(f"got {udp.recv(100).decode()}")
        works(worker_id, stop, metrics, reporter)

    return run


HOLDS = """
import socket, sys
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(("127.0.0.1", 0))
print(udp.getsockname()[1], flush=True)
sys.stdin.read()
"""


@pytest.fixture
def other() -> Iterator[subprocess.Popen[str]]:
    """Another process on an address that a pool wants; prints its port."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-IS", "-c", HOLDS], text=True, **pipes) as process:
        yield process
        process.kill()


def test_a_pool_waits_for_its_port_and_its_workers_inherit_it(start: Start, other: subprocess.Popen[str]) -> None:
    assert other.stdout is not None
    port = int(other.stdout.readline())
    address = Address("udp", "127.0.0.1", port, 100_000)
    parent = start(receives(address), workers=2, addresses=(address,))
    wait_for(lambda: any(one["reason"] for one in parent.workers()), DEADLINE_S, "the reason")
    assert [(one["pid"], one["state"]) for one in parent.workers()] == [(None, "waiting")] * 2
    assert f"127.0.0.1:{port}: cannot be bound" in parent.workers()[0]["reason"]
    other.kill()
    other.wait(DEADLINE_S)
    parent.until(2, running=False)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.sendto(b"one", ("127.0.0.1", port))
        client.sendto(b"two", ("127.0.0.1", port))
    parent.until(2)
    assert {one["reason"] for one in parent.workers()} == {"got one", "got two"}
    parent.send(signal.SIGTERM)
    assert parent.wait() == 0
