# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""`eventloggingctl` on a real supervisord, with small programs instead of the roles' commands."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from waiting import wait_for

from elworkers.control import ctl, init, rpc_client, supervisor, wait_until_working
from elworkers.control.control_errors import EX_UNAVAILABLE, FaultError, SupervisorError
from elworkers.control.deadline import Deadline
from elworkers.control.paths import Paths
from elworkers.control.supervisor import Supervisor
from elworkers.core.errors import EX_CONFIG

DEADLINE_S = 30.0
ROLE = f"""#!{sys.executable} -IS
# A pool's parent: reports its state, renews itself on USR2, and ends on TERM; files say what else it does.
import hashlib, json, os, signal, sys
role, path = sys.argv[0].rpartition("eventlogging-")[2], sys.argv[1][1:]
name, run_dir = os.path.basename(path), os.environ["EVENTLOGGING_RUN_DIR"]
sha256 = hashlib.sha256(open(path, "rb").read()).hexdigest()
print(os.getpid(), file=open(f"{{run_dir}}/pids", "a"))

def does(what):
    return os.path.exists(f"{{run_dir}}/{{what}}-{{name}}")

def report(renewals=0, replacing=False, refusal=""):
    said = {{"pid": os.getpid(), "wanted": 1, "workers": [{{"pid": os.getpid(), "state": "running"}}]}}
    said |= {{"renewals": renewals, "replacing": replacing, "refusals": int(bool(refusal)), "refusal": refusal}}
    with open(f"{{run_dir}}/state/.{{role}}-{{name}}.json", "w") as file:
        json.dump(said | {{"read": {{"sha256": sha256}}}}, file)
    os.rename(file.name, f"{{run_dir}}/state/{{role}}-{{name}}.json")

def renew(*_):
    if does("dies"):
        os._exit(3)
    report(0, False, "its port is taken") if does("refuses") else report(1, does("hangs"))

def end(*_):
    if not does("ignores"):
        print(f"{{role}}-{{name}}", file=open(f"{{run_dir}}/ends", "a"))
        os._exit(0)

if does("exits"):
    sys.exit(int(open(f"{{run_dir}}/exits-{{name}}").read()))
signal.signal(signal.SIGUSR2, renew)
signal.signal(signal.SIGTERM, end)
report()
while True:
    signal.pause()
"""


class Site:
    """A folder with instance files, programs, and everything that a run folder has."""

    def __init__(self, folder: Path) -> None:
        self.paths = Paths(folder / "etc", folder / "run", folder / "bin")
        self.paths.command_dir.mkdir()
        for role in ("forwarder", "processor", "consumer"):
            command = self.paths.command_dir / f"eventlogging-{role}"
            command.write_text(ROLE, encoding="utf-8")
            command.chmod(0o755)
        self.instance("forwarders/in", "udp://127.0.0.1:1", "stdout:")
        self.instance("processors/a", "%j", "stdin:", "stdout:", "--stop-timeout=1")
        self.instance("consumers/out", "stdin:?raw=True", "stdout:", "--stop-timeout=1")

    def instance(self, name: str, *lines: str) -> Path:
        path = self.paths.config_dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        return path

    def ctl(self, *argv: str) -> int:
        paths = self.paths
        folders = [f"--config-dir={paths.config_dir}", f"--run-dir={paths.run_dir}"]
        return ctl.main([*folders, f"--command-dir={paths.command_dir}", *argv])

    def flag(self, name: str, text: str = "") -> Path:
        """Tell the program of an instance what to do."""
        path = self.paths.run_dir / name
        path.write_text(text, encoding="ascii")
        return path

    def lines(self, name: str) -> list[str]:
        return (self.paths.run_dir / name).read_text(encoding="utf-8").splitlines()

    def pids(self) -> dict[str, int]:
        """Program → pid, of those that run."""
        return {name: info["pid"] for name, info in self.programs().items() if info["pid"]}

    def programs(self) -> dict[str, dict[str, Any]]:
        return Supervisor(self.paths, 10.0).programs()

    def supervisord(self) -> psutil.Process:
        return psutil.Process(int(self.paths.supervisord_pid.read_text(encoding="ascii")))


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    # Otherwise supervisord says STARTING for two seconds.
    monkeypatch.setattr(init, "_START_S", 0)
    for module in (supervisor, wait_until_working, rpc_client):
        monkeypatch.setattr(module, "_POLL_INTERVAL_S", 0.02)
    site = Site(tmp_path)
    yield site
    with contextlib.suppress(OSError, ValueError, psutil.Error):
        daemon = site.supervisord()
        for process in [daemon, *daemon.children()]:
            process.kill()
    # Of one that was killed.
    pids = site.lines("pids") if (site.paths.run_dir / "pids").exists() else []
    for pid in pids:
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(int(pid))
            if str(tmp_path) in " ".join(process.cmdline()):
                process.kill()


