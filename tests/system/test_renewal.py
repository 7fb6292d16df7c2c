# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""A pool's parent executes itself anew while much goes wrong: signals at any moment, code that is broken or gone."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from livedoor import DEADLINE_S, Door, refused, renewals, usr2
from topology import BIN, ROOT, Topology, processes
from waiting import wait_for

Make = Callable[..., Topology]


@pytest.fixture
def udp(topology: Make) -> Door:
    return Door(topology({}), "udp")


class ByHand(Door):
    """A forwarder that no supervisord has started.

    Args:
        folder: for its files.
        command: what starts it, but for its file.
        environment: of it, besides this process's own.
    """

    def __init__(self, folder: Path, *command: str, **environment: str) -> None:
        self.command, self.environment = command, environment
        super().__init__(Topology(folder, {}), "udp")

    def start(self) -> None:
        """Start it, and wait until it is at work."""
        file = self.site.config_dir / "forwarders" / "door"
        log = self.site.run_dir / "log" / "forwarder-door.log"
        log.parent.mkdir()
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [*self.command, f"@{file}"],
                cwd=self.site.run_dir,
                env={**os.environ, "EVENTLOGGING_RUN_DIR": str(self.site.run_dir), **self.environment},
                stdout=output,
                stderr=output,
            )
        wait_for(self.at_work, DEADLINE_S, "an open door")

    @property
    def pid(self) -> int:
        """See `Door.pid`."""
        return self.process.pid


ByHandOf = Callable[..., ByHand]


@pytest.fixture
def by_hand(tmp_path: Path) -> Iterator[ByHandOf]:
    """Starts forwarders, and ends them."""
    made: list[ByHand] = []

    def make(*command: str, **environment: str) -> ByHand:
        made.append(ByHand(tmp_path / f"site{len(made)}", *command, **environment))
        return made[-1]

    yield make
    for one in made:
        one.process.kill()
        one.process.wait()
        wait_for(lambda one=one: not processes(str(one.site.run_dir)), DEADLINE_S, "the end of its workers")


def is_through(door: Door) -> bool:
    """Whether no image is asked for, and no worker of before is left."""
    family = psutil.Process(door.pid).children(recursive=True)
    return not next(door.site.states())["replacing"] and [one.pid for one in family] == door.workers()


def test_a_storm_of_signals_loses_nothing_and_leaves_one_worker(udp: Door) -> None:
    before, pid = udp.worker(), udp.pid

    def storm() -> None:
        for done in range(40):
            os.kill(pid, (signal.SIGUSR2, signal.SIGHUP, signal.SIGUSR1)[done % 3])
            # Some at once, some while a child reads, some while a successor starts, some while it takes over.
            seen = udp.said("pool renewed"), udp.said("worker done"), udp.workers()
            if done % 4 == 3:
                wait_for(
                    lambda seen=seen: seen != (udp.said("pool renewed"), udp.said("worker done"), udp.workers()),
                    DEADLINE_S,
                    "something new",
                )
        wait_for(lambda: renewals(udp) and is_through(udp), DEADLINE_S, "an end of it")

    assert not udp.under_load(udp.load(), storm)
    assert udp.pid == pid
    assert before not in udp.workers()
    wait_for(lambda: len(udp.workers()) == 1, DEADLINE_S, "one worker")


def titles(door: Door) -> list[str]:
    """Of the processes below its parent."""
    found = []
    for child in psutil.Process(door.pid).children():
        with contextlib.suppress(psutil.Error):
            found.append(" ".join(child.cmdline()).rstrip())
    return found


