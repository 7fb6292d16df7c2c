# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""A forwarder from a listener to a file, at work under supervisord, for tests."""

from __future__ import annotations

import contextlib
import os
import re
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil
from load import Datagrams, Load, Requests
from topology import Topology, free_port, free_udp_port
from waiting import wait_for

DEADLINE_S = 60.0


class Door:
    """A forwarder from a door to a file, under supervisord.

    Args:
        site: with no other instance.
        scheme: of the door.
        out: the file, where another one is meant.
        more: options.
    """

    def __init__(self, site: Topology, scheme: str, out: str = "", more: Sequence[str] = ()) -> None:
        self.site, self.scheme = site, scheme
        self.host, self.port = "127.0.0.1", free_udp_port() if scheme == "udp" else free_port()
        self.out = site.run_dir / "out"
        self.written_to = out or str(self.out)
        self.write(*more)
        self.start()

    def start(self) -> None:
        """Start it, and wait until it is at work."""
        self.site.ctl("start")
        wait_for(self.at_work, DEADLINE_S, "an open door")

    def write(self, *more: str, query: str = "") -> Path:
        """Write its instance file."""
        path = "/beacon/event" if self.scheme == "http" else ""
        uri = f"{self.scheme}://{self.host}:{self.port}{path}{query}"
        return self.site.instance("forwarder/door", uri, f"file://{self.written_to}", *more)

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

    def under_load(self, load: Load, act: Callable[[], object], *, may_miss: bool = False) -> set[int]:
        """What is missing of a load during which something was done, a second of it before and after."""
        goes_on = lambda at: wait_for(lambda: load.sent > at + 150, DEADLINE_S, "more load")  # noqa: E731
        with load:
            goes_on(load.sent)
            act()
            goes_on(load.sent)
        everything = set(range(load.sent))
        # The last of all shows that nothing more is on its way.
        whole = {load.sent - 1} if may_miss else everything
        wait_for(lambda: load.troubles or self.arrived() >= whole, DEADLINE_S, "what was sent")
        assert not load.troubles
        return everything - self.arrived()


def hup(door: Door, times: int) -> None:
    """Have the workers replaced."""
    for done in range(1, times + 1):
        os.kill(door.pid, signal.SIGHUP)
        wait_for(lambda done=done: door.said("workers replaced") == done, DEADLINE_S, "other workers")


def renewals(door: Door) -> int:
    """How often its parent has executed itself, and is through with it."""
    (said,) = door.site.states()
    return 0 if said["replacing"] else int(said["renewals"])


def usr2(door: Door, times: int, since: int = 0) -> None:
    """Have the parent execute itself anew, until it has done so as often in all."""
    for done in range(since + 1, times + 1):
        os.kill(door.pid, signal.SIGUSR2)
        wait_for(lambda done=done: renewals(door) == done, DEADLINE_S, "another image and its workers")


def refused(door: Door, times: int) -> str:
    """Why its parent has stayed as it was, once it has done so as often."""
    state = lambda: next(door.site.states())  # noqa: E731
    wait_for(lambda: state()["refusals"] == times, DEADLINE_S, "a refusal")
    assert state()["renewals"] == 0
    return str(state()["refusal"])