@pytest.fixture
def running(site: Site, capsys: pytest.CaptureFixture[str]) -> Site:
    assert site.ctl("start") == 0
    capsys.readouterr()
    return site


def test_a_start_boots_supervisord_and_waits_until_all_work(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert site.ctl("start") == 0
    shown = capsys.readouterr().out
    assert [line.split()[:3] for line in shown.splitlines()[1:]] == [
        ["forwarder", "in", "RUNNING"],
        ["processor", "a", "RUNNING"],
        ["consumer", "out", "RUNNING"],
    ]
    assert set(site.pids()) == {"forwarder-in", "processor-a", "consumer-out"}


def test_a_start_takes_up_what_is_new_and_leaves_the_others_alone(running: Site) -> None:
    before = running.pids()
    running.instance("consumers/new", "stdin:?raw=True", "stdout:")
    assert running.ctl("start", "--no-wait") == 0
    after = running.pids()
    assert set(after) == {*before, "consumer-new"}
    assert before.items() <= after.items()


def test_a_boot_for_one_instance_leaves_the_others_stopped(site: Site) -> None:
    assert site.ctl("start", "processor") == 0
    assert set(site.pids()) == {"processor-a"}


def test_a_stop_ends_roles_in_reverse_order(running: Site) -> None:
    assert running.ctl("stop") == 0
    assert running.pids() == {}
    assert running.lines("ends") == ["consumer-out", "processor-a", "forwarder-in"]


def test_a_stop_ends_also_what_has_no_file_any_more(running: Site) -> None:
    (running.paths.config_dir / "consumers" / "out").unlink()
    assert running.ctl("stop") == 0
    assert running.pids() == {}


def test_a_restart_replaces_what_was_named(running: Site) -> None:
    before = running.pids()
    assert running.ctl("restart", "consumer/out") == 0
    after = running.pids()
    assert {name for name in after if after[name] != before[name]} == {"consumer-out"}


def test_what_could_not_start_again_is_not_stopped(running: Site, capsys: pytest.CaptureFixture[str]) -> None:
    before = running.pids()
    running.instance("consumers/out", "stdin:?raw=True", "stdot:")
    assert running.ctl("restart", "consumer") == EX_CONFIG
    assert running.pids() == before
    assert "consumers/out:2: no output has the scheme 'stdot'" in capsys.readouterr().err


def test_an_update_does_what_files_say_and_no_more(running: Site, capsys: pytest.CaptureFixture[str]) -> None:
    before = running.pids()
    running.instance("consumers/new", "stdin:?raw=True", "stdout:")
    running.instance("consumers/out", "stdin:?raw=True", "stdout:", "--stop-timeout=2")
    (running.paths.config_dir / "processors" / "a").unlink()
    assert running.ctl("update") == 0
    after = running.pids()
    assert set(after) == {"forwarder-in", "consumer-out", "consumer-new"}
    assert after["forwarder-in"] == before["forwarder-in"]
    assert after["consumer-out"] != before["consumer-out"]
    shown = capsys.readouterr().out.splitlines()
    assert {"processor-a: stopped", "consumer-out: restarted", "consumer-new: started"} <= set(shown)


def test_an_update_of_one_leaves_other_changes_for_later(running: Site) -> None:
    before = running.pids()
    for name in ("consumers/out", "processors/a"):
        with (running.paths.config_dir / name).open("a", encoding="utf-8") as file:
            file.write("# one more line\n")
    assert running.ctl("update", "processor/a") == 0
    after = running.pids()
    assert {name for name in after if after[name] != before[name]} == {"processor-a"}


def test_an_update_starts_what_a_fixed_file_had_ended(running: Site) -> None:
    running.flag("exits-out", "78")
    os.kill(running.pids()["consumer-out"], signal.SIGKILL)
    wait_for(lambda: running.programs()["consumer-out"]["exitstatus"] == EX_CONFIG, DEADLINE_S, "its end")
    (running.paths.run_dir / "exits-out").unlink()
    assert running.ctl("update") == 0
    assert "consumer-out" in running.pids()


def test_a_shutdown_ends_everything(running: Site, capsys: pytest.CaptureFixture[str]) -> None:
    daemon = running.supervisord()
    processes = [daemon, *daemon.children(recursive=True)]
    assert running.ctl("shutdown") == 0
    assert not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in processes)
    for verb, said in (
        ("shutdown", "supervisord does not run"),
        ("stop", "supervisord does not run; nothing to stop"),
        ("reopen-logs", "supervisord does not run; it creates its logs when it starts"),
    ):
        assert running.ctl(verb) == 0
        assert capsys.readouterr().out == f"{said}\n"