MOMENTS = {
    "at once": lambda _: True,
    "while a child reads": lambda door: any(title.endswith("[check]") for title in titles(door)),
    # Until it has its title anew it has no handler for any signal.
    "while it becomes another image": lambda door: not psutil.Process(door.pid).cmdline()[0].endswith("[parent]"),
    "as soon as it is another image": lambda door: door.said("pool renewed"),
    "while there are two workers": lambda door: door.said("pool renewed") and len(door.workers()) > 1,
    "as its workers are replaced": lambda door: door.said("worker done"),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_it_can_be_stopped_at_any_moment(by_hand: ByHandOf, moment: str) -> None:
    door = by_hand(str(BIN / "eventlogging-forwarder"))
    os.kill(door.pid, signal.SIGUSR2)
    wait_for(lambda: MOMENTS[moment](door), DEADLINE_S, moment)
    os.kill(door.pid, signal.SIGTERM)
    assert door.process.wait(DEADLINE_S) == 0
    wait_for(lambda: not processes(str(door.site.run_dir)), DEADLINE_S, "the end of all of them")


def test_many_renewals_leave_nothing_behind(udp: Door) -> None:
    parent = psutil.Process(udp.pid)

    def has() -> tuple[int, int, list[str]]:
        wait_for(lambda: is_through(udp), DEADLINE_S, "one worker")
        (worker,) = parent.children()
        return parent.num_fds(), worker.num_fds(), parent.cmdline()[:1]

    usr2(udp, 1)
    first, memory = has(), parent.memory_info().rss
    for done in range(2, 7):
        os.kill(udp.pid, signal.SIGUSR2)
        wait_for(lambda done=done: renewals(udp) == done, DEADLINE_S, "another image")
    assert has() == first
    assert first[2] == ["eventlogging-forwarder door [parent]"]
    assert parent.memory_info().rss < memory + 4 * 1024 * 1024


def test_it_still_dies_with_its_supervisord(udp: Door) -> None:
    usr2(udp, 1)
    assert udp.worker()
    os.kill(int((udp.site.run_dir / "supervisord.pid").read_text()), signal.SIGKILL)
    wait_for(lambda: not processes(str(udp.site.run_dir)), DEADLINE_S, "the end of all of them")


def test_a_killed_worker_loses_at_most_what_it_had_just_read(udp: Door) -> None:
    def kill() -> None:
        for _ in range(3):
            worker = udp.worker()
            os.kill(worker, signal.SIGKILL)
            wait_for(lambda worker=worker: udp.workers() not in ([], [worker]), DEADLINE_S, "another worker")

    missing = sorted(udp.under_load(udp.load(), kill, may_miss=True))
    reads = [number for number in missing if number - 1 not in missing]
    assert len(reads) <= 3
    # What waited in the kernel is there: without a worker for half a second there were 75 and more.
    assert len(missing) < 30


def test_a_worker_that_does_not_end_is_killed_and_the_next_takes_all_that_waited(udp: Door) -> None:
    udp.write("--stop-timeout=1")
    usr2(udp, 1)
    stuck = udp.worker()

    def renew() -> None:
        os.kill(stuck, signal.SIGSTOP)
        usr2(udp, 2, since=1)

    assert not udp.under_load(udp.load(), renew)
    assert udp.said("worker killed: it did not stop in time") == 1


def test_the_environment_and_secrets_are_read_anew(topology: Make, tmp_path: Path) -> None:
    site = topology({"OUT": str(tmp_path / "first")})
    (tmp_path / "level").write_text("info\n")
    door = Door(site, "udp", out="${env:OUT}", more=["--log-level=${file:" + str(tmp_path / "level") + "}"])
    (tmp_path / "level").write_text("warning\n")
    (site.run_dir / "env").write_text(f"OUT={tmp_path / 'second'}\n")
    site.ctl("restart", "forwarder/door")
    door.out = tmp_path / "second"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.sendto(b"?1.", ("127.0.0.1", door.port))
    wait_for(lambda: door.arrived() == {1}, DEADLINE_S, "the line in the other file")
    assert not door.said("pool renewed")
    assert "restarted" in site.ctl("restart", "forwarder/door").stdout


def test_a_file_that_has_gone_changes_nothing(udp: Door) -> None:
    worker = udp.worker()
    path = udp.write()
    path.unlink()
    os.kill(udp.pid, signal.SIGUSR2)
    assert f"{path}: " in refused(udp, 1)
    assert udp.workers() == [worker]
    udp.write()
    # The file is the one that was read; that the parent was asked for another image is done with all the same.
    assert "keeps its previous configuration" in udp.site.ctl("status").stdout
    assert "forwarder-door: restarted" in udp.site.ctl("update").stdout
    assert "keeps its previous configuration" not in udp.site.ctl("status").stdout


def test_an_address_that_its_own_is_in_the_way_of_is_said(udp: Door) -> None:
    udp.host = "0.0.0.0"
    udp.write()
    os.kill(udp.pid, signal.SIGUSR2)
    said = "perhaps by this instance itself, which listens on 127.0.0.1; stop and start it"
    assert said in refused(udp, 1)


def broken(package: Path, module: str) -> Callable[[], None]:
    """Breaks a module; gives what mends it."""
    path = package / module
    sound = path.read_text()
    path.write_text(sound.replace("annotations\n", "annotations\nimport no_such_module_at_all\n", 1))
    return lambda: path.write_text(sound) and None


@pytest.mark.parametrize(
    ("module", "renewed"),
    [("__main__.py", 0), ("workers/pool.py", 0), ("connectors/spool/source.py", 1), ("connectors/file/sink.py", 1)],
)
def test_code_that_is_broken_changes_nothing(by_hand: ByHandOf, tmp_path: Path, module: str, renewed: int) -> None:
    package = tmp_path / "code" / "elworkers"
    shutil.copytree(ROOT / "elworkers", package, ignore=shutil.ignore_patterns("__pycache__"))
    door = by_hand(sys.executable, "-m", "elworkers", "forwarder", PYTHONPATH=str(package.parent))
    worker, state = door.worker(), lambda: next(door.site.states())
    mend = broken(package, module)
    os.kill(door.pid, signal.SIGUSR2)
    wait_for(lambda: state()["refusals"], DEADLINE_S, "a refusal")
    assert "no_such_module_at_all" in state()["refusal"]
    assert state()["renewals"] == renewed
    assert not door.under_load(door.load(), lambda: None)
    assert door.workers() == [worker]
    mend()
    os.kill(door.pid, signal.SIGHUP if renewed else signal.SIGUSR2)
    # The refusal is taken back by another image, or with the last worker that is replaced.
    wait_for(lambda: not state()["refusal"] and is_through(door), DEADLINE_S, "another worker")
    assert door.workers() != [worker]
    assert state()["read"]["sha256"]


def test_code_that_has_moved_is_found_and_code_that_has_gone_changes_nothing(by_hand: ByHandOf, tmp_path: Path) -> None:
    command = tmp_path / "command"
    command.symlink_to(BIN / "eventlogging-forwarder")
    later = tmp_path / "later"
    later.write_text(f'#!/bin/sh\nOF_LATER=1 exec {BIN}/python {command}-of-later "$@"\n')
    later.chmod(0o755)
    (tmp_path / "command-of-later").symlink_to(BIN / "eventlogging-forwarder")
    door = by_hand(str(command))
    command.unlink()
    os.kill(door.pid, signal.SIGUSR2)
    assert f"{command}: No such file" in refused(door, 1)
    assert not door.under_load(door.load(), lambda: None)
    command.symlink_to(later)
    usr2(door, 1)
    assert b"OF_LATER=1" in Path(f"/proc/{door.pid}/environ").read_bytes()


def test_the_number_of_workers_is_that_of_signals_until_the_file_says_another(topology: Make) -> None:
    site = topology({})

    def write(workers: int) -> None:
        source = "kafka:///127.0.0.1:1?topic=x&raw=True&identity=x"
        site.instance("consumer/scaled", source, "stdout:", f"--workers={workers}")

    def has(renewals: int, workers: int) -> bool:
        (said,) = site.states()
        places = {worker["worker"] for worker in said["workers"] if worker["pid"]}
        return (said["renewals"], said["wanted"], len(places)) == (renewals, workers, workers)

    write(2)
    site.ctl("start", expect=None)
    pid = wait_for(lambda: site.pids().get("consumer/scaled"), DEADLINE_S, "its parent")
    wait_for(lambda: has(0, 2), DEADLINE_S, "two workers")
    os.kill(pid, signal.SIGTTIN)
    wait_for(lambda: has(0, 3), DEADLINE_S, "three workers")
    os.kill(pid, signal.SIGUSR2)
    wait_for(lambda: has(1, 3), DEADLINE_S, "three workers of another image")
    write(1)
    os.kill(pid, signal.SIGUSR2)
    wait_for(lambda: has(2, 1), DEADLINE_S, "one worker")
