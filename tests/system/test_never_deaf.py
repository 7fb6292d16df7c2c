"""Doors under load while their workers are replaced: nothing is lost, refused or reset."""

from __future__ import annotations

import contextlib
import os
import re
import signal
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

    def write(self, *more: str, port: int = 0) -> Path:
        """Write its instance file."""
        path = "/beacon/event" if self.scheme == "http" else ""
        uri = f"{self.scheme}://127.0.0.1:{port or self.port}{path}"
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
        wait_for(lambda: self.arrived() >= everything, 10.0, "what was sent") if not load.troubles else None
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
