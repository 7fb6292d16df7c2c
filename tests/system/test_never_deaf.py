"""Doors under load while their workers are replaced: nothing is lost, refused or reset."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from load import Datagrams, Load, Requests
from topology import Topology, free_port, free_udp_port
from waiting import wait_for

DEADLINE_S = 60.0
Make = Callable[..., Topology]


class Door:
    """A forwarder from a door to a file, under supervisord."""

    def __init__(self, site: Topology, scheme: str) -> None:
        self.site, self.scheme = site, scheme
        self.port = free_udp_port() if scheme == "udp" else free_port()
        self.out = site.run_dir / "out"
        self.write()
        site.ctl("start")
        wait_for(self.at_work, DEADLINE_S, "an open door")

    def write(self, *more: str, query: str = "") -> Path:
        """Write its instance file."""
        path = "/beacon/event" if self.scheme == "http" else ""
        uri = f"{self.scheme}://127.0.0.1:{self.port}{path}{query}"
        return self.site.instance("forwarder/door", uri, f"file://{self.out}", *more)

    def load(self, kept: bool = False) -> Load:
        """A load that is to arrive."""
        return Datagrams(self.port) if self.scheme == "udp" else Requests(self.port, kept=kept)

    def said(self, event: str) -> int:
        """How often its log says so."""
        return self.site.log("forwarder/door").count(f'"event": "{event}"')

    @property
    def pid(self) -> int:
        """Its parent's."""
        return self.site.pids()["forwarder/door"]

    def at_work(self) -> bool:
        """Whether a worker says that it is."""
        return any(worker["state"] == "running" for said in self.site.states() for worker in said["workers"])

    def workers(self) -> list[int]:
        """Pids of its workers."""
        found = []
        for child in psutil.Process(self.pid).children():
            with contextlib.suppress(psutil.Error):
                found += [child.pid] if "[worker" in " ".join(child.cmdline()) else []
        return found

    def worker(self) -> int:
        """The pid of its one worker, once it is at work."""
        return wait_for(self.workers, DEADLINE_S, "a worker")[0]

    def arrived(self) -> set[int]:
        """The numbers that have arrived."""
        return {
            int(number) for number in re.findall(rb"\?(\d+)\.", self.out.read_bytes() if self.out.exists() else b"")
        }

    def under_load(self, load: Load, act: Callable[[], object]) -> set[int]:
        """What is missing of a load during which something was done, a second of it before and after."""
        goes_on = lambda at: wait_for(lambda: load.sent > at + 150, DEADLINE_S, "more load")  # noqa: E731
        with load:
            goes_on(load.sent)
            act()
            goes_on(load.sent)
        everything = set(range(load.sent))
        wait_for(lambda: load.troubles or self.arrived() >= everything, 10.0, "what was sent")
        assert not load.troubles
        return everything - self.arrived()


@pytest.fixture
def http(topology: Make) -> Door:
    return Door(topology({}), "http")


def hup(door: Door, times: int) -> None:
    """Have the workers replaced."""
    for done in range(1, times + 1):
        os.kill(door.pid, signal.SIGHUP)
        wait_for(lambda done=done: door.said("workers replaced") == done, DEADLINE_S, "other workers")


@pytest.mark.parametrize(("scheme", "kept"), [("udp", False), ("http", False), ("http", True)])
def test_hup_loses_and_refuses_nothing(topology: Make, scheme: str, kept: bool) -> None:
    door = Door(topology({}), scheme)
    before = door.worker()
    assert not door.under_load(door.load(kept), lambda: hup(door, 3))
    assert before not in door.workers()
    assert len(door.workers()) == 1


def test_what_comes_while_no_worker_lives_waits_for_the_next(http: Door) -> None:
    def kill() -> None:
        worker = http.worker()
        os.kill(worker, signal.SIGSTOP)
        os.kill(worker, signal.SIGKILL)
        wait_for(lambda: http.workers() not in ([], [worker]), DEADLINE_S, "another worker")

    load = http.load()
    with load:
        wait_for(lambda: load.sent > 100, DEADLINE_S, "requests")
        kill()
        at = load.sent
        wait_for(lambda: load.sent > at + 50, DEADLINE_S, "requests after that")
    # One connection was its own.
    assert len(load.troubles) <= 1
    assert not [trouble for trouble in load.troubles if "refused" in trouble]


def renewals(door: Door) -> int:
    """How often its parent has executed itself, and is through with it."""
    (said,) = door.site.states()
    return 0 if said["replacing"] else int(said["renewals"])


def usr2(door: Door, times: int) -> None:
    """Have the parent execute itself anew."""
    for done in range(1, times + 1):
        os.kill(door.pid, signal.SIGUSR2)
        wait_for(lambda done=done: renewals(door) == done, DEADLINE_S, "another image and its workers")


