# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Commands that meet: each other, a supervisord that cannot be asked or does not answer, and other users."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from topology import BIN, Topology, free_udp_port, processes, says_that_it_works
from waiting import wait_for

Make = Callable[..., Topology]
DEADLINE_S = 30.0
NOBODY = 65534
CHANGING = ("start", "stop", "restart", "update", "shutdown", "reopen-logs")
AFRESH = "eventloggingctl start --adopt"


def free(site: Topology, title: str) -> None:
    site.instance(title, f"udp://127.0.0.1:{free_udp_port()}", f"file://{site.run_dir}/{title.replace('/', '-')}.out")


def words(site: Topology, *more: str, command: str = "eventloggingctl") -> list[str]:
    folders = ["--config-dir", str(site.config_dir), "--run-dir", str(site.run_dir)]
    return [str(BIN / command), *folders, *more]


def supervisord(site: Topology) -> int:
    return int((site.run_dir / "supervisord.pid").read_text(encoding="utf-8"))


def workers(site: Topology) -> list[str]:
    titles = (" ".join(process.cmdline()).strip("\0 ") for process in processes(str(site.run_dir)))
    return sorted(title for title in titles if title.startswith("eventlogging-"))


@contextlib.contextmanager
def locked(site: Topology, said: str = "4711 eventloggingctl update") -> Iterator[None]:
    with (site.run_dir / "control.lock").open("w", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(f"{said}\n")
        file.flush()
        yield


@pytest.fixture
def frozen(topology: Make) -> Iterator[Topology]:
    site = topology({})
    free(site, "forwarder/one")
    site.ctl("start")
    pid = supervisord(site)
    os.kill(pid, signal.SIGSTOP)
    yield site
    os.kill(pid, signal.SIGCONT)


def test_two_updates_at_once_both_end_and_each_change_is_made_once(topology: Make) -> None:
    site = topology({})
    free(site, "forwarder/one")
    free(site, "forwarder/two")
    site.ctl("start")
    log = site.run_dir / "supervisord.log"
    for round_ in range(1, 4):
        with (site.config_dir / "forwarders" / "one").open("a", encoding="utf-8") as file:
            file.write("# one more line\n")
        pair = [subprocess.Popen(words(site, "update"), stdout=subprocess.PIPE, text=True) for _ in range(2)]
        said = [update.communicate(timeout=DEADLINE_S)[0] for update in pair]
        assert [update.returncode for update in pair] == [0, 0]
        assert "".join(said).count("forwarder-one: restarted") == 1
        assert {said["instance"]: said["renewals"] for said in site.states()} == {"one": round_, "two": 0}
    assert log.read_text(encoding="utf-8").count("spawned: ") == 2


def test_a_command_says_for_whom_it_waits_and_ends_with_75(topology: Make) -> None:
    site = topology({})
    free(site, "forwarder/one")
    with locked(site):
        for verb in CHANGING:
            assert "pid 4711" in site.ctl(verb, "--lock-wait=0", expect=75).stderr
        done = site.ctl("update", "--lock-wait=0.3", expect=75)
        assert done.stderr.splitlines() == [
            "eventloggingctl: waiting up to 0.3 s for pid 4711 (eventloggingctl update)",
            f"eventloggingctl: pid 4711 (eventloggingctl update) is running in {site.run_dir}, and was not done after "
            "0.3 s; try again later",
        ]
    assert not site.pids()


def test_init_waits_too_and_looking_does_not(topology: Make) -> None:
    site = topology({})
    free(site, "forwarder/one")
    site.ctl("start")
    with locked(site):
        init = [*words(site, command="eventlogging-init"), "--lock-wait=0"]
        assert subprocess.run(init, capture_output=True, check=False, timeout=60).returncode == 75
        site.ctl("status")
        site.ctl("check")
        wait_for(lambda: "pool started" in site.ctl("tail", expect=None).stdout, DEADLINE_S, "a log")


def test_the_lock_names_its_holder_and_ends_with_it(topology: Make) -> None:
    site = topology({})
    free(site, "forwarder/one")
    site.ctl("start")
    os.kill(supervisord(site), signal.SIGSTOP)
    holder = subprocess.Popen(words(site, "stop", "forwarder/one"), stderr=subprocess.DEVNULL)
    try:
        lock = site.run_dir / "control.lock"
        named = (
            f"{holder.pid} eventloggingctl --config-dir {site.config_dir} --run-dir {site.run_dir} stop forwarder/one\n"
        )
        wait_for(lambda: lock.read_text(encoding="utf-8") == named, DEADLINE_S, "its name")
        done = site.ctl("update", "--lock-wait=0", expect=75)
        assert f"pid {holder.pid} (eventloggingctl " in done.stderr
        assert "stop forwarder/one) is running in" in done.stderr
    finally:
        holder.kill()
        holder.wait()
        os.kill(supervisord(site), signal.SIGCONT)
    site.ctl("update", "--lock-wait=0")


def test_a_supervisord_without_its_socket_is_not_taken_for_none(topology: Make) -> None:
    site = topology({})
    free(site, "forwarder/one")
    site.ctl("start")
    before, boss = workers(site), supervisord(site)
    (site.run_dir / "supervisor.sock").unlink()
    for verb in ("stop", "start", "update", "status", "shutdown"):
        done = site.ctl(verb, expect=69)
        assert (
            f"supervisord (pid {boss}) runs, but its socket {site.run_dir}/supervisor.sock is missing or dead"
            in done.stderr
        )
        assert AFRESH in done.stderr
        assert not done.stdout
    assert site.ctl("check", expect=3).stdout.startswith(f"UNKNOWN: supervisord (pid {boss}) runs, but ")
    assert workers(site) == before

    # Also where the pid file has gone: the lock decides.
    (site.run_dir / "supervisord.pid").unlink()
    assert f"supervisord (pid {boss}) runs, but " in site.ctl("start", expect=69).stderr
    old = site.pids()
    done = site.ctl("start", "--adopt")
    said = f"supervisord (pid {boss}) creates its socket again, which restarts every program"
    assert done.stdout.splitlines()[0] == said
    assert supervisord(site) == boss
    assert site.pids()["forwarder/one"] != old["forwarder/one"]
    assert workers(site) == before

    # The lock is held over that, and nothing is adopted that can be asked.
    (site.run_dir / "supervisord.pid").unlink()
    (site.run_dir / "supervisor.sock").rename(site.run_dir / "elsewhere")
    assert AFRESH in site.ctl("stop", expect=69).stderr
    (site.run_dir / "elsewhere").rename(site.run_dir / "supervisor.sock")
    old = site.pids()
    assert "creates its socket again" not in site.ctl("start", "--adopt").stdout
    assert site.pids() == old


def test_no_program_has_the_lock_of_supervisord(topology: Make) -> None:
    site = topology({})
    free(site, "forwarder/one")
    site.ctl("start")
    lock = (site.run_dir / "supervisord.lock").stat()
    for process in processes(str(site.run_dir)):
        held = [
            fd for fd in Path(f"/proc/{process.pid}/fd").iterdir() if fd.exists() and os.path.samestat(fd.stat(), lock)
        ]
        assert bool(held) == (process.pid == supervisord(site)), process
    assert lock.st_mode & 0o777 == 0o600


def test_a_supervisord_that_was_started_by_hand_is_found_by_its_pid_file(topology: Make) -> None:
    site = topology({})
    free(site, "forwarder/one")
    subprocess.run(words(site, command="eventlogging-init"), check=True, capture_output=True, timeout=60)
    conf = str(site.run_dir / "supervisord.conf")
    subprocess.run([BIN / "supervisord", "-c", conf], check=True, capture_output=True, timeout=60)
    wait_for(lambda: site.ctl("status", expect=None).returncode == 0, DEADLINE_S, "a pool that runs")
    (site.run_dir / "supervisor.sock").unlink()
    assert AFRESH in site.ctl("start", expect=69).stderr
    site.ctl("start", "--adopt")


def test_a_pid_file_that_names_another_process_means_nothing(topology: Make) -> None:
    site = topology({})
    free(site, "forwarder/one")
    other = subprocess.Popen(["sleep", "600"])
    try:
        (site.run_dir / "supervisord.pid").write_text(f"{other.pid}\n", encoding="utf-8")
        assert "nothing to stop" in site.ctl("stop").stdout
        site.ctl("start")
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


@pytest.fixture
def open_to_all() -> Iterator[Topology]:
    # Not in pytest's own folder: another run of pytest closes it to other users again.
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        site = Topology(Path(folder) / "site", {})
        yield site
        site.shutdown()


def test_another_user_is_told_so(open_to_all: Topology) -> None:
    setpriv = shutil.which("setpriv")
    if os.geteuid() != 0 or setpriv is None:
        pytest.skip("becoming another user takes root and setpriv (util-linux)")
    site = open_to_all
    free(site, "forwarder/one")
    site.ctl("start")

    def as_nobody(*more: str) -> subprocess.CompletedProcess[str]:
        command = [setpriv, "--reuid", f"{NOBODY}", "--clear-groups", *words(site, *more)]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    site.run_dir.chmod(0o755)
    if "ermission denied" in as_nobody("--version").stderr:
        pytest.skip("another user may not run the commands of this environment")
    for gone in (False, True):
        check = as_nobody("check")
        assert (check.returncode, check.stderr) == (3, "")
        assert re.fullmatch(
            r"UNKNOWN: supervisord of \S+ may not be controlled by this user; run this as root, the owner of the "
            r"folder\n",
            check.stdout,
        )
        assert as_nobody("status").returncode == 69
        for verb in CHANGING:
            done = as_nobody(verb)
            assert done.returncode == 1
            assert "control.lock: Permission denied; run this as root, the owner of the folder" in done.stderr
        if not gone:
            (site.run_dir / "supervisor.sock").rename(site.run_dir / "elsewhere")
    (site.run_dir / "elsewhere").rename(site.run_dir / "supervisor.sock")
    site.ctl("status")


def test_what_has_just_died_is_stopped_too(open_to_all: Topology) -> None:
    site = open_to_all
    free(site, "forwarder/one")
    site.ctl("start")
    for _ in range(8):
        # Sooner or later supervisord is asked between the death and the start of the next one.
        os.kill(site.pids()["forwarder/one"], signal.SIGKILL)
        site.ctl("stop", "forwarder/one")
        assert not site.pids().get("forwarder/one")
        site.ctl("start", "forwarder/one")


def test_another_user_who_may_read_the_states_gets_a_check(
    open_to_all: Topology, monkeypatch: pytest.MonkeyPatch
) -> None:
    setpriv = shutil.which("setpriv")
    if os.geteuid() != 0 or setpriv is None:
        pytest.skip("becoming another user takes root and setpriv (util-linux)")
    site = open_to_all
    for name in ("one", "two"):
        free(site, f"forwarder/{name}")
    monkeypatch.setenv("EVENTLOGGING_RUN_MODE", "0644")
    site.ctl("start")
    # Passwords are nobody else's.
    (site.run_dir / "env").chmod(0o600)
    (site.config_dir / "forwarders" / "one").chmod(0o600)

    def check() -> tuple[int, str]:
        command = [setpriv, "--reuid", f"{NOBODY}", "--regid", f"{NOBODY}", "--clear-groups", *words(site, "check")]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        if "ermission denied" in done.stderr:
            pytest.skip("another user may not run the commands of this environment")
        return done.returncode, done.stdout

    assert check() == (0, "OK: 2 EventLogging jobs are running.\n")
    os.kill(site.pids()["forwarder/two"], signal.SIGKILL)
    site.ctl("stop", "forwarder/two")
    stopped = "CRITICAL: Stopped EventLogging jobs: forwarder/two\n"
    assert check() == (2, stopped)
    site.ctl("shutdown")
    assert check() == (2, stopped.replace("two", "one forwarder/two"))
    (site.config_dir / "forwarders").chmod(0o700)
    assert check() == (3, f"UNKNOWN: {site.config_dir}/forwarders: the folder cannot be read\n")


def test_a_question_to_a_frozen_supervisord_ends_in_time(frozen: Topology) -> None:
    check = subprocess.Popen(words(frozen, "check"), stdout=subprocess.PIPE, text=True)
    pid = supervisord(frozen)
    for verb in ("status", *CHANGING):
        said = frozen.ctl(verb, "--timeout=0.3", expect=69).stderr
        assert f"supervisord (pid {pid}) has not answered for 0.3 s; it is suspended: `kill -CONT {pid}`" in said
    assert "has not answered for 10 s" in check.communicate(timeout=DEADLINE_S)[0]
    assert check.returncode == 3


def test_stopping_has_a_bound_of_its_own(topology: Make) -> None:
    site = topology({})
    free(site, "forwarder/slow")
    folder = site.run_dir.parent / "commands"
    folder.mkdir()
    command, ends = folder / "eventlogging-forwarder", folder / "may-end"
    loop = f"trap 'until [ -e \"{ends}\" ]; do sleep 0.05; done; exit 0' TERM\nwhile :; do sleep 0.05; done\n"
    command.write_text(f"#!/bin/sh\n{says_that_it_works('forwarder')}{loop}", encoding="utf-8")
    command.chmod(0o755)
    more = ["--command-dir", str(folder)]
    assert not site.ctl("start", "--no-wait", *more).stdout
    wait_for(lambda: "RUNNING" in site.ctl("status", *more, expect=None).stdout, DEADLINE_S, "its start")
    try:
        for verb in ("stop", "restart"):
            done = site.ctl(verb, "--wait=0.5", *more, expect=1)
            assert "not ended within 0.5 s: forwarder-slow; supervisord is still stopping them" in done.stderr
        # One that is late keeps no other from being started.
        free(site, "forwarder/new")
        with (site.config_dir / "forwarders" / "slow").open("a", encoding="utf-8") as file:
            file.write("# one more line\n")
        assert "forwarder-new: started" in site.ctl("update", "--wait=0.5", *more, expect=1).stdout
        site.ctl("stop", "--no-wait", *more)
        assert "STOPPING" in site.ctl("status", *more, expect=1).stdout
        boss = psutil.Process(supervisord(site))
        site.ctl("shutdown", "--no-wait", *more)
        assert boss.is_running()
    finally:
        ends.touch()
    wait_for(lambda: not processes(str(site.run_dir)), DEADLINE_S, "the end of all")


def test_a_long_run_folder_has_nothing_outside_of_it(topology: Make, tmp_path: Path) -> None:
    site = topology({}, "deep" * 30)
    free(site, "forwarder/one")
    scratch = tmp_path / "tmp"
    scratch.mkdir()
    environment = {**os.environ, "TMPDIR": str(scratch)}
    subprocess.run(words(site, "start"), env=environment, check=True, capture_output=True, timeout=60)
    assert (site.run_dir / "supervisor.sock").is_socket()
    assert not list(scratch.iterdir())
    site.ctl("status")
    done = subprocess.run(
        [BIN / "supervisorctl", "status"], cwd=site.run_dir, capture_output=True, text=True, check=False, timeout=60
    )
    assert re.match(r"forwarder-one +RUNNING", done.stdout)
    (site.run_dir / "supervisor.sock").unlink()
    assert AFRESH in site.ctl("stop", expect=69).stderr
    site.ctl("start", "--adopt")
    site.ctl("stop")
