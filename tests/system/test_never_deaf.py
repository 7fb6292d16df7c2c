# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Doors under load while their workers are replaced: nothing is lost, refused or reset."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import signal
import socket
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from conftest import Varnished
from livedoor import DEADLINE_S, Door, hup, refused, renewals, usr2
from load import Requests
from topology import Topology, free_port
from waiting import wait_for

Make = Callable[..., Topology]
PROBE = 10**9


@pytest.fixture
def http(topology: Make) -> Door:
    return Door(topology({}), "http")


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
    path = door.write("--log-level=debug")
    assert "forwarder-door: restarted" in door.site.ctl("update").stdout
    (said,) = door.site.states()
    assert said["read"]["file"] == str(path)
    assert said["read"]["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert path.stat().st_mtime <= said["read"]["at"]


class BehindVarnish(Door):
    """A forwarder that reads the log of a Varnish."""

    def __init__(self, site: Topology, varnish: Varnished) -> None:
        self.varnish = varnish
        super().__init__(site, "varnish")
        self.port = int(varnish.address.rpartition(":")[2])
        probe = Requests(self.port)

        def reads() -> bool:
            probe.send(PROBE)
            return PROBE in self.arrived()

        wait_for(reads, DEADLINE_S, "a request in the log")

    def write(self, *more: str, query: str = "") -> Path:
        """See `Door.write`."""
        return self.site.instance(
            "forwarder/door", f"varnish:///{self.varnish.name}{query}", f"file://{self.out}", *more
        )


def test_requests_in_the_log_of_varnish_are_there_once(topology: Make, varnish: Varnished) -> None:
    door = BehindVarnish(topology({}), varnish)

    def replaced() -> None:
        hup(door, 2)
        usr2(door, 1)
        door.site.ctl("restart", "forwarder/door")

    assert not door.under_load(door.load(), replaced)
    assert renewals(door) == 2
    numbers = re.findall(rb"\?(\d+)\.", door.out.read_bytes())
    twice = [number for number, times in Counter(numbers).items() if times > 1 and int(number) != PROBE]
    assert not twice


def test_a_query_that_varnish_does_not_understand_changes_nothing(topology: Make, varnish: Varnished) -> None:
    door = BehindVarnish(topology({}), varnish)
    worker = door.worker()
    door.write(query="?query=ReqURL%20!!%20x")
    assert "Query expression error" in door.site.ctl("update", expect=1).stderr
    assert door.workers() == [worker]
    assert not door.under_load(door.load(), lambda: None)


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
        assert f"forwarder-door keeps its previous configuration: eventlogging-forwarder: {said}" in done.stderr
        shown = http.site.ctl("status").stdout
        assert said in shown
        assert "its file has changed since it was read" in shown
    assert "forwarder-door: restarted" in http.site.ctl("update").stdout
    assert http.workers() != [worker]
    assert not http.under_load(http.load(), lambda: None)
    assert "keeps its previous configuration" not in http.site.ctl("status").stdout
    assert http.port != port


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