def test_one_that_does_not_end_in_time_is_named_and_those_before_it_go_on(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    site.paths.run_dir.mkdir()
    site.flag("ignores-out")
    site.ctl("start")
    assert site.ctl("stop", "--wait=0.1") == 1
    assert "not ended within 0.1 s: consumer-out; supervisord is still stopping them" in capsys.readouterr().err
    assert set(site.pids()) == {"consumer-out", "processor-a", "forwarder-in"}
    assert site.programs()["consumer-out"]["statename"] == "STOPPING"


def test_logs_that_were_moved_away_come_back(running: Site) -> None:
    logs = [running.paths.supervisord_log, running.paths.log("consumer-out")]
    for log in logs:
        log.rename(f"{log}.1")
    assert running.ctl("reopen-logs") == 0
    assert all(log.exists() for log in logs)
    # It has its signal handlers, and goes on.
    assert "consumer-out" in running.pids()


def test_a_log_that_supervisord_could_not_open_is_named_before_it_would_end(
    running: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    log = running.paths.log("consumer-out")
    log.unlink()
    log.mkdir()
    assert running.ctl("reopen-logs") == 1
    assert f"{log}: supervisord's user may not write this file" in capsys.readouterr().err
    assert "consumer-out" in running.pids()


def test_a_restart_renews_a_forwarder_in_place(running: Site, capsys: pytest.CaptureFixture[str]) -> None:
    before = running.pids()
    assert running.ctl("restart") == 0
    after = running.pids()
    assert {name for name in after if after[name] == before[name]} == {"forwarder-in"}
    assert "forwarder-in: restarted" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flag", "said"),
    [
        ("refuses", "forwarder-in keeps its previous configuration: its port is taken"),
        ("hangs", "forwarder-in has not replaced its workers within 0.2 s; see `status`"),
    ],
)
def test_a_forwarder_that_is_not_renewed_is_named(
    site: Site, capsys: pytest.CaptureFixture[str], flag: str, said: str
) -> None:
    site.paths.run_dir.mkdir()
    site.flag(f"{flag}-in")
    site.ctl("start", "forwarder")
    assert site.ctl("restart", "forwarder", "--wait=0.2") == 1
    assert said in capsys.readouterr().err


def test_a_forwarder_that_dies_as_it_is_renewed_is_started_anew(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.paths.run_dir.mkdir()
    site.flag("dies-in")
    site.ctl("start", "forwarder")
    before = site.pids()
    assert site.ctl("restart", "forwarder") == 0
    assert site.pids() != before
    assert "forwarder-in: restarted" in capsys.readouterr().out


def test_a_changed_file_of_a_stopped_forwarder_starts_it(running: Site, capsys: pytest.CaptureFixture[str]) -> None:
    running.ctl("stop", "forwarder")
    with (running.paths.config_dir / "forwarders" / "in").open("a", encoding="utf-8") as file:
        file.write("# one more line\n")
    assert running.ctl("update") == 0
    assert "forwarder-in: started" in capsys.readouterr().out
    assert "forwarder-in" in running.pids()


def test_a_killed_supervisord_is_booted_again(running: Site) -> None:
    running.supervisord().kill()
    assert running.ctl("status") == 1
    assert running.ctl("start") == 0
    assert len(running.pids()) == 3


def test_a_suspended_supervisord_is_said_to_be(running: Site, capsys: pytest.CaptureFixture[str]) -> None:
    daemon = running.supervisord()
    daemon.suspend()
    for verb in ("status", "start", "stop", "restart", "update", "shutdown", "reopen-logs"):
        assert running.ctl(verb, "--timeout=0.1") == EX_UNAVAILABLE
        said = f"supervisord (pid {daemon.pid}) has not answered for 0.1 s; it is suspended: `kill -CONT {daemon.pid}`"
        assert said in capsys.readouterr().err


def test_a_supervisord_without_its_socket_can_be_adopted(running: Site, capsys: pytest.CaptureFixture[str]) -> None:
    daemon = running.supervisord()
    running.paths.socket.unlink()
    assert running.ctl("status") == EX_UNAVAILABLE
    said = capsys.readouterr().err
    assert f"supervisord (pid {daemon.pid}) runs, but its socket {running.paths.socket} is missing or dead" in said
    assert "eventloggingctl start --adopt" in said
    assert running.ctl("start", "--adopt") == 0
    assert f"supervisord (pid {daemon.pid}) creates its socket again" in capsys.readouterr().out
    assert (running.supervisord().pid, len(running.pids())) == (daemon.pid, 3)


def test_a_supervisord_that_dies_while_a_stop_waits_is_said(
    site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    site.paths.run_dir.mkdir()
    site.flag("ignores-out")
    site.ctl("start", "consumer")
    real: Callable[..., Any] = Supervisor.request_stop

    def dies(self: Supervisor, programs: Any) -> None:
        real(self, programs)
        site.supervisord().kill()

    monkeypatch.setattr(Supervisor, "request_stop", dies)
    assert site.ctl("stop", "consumer") == 1
    assert "supervisord does not run any more" in capsys.readouterr().err


def test_what_supervisord_cannot_read_is_said_with_its_words(running: Site, capsys: pytest.CaptureFixture[str]) -> None:
    with running.paths.supervisord_conf.open("a", encoding="ascii") as file:
        file.write("[program:x]\n")
    with pytest.raises(FaultError, match="supervisord cannot read its programs: CANT_REREAD"):
        Supervisor(running.paths, 10.0).reread()


def test_the_state_is_told_with_the_last_log_line_of_what_has_ended(
    running: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    running.flag("exits-out", "78")
    running.paths.log("consumer-out").write_text(json.dumps({"reason": "no such topic"}) + "\n", encoding="utf-8")
    os.kill(running.pids()["consumer-out"], signal.SIGKILL)
    wait_for(lambda: running.programs()["consumer-out"]["exitstatus"] == EX_CONFIG, DEADLINE_S, "its end")
    capsys.readouterr()
    assert running.ctl("status") == 1
    shown = capsys.readouterr().out
    assert "consumer   out       EXITED" in shown
    assert "\n    no such topic" in shown
    assert running.ctl("tail", "-n1", "consumer") == 0


def test_a_shutdown_that_takes_long_is_said_to_go_on(site: Site) -> None:
    site.paths.run_dir.mkdir()
    site.flag("ignores-out")
    site.ctl("start")
    with pytest.raises(SupervisorError, match=r"has not ended within 0\.1 s; it is still stopping"):
        Supervisor(site.paths, 10.0).shutdown(Deadline(0.1))


@pytest.fixture
def daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the only supervisord is looked for."""
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin" / "python"))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    return tmp_path / "bin" / "supervisord"


def test_without_a_supervisord_what_to_install_is_said(
    site: Site, daemon: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not daemon.exists()
    assert site.ctl("start") == 1
    assert "there is no supervisord beside this command nor on PATH; install `supervisor`" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (
            "echo first; echo Error: no such option >&2; exit 2",
            "supervisord does not start (log: {log}): first Error: no",
        ),
        ("exec sleep 60", "supervisord has not started within 0.2 s (log: {log})"),
        ("exit 0", "supervisord does not start (log: {log}): "),
    ],
)
def test_a_supervisord_that_does_not_start_is_said_with_its_words(
    site: Site,
    daemon: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    script: str,
    said: str,
) -> None:
    monkeypatch.setattr(supervisor, "_BOOT_WITHIN_S", 0.2)
    daemon.write_text(f"#!/bin/sh\n{script}\n", encoding="ascii")
    daemon.chmod(0o755)
    assert site.ctl("start") == 1
    assert said.format(log=site.paths.supervisord_log) in capsys.readouterr().err


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give files away")
def test_a_log_that_belongs_to_somebody_else_is_not_reopened(running: Site, capsys: pytest.CaptureFixture[str]) -> None:
    """As if supervisord had another user."""
    os.chown(running.paths.socket, 54321, 54321)
    assert running.ctl("reopen-logs") == 1
    assert f"{running.paths.supervisord_log}: supervisord's user may not write this file" in capsys.readouterr().err
    for log in (running.paths.supervisord_log, *map(running.paths.log, running.pids())):
        os.chown(log, 54321, 54321)
    assert running.ctl("reopen-logs") == 0


def test_where_no_importer_is_there_is_no_progress_to_print(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert site.ctl("import", "status") == EX_CONFIG
    assert f"there is no importer in {site.paths.config_dir}" in capsys.readouterr().err
    site.instance("importers/hdfs", "kafka:///127.0.0.1:1", f"file://{site.paths.run_dir}/base")
    assert site.ctl("import", "status", "hfds") == EX_CONFIG
    assert "there is no instance importer/hfds; did you mean importer/hdfs?" in capsys.readouterr().err