@pytest.mark.parametrize(("scheme", "kept"), [("udp", False), ("http", False), ("http", True)])
def test_a_parent_executes_itself_anew_and_nothing_is_lost(topology: Make, scheme: str, kept: bool) -> None:
    door = Door(topology({}), scheme)
    parent, before = door.pid, door.worker()
    assert not door.under_load(door.load(kept), lambda: usr2(door, 3))
    assert door.pid == parent
    assert before not in door.workers()
    assert len(door.workers()) == 1
    assert door.site.ctl("status").stdout.count("RUNNING") == 1
    # Who dies with whom is as before.
    (worker,) = door.workers()
    os.kill(parent, signal.SIGKILL)
    wait_for(lambda: not psutil.pid_exists(worker), DEADLINE_S, "the end of the worker")


def restarted(door: Door) -> None:
    """Have it restarted, and then its file changed and read again."""
    door.site.ctl("restart", "forwarder/door")
    door.write("--log-level=debug")
    assert "forwarder-door: restarted" in door.site.ctl("update").stdout


@pytest.mark.parametrize("scheme", ["udp", "http"])
def test_restart_and_update_lose_and_refuse_nothing(topology: Make, scheme: str) -> None:
    door = Door(topology({}), scheme)
    parent, before = door.pid, door.worker()
    program = door.site.run_dir / "supervisor.d" / "forwarder-door.conf"
    section = program.read_bytes()
    assert not door.under_load(door.load(), lambda: restarted(door))
    assert renewals(door) == 2
    assert door.pid == parent
    assert before not in door.workers()
    assert program.read_bytes() == section


def test_update_says_why_a_forwarder_goes_on_as_before(http: Door) -> None:
    worker, port = http.worker(), http.port
    with socket.create_server(("127.0.0.1", 0)) as other:
        http.port = other.getsockname()[1]
        http.write()
        done = http.site.ctl("update", expect=1)
        said = f"http://127.0.0.1:{http.port}: cannot be bound: Address already in use"
        assert f"forwarder-door goes on as before: eventlogging-forwarder: {said}" in done.stderr
        shown = http.site.ctl("status").stdout
        assert said in shown
        assert "its file has changed since it was read" in shown
    assert "forwarder-door: restarted" in http.site.ctl("update").stdout
    assert http.workers() != [worker]
    assert not http.under_load(http.load(), lambda: None)
    assert "goes on as before" not in http.site.ctl("status").stdout
    assert http.port != port


def refused(door: Door, times: int) -> str:
    """Why its parent has stayed as it was, once it has done so as often."""
    state = lambda: next(door.site.states())  # noqa: E731
    wait_for(lambda: state()["refusals"] == times, DEADLINE_S, "a refusal")
    assert state()["renewals"] == 0
    return str(state()["refusal"])


def test_nothing_changes_where_the_next_image_could_not_work(http: Door) -> None:
    worker, port = http.worker(), http.port
    path = http.write("--cuont")
    os.kill(http.pid, signal.SIGUSR2)
    assert f"{path}:3: unknown option --cuont" in refused(http, 1)
    with socket.create_server(("127.0.0.1", 0)) as other:
        http.port = other.getsockname()[1]
        http.write()
        os.kill(http.pid, signal.SIGUSR2)
        assert f"http://127.0.0.1:{http.port}: cannot be bound: Address already in use" in refused(http, 2)
    http.port = port
    assert http.workers() == [worker]
    load = http.load()
    assert not http.under_load(load, lambda: None)


def test_the_present_worker_goes_on_where_its_successor_finds_that_it_cannot(http: Door) -> None:
    worker = http.worker()
    http.write(query="?files=/no/such")
    os.kill(http.pid, signal.SIGUSR2)
    wait_for(lambda: http.said("workers not replaced; those of before go on"), DEADLINE_S, "the end of it")
    assert "expected a folder" in wait_for(lambda: next(http.site.states())["refusal"], DEADLINE_S, "the reason")
    assert not http.under_load(http.load(), lambda: None)
    assert http.workers() == [worker]
    http.write()
    os.kill(http.pid, signal.SIGUSR2)
    wait_for(lambda: http.workers() != [worker] and renewals(http) == 2, DEADLINE_S, "another worker")


def test_another_address_is_opened_before_the_old_one_is_closed(http: Door) -> None:
    before = http.port
    http.port = free_port()
    http.write()
    os.kill(http.pid, signal.SIGUSR2)
    wait_for(lambda: renewals(http) == 1, DEADLINE_S, "another image")
    assert not http.under_load(http.load(), lambda: None)

    def closed() -> bool:
        with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", before)):
            return False
        return True

    wait_for(closed, DEADLINE_S, "the end of the old address")


def test_a_port_that_is_taken_is_said_and_had_as_soon_as_it_is_free(topology: Make) -> None:
    site = topology({})
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        address = f"udp://127.0.0.1:{other.getsockname()[1]}"
        site.instance("forwarder/door", address, "stdout:")
        site.ctl("start", expect=1)
        shown = site.ctl("status", expect=1).stdout
        assert " WAITING " in shown
        assert " 0/1" in shown
        assert f"{address}: cannot be bound: Address already in use" in shown
    wait_for(lambda: " 1/1" in site.ctl("status", expect=None).stdout, DEADLINE_S, "the port")
