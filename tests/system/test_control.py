# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""`eventlogging-init`, `eventloggingctl` and supervisord, on instances that need no server."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from supervisor.xmlrpc import SupervisorTransport
from topology import BIN, Topology, free_udp_port, processes, says_that_it_works
from waiting import wait_for

from elworkers.control import ctl

Make = Callable[..., Topology]
DEADLINE_S = 30.0
BROKEN = {
    "forwarders/unknown-option": (b"udp://:1\n\nstdout:\n--cuont\n", "forwarders/unknown-option:4: unknown option"),
    "forwarders/bad-uri": (b"udp://h:0\nstdout:\n", "forwarders/bad-uri:1: "),
    "forwarders/no-output": (b"udp://h:1\n", "forwarders/no-output: OUTPUT is missing"),
    "forwarders/empty": (b"", "forwarders/empty: INPUT is missing"),
    "consumers/not-utf-8": (b"stdin:\nfile:///\xff\n", "consumers/not-utf-8:2: byte 9 of the line is not UTF-8"),
    "consumers/bad name": (b"stdin:\nstdout:\n", "consumers/bad name: the name may hold only"),
    "consumers/bad:name": (b"stdin:\nstdout:\n", "consumers/bad:name: the name may hold only"),
    "processors/bad-format": (b"%j %z\nstdin:\nstdout:\n", "processors/bad-format:1: format"),
    "stray": (b"stdin:\nstdout:\n", "stray: is in no role's folder"),
}


def free(site: Topology, title: str) -> None:
    """An instance that runs anywhere: a forwarder from a free UDP port to a file."""
    site.instance(title, f"udp://127.0.0.1:{free_udp_port()}", f"file://{site.run_dir}/{title.replace('/', '-')}.out")


def stand_ins(site: Topology, role: str = "forwarder") -> list[str]:
    """The option for commands that only say that they work, for tests with many programs."""
    folder = site.run_dir.parent / "commands"
    folder.mkdir(exist_ok=True)
    command = folder / f"eventlogging-{role}"
    command.write_text(f"#!/bin/sh\n{says_that_it_works(role)}exec sleep 86400\n", encoding="utf-8")
    command.chmod(0o755)
    return ["--command-dir", str(folder)]


def programs(site: Topology) -> set[str]:
    return {path.name for path in (site.run_dir / "supervisor.d").iterdir()}


def init(site: Topology) -> subprocess.CompletedProcess[str]:
    folders = ["--config-dir", str(site.config_dir), "--run-dir", str(site.run_dir)]
    return subprocess.run(
        [BIN / "eventlogging-init", *folders], capture_output=True, text=True, check=False, timeout=60
    )


def supervisord(site: Topology) -> int:
    return int((site.run_dir / "supervisord.pid").read_text(encoding="utf-8"))


def test_init_writes_a_program_for_each_file_and_removes_what_has_gone(topology: Make) -> None:
    site = topology({})
    for name in ("one", "two", ".hidden", "old~", "old.bak", "old.dpkg-dist", "old.dpkg-old"):
        free(site, f"forwarder/{name}")
    assert init(site).returncode == 0
    assert programs(site) == {"forwarder-one.conf", "forwarder-two.conf"}
    (site.config_dir / "forwarders" / "two").unlink()
    assert init(site).returncode == 0
    assert programs(site) == {"forwarder-one.conf"}


def test_a_program_changes_with_its_file_unless_its_parent_can_begin_anew(topology: Make) -> None:
    site = topology({})
    site.instance("forwarder/f", "udp://127.0.0.1:8421", "stdout:")
    site.instance("consumer/c", "file:///in?follow=True", "stdout:")
    before, after = [], []
    for found in (before, after):
        assert init(site).returncode == 0
        for name in ("forwarder-f", "consumer-c"):
            found.append((site.run_dir / "supervisor.d" / f"{name}.conf").read_text(encoding="utf-8"))
        site.instance("forwarder/f", "udp://127.0.0.1:8422", "stdout:", "--stop-timeout=90", "--workers=1")
        site.instance("consumer/c", "file:///in?follow=True", "stdout:", "--workers=1")
    assert before[0] == after[0]
    sums = [re.findall(r'ELWORKERS_INSTANCE_SHA256="([0-9a-f]{64})"', text[1]) for text in (before, after)]
    assert len(sums[0]) == len(sums[1]) == 1
    assert sums[0] != sums[1]


def test_a_program_outlasts_its_pools_own_stop(topology: Make) -> None:
    site = topology({})
    site.instance("forwarder/slow", "udp://127.0.0.1:8421", "stdout:", "--stop-timeout=90")
    init(site)
    text = (site.run_dir / "supervisor.d" / "forwarder-slow.conf").read_text(encoding="utf-8")
    settings = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    assert int(settings["stopwaitsecs"]) > 90
    assert settings["stopasgroup"] == settings["killasgroup"] == "true"
    assert int(settings["startretries"]) > 1_000_000


def test_minfds_follows_the_number_of_instances(topology: Make) -> None:
    def minfds() -> int:
        assert init(site).returncode == 0
        text = (site.run_dir / "supervisord.conf").read_text(encoding="utf-8")
        return int(re.findall(r"minfds=(\d+)", text)[0])

    site = topology({})
    free(site, "forwarder/only")
    few = minfds()
    for number in range(300):
        free(site, f"forwarder/many-{number}")
    assert minfds() > few


def test_each_kind_of_broken_file_is_named_and_keeps_no_other_from_starting(topology: Make) -> None:
    site = topology({})
    free(site, "forwarder/good")
    for name, (content, _) in BROKEN.items():
        (site.config_dir / name).parent.mkdir(exist_ok=True)
        (site.config_dir / name).write_bytes(content)
    (site.config_dir / "consumers" / "folder").mkdir()
    (site.config_dir / "consumers" / "dangling").symlink_to("/nowhere/at/all")
    done = site.ctl("start", expect=78)
    for _, said in BROKEN.values():
        assert f"eventloggingctl: {site.config_dir}/{said}" in done.stderr
    assert "consumers/folder: is a folder" in done.stderr
    assert "consumers/dangling: cannot be read: No such file" in done.stderr
    assert len(done.stderr.splitlines()) == len(BROKEN) + 2
    assert set(site.pids()) == {"forwarder/good"}
    assert programs(site) == {"forwarder-good.conf"}


def test_an_unreadable_file_is_named(topology: Make) -> None:
    site = topology({})
    # A loop of links is one that not even root can read.
    (site.config_dir / "consumers").mkdir()
    (site.config_dir / "consumers" / "loop").symlink_to("loop")
    done = init(site)
    assert done.returncode == 78
    assert "consumers/loop: cannot be read: Too many levels of symbolic links" in done.stderr


def test_a_file_that_breaks_while_its_instance_runs_stops_nothing(topology: Make) -> None:
    site = topology({})
    free(site, "forwarder/one")
    site.ctl("start")
    before = site.pids()
    sound = (site.config_dir / "forwarders" / "one").read_bytes()
    site.instance("forwarder/one", "udp://127.0.0.1:8421", "stdot:")
    for verb in ("update", "restart"):
        done = site.ctl(verb, expect=78)
        assert "forwarders/one:2: no output has the scheme 'stdot'" in done.stderr
    assert site.ctl("status", expect=78).stdout.count("RUNNING") == 1
    assert "forwarder/one keeps its previous configuration; its file is invalid" in site.ctl("check", expect=1).stdout
    (site.config_dir / "forwarders" / "one").write_bytes(sound)
    site.ctl("update")
    assert set(site.pids()) == set(before)


def test_start_status_stop_and_the_nagios_check(topology: Make) -> None:
    site = topology({})
    free(site, "forwarder/one")
    free(site, "forwarder/two")
    assert site.ctl("check", expect=2).stdout == ("CRITICAL: Stopped EventLogging jobs: forwarder/one forwarder/two\n")
    assert site.ctl("status", expect=1).stdout.count("STOPPED") == 2
    site.ctl("start")
    wait_for(lambda: site.ctl("status", expect=None).stdout.count(" 1/1") == 2, DEADLINE_S, "two workers")
    lines = site.ctl("status").stdout.splitlines()
    assert lines[0].split() == ["ROLE", "INSTANCE", "STATE", "PID", "UPTIME", "WORKERS"]
    pids = site.pids()
    role, name, state, pid, uptime, workers = lines[1].split()
    assert (role, name, state, int(pid), workers) == ("forwarder", "one", "RUNNING", pids["forwarder/one"], "1/1")
    assert re.fullmatch(r"\d+:\d\d:\d\d", uptime)
    assert site.ctl("check").stdout == "OK: 2 EventLogging jobs are running.\n"

    site.ctl("stop", "forwarders/two")
    assert site.ctl("check", expect=2).stdout == "CRITICAL: Stopped EventLogging jobs: forwarder/two\n"
    site.ctl("status", expect=1)
    site.ctl("status", "forwarder/one")
    assert site.pids() == {"forwarder/one": pids["forwarder/one"]}

    site.ctl("start", "forwarder/two")
    assert site.pids()["forwarder/one"] == pids["forwarder/one"]
    site.ctl("restart", "forwarder/one")
    assert site.pids()["forwarder/one"] == pids["forwarder/one"]

    site.ctl("stop")
    assert not site.pids()
    assert site.ctl("status", expect=1).stdout.count("STOPPED") == 2


def test_a_worker_that_waits_is_shown_with_the_reason_until_it_works_again(topology: Make) -> None:
    site, port = topology({}), free_udp_port()
    folder = site.run_dir / "not there"
    site.instance("forwarder/stuck", f"udp://127.0.0.1:{port}", f"file://{folder}/out")
    site.ctl("start", "--no-wait")
    wait_for(lambda: " WAITING " in site.ctl("status", expect=None).stdout, DEADLINE_S, "a worker that waits")
    shown = site.ctl("status").stdout
    assert "No such file or directory" in shown
    assert re.search(r"waits since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC \(0:0\d:\d\d\)", shown)
    assert site.ctl("check").stdout == "OK: 1 EventLogging jobs are running.\n"
    wait_for(
        lambda: site.ctl("check", "--warning=1", expect=None).returncode == 1, DEADLINE_S, "a warning after a second"
    )
    done = site.ctl("check", "--warning=1", "--critical", "1", expect=2)
    assert done.stdout.startswith("CRITICAL: forwarder/stuck has waited 0:00:")
    assert "No such file or directory" in done.stdout
    assert "expected a number of seconds" in site.ctl("check", "--warning=soon", expect=2).stderr

    folder.mkdir()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:

        def works_again() -> bool:
            udp.sendto(b"line", ("127.0.0.1", port))
            return "works again" in site.log("forwarder/stuck")

        wait_for(works_again, DEADLINE_S + 30, "the end of it in the log")
    wait_for(lambda: " WAITING " not in site.ctl("status", expect=None).stdout, DEADLINE_S, "that status shows it")
    entries = [json.loads(line) for line in site.log("forwarder/stuck").splitlines()]
    (end,) = [entry for entry in entries if entry["event"] == "works again"]
    assert end["lasted_s"] > 1
    assert "No such file or directory" in end["reason"]


def test_a_schema_that_is_set_aside_is_named_and_the_others_go_on(topology: Make) -> None:
    site = topology({})
    schemas, lines, out = (site.run_dir / name for name in ("schemas", "lines", "out"))
    for name, kind in (("Typo", "timestamp"), ("Fine", "string")):
        (schemas / name).mkdir(parents=True)
        schema = {"properties": {"a": {"type": kind}}}
        (schemas / name / "1.json").write_text(json.dumps(schema), encoding="utf-8")
    capsule = {"revision": 1, "wiki": "w", "recvFrom": "h", "event": {"a": "x"}, "timestamp": 1469795696}
    sent = [json.dumps({**capsule, "schema": name, "seqId": seq}) for seq, name in enumerate(("Fine", "Typo", "Fine"))]
    lines.write_text("".join(f"{line}\n" for line in sent), encoding="utf-8")
    site.instance("processor/p", "%j", f"file://{lines}?follow=True", f"file://{out}", f"--schemas={schemas}")
    site.ctl("start")
    said = r"set aside since 20\S+ \S+ UTC \(0:0\S+\): schema Typo/1: "
    wait_for(lambda: re.search(said, site.ctl("status").stdout), DEADLINE_S, "its name in status")
    done = site.ctl("check", expect=1)
    assert re.match(r"WARNING: processor/p has set aside schema Typo/1 since 20\S+ \S+ UTC \(\S+\) \(", done.stdout)
    assert "timestamp" in done.stdout
    assert out.read_text(encoding="utf-8").count('"Fine"') == 2


def test_a_worker_that_dies_again_and_again_is_shown(topology: Make) -> None:
    site = topology({})
    free(site, "forwarder/one")
    site.ctl("start")

    def killed() -> bool:
        for child in psutil.Process(site.pids()["forwarder/one"]).children():
            child.kill()
        return " CRASHING " in site.ctl("status", expect=None).stdout

    wait_for(killed, DEADLINE_S, "that status shows it")
    assert "signal SIGKILL" in site.ctl("status", expect=None).stdout
    assert "forwarder/one crashes again and again (signal SIGKILL)" in site.ctl("check", expect=2).stdout


def test_the_check_says_when_it_cannot_know(topology: Make) -> None:
    site = topology({})
    assert site.ctl("check", expect=3).stdout == "UNKNOWN: no EventLogging jobs are configured\n"
    site.config_dir.rmdir()
    done = site.ctl("check", expect=3)
    assert done.stdout.startswith("UNKNOWN: ")
    assert str(site.config_dir) in done.stdout


def test_instances_start_in_the_order_of_roles_and_stop_in_the_reverse(topology: Make) -> None:
    site = topology({})
    (site.run_dir / "in").write_text("", encoding="utf-8")
    site.instance("reporter/r", "--host=127.0.0.1", f"--config-dir={site.config_dir}")
    site.instance("consumer/c", f"file://{site.run_dir}/in?raw=True&follow=True", f"file://{site.run_dir}/c")
    site.instance("processor/p", "%j", f"file://{site.run_dir}/in?follow=True", f"file://{site.run_dir}/p")
    free(site, "forwarder/f")
    site.ctl("start")
    site.ctl("stop")
    said = (site.run_dir / "supervisord.log").read_text(encoding="utf-8")
    order = ["forwarder-f", "processor-p", "consumer-c", "reporter-r"]
    assert re.findall(r"spawned: '([^']+)'", said) == order
    assert re.findall(r"stopped: (\S+)", said) == list(reversed(order))


def test_update_touches_only_what_was_added_changed_or_removed(topology: Make) -> None:
    site = topology({})
    (site.run_dir / "in").write_text("", encoding="utf-8")
    consumer = (f"file://{site.run_dir}/in?raw=True&follow=True", f"file://{site.run_dir}/c")
    site.instance("consumer/changed", *consumer)
    site.instance("consumer/kept", *consumer)
    for name in ("kept", "changed", "removed"):
        free(site, f"forwarder/{name}")
    site.ctl("start")
    before, boss = site.pids(), supervisord(site)
    site.instance("forwarder/changed", f"udp://127.0.0.1:{free_udp_port()}", f"file://{site.run_dir}/elsewhere.out")
    site.instance("consumer/changed", *consumer, "--stop-timeout=20")
    (site.config_dir / "forwarders" / "removed").unlink()
    free(site, "forwarder/added")
    assert site.ctl("status", expect=None).stdout.count("its file has changed since it was read") == 2
    done = site.ctl("update")
    assert sorted(line for line in done.stdout.splitlines() if ": " in line) == [
        "consumer-changed: restarted",
        "forwarder-added: started",
        "forwarder-changed: restarted",
        "forwarder-removed: stopped",
    ]
    after = site.pids()
    assert set(after) == {"consumer/kept", "consumer/changed", "forwarder/kept", "forwarder/changed", "forwarder/added"}
    for same in ("consumer/kept", "forwarder/kept", "forwarder/changed"):
        assert after[same] == before[same]
    assert after["consumer/changed"] != before["consumer/changed"]
    states = {f"{said['role']}/{said['instance']}": said["renewals"] for said in site.states()}
    assert states == dict.fromkeys(after, 0) | {"forwarder/changed": 1}
    assert "has changed" not in done.stdout
    assert supervisord(site) == boss
    again = site.ctl("update")
    assert not [line for line in again.stdout.splitlines() if ": " in line]
    assert site.pids() == after


def test_a_configuration_error_ends_with_78_and_is_not_tried_again(topology: Make) -> None:
    site = topology({})
    out = site.run_dir / "out"
    out.mkdir()
    site.instance("forwarder/one", f"udp://127.0.0.1:{free_udp_port()}", f"file://{out}")
    free(site, "forwarder/good")
    done = site.ctl("start", expect=1)
    wait_for(lambda: "EXITED" in site.ctl("status", expect=1).stdout, DEADLINE_S, "the end of forwarder/one")
    assert f"file {out}: is a folder; expected a file" in site.ctl("status", expect=1).stdout, done.stdout
    said = (site.run_dir / "supervisord.log").read_text(encoding="utf-8")
    assert said.count("spawned: 'forwarder-one'") == 1
    assert "exit status 78" in said
    out.rmdir()
    good = site.pids()["forwarder/good"]
    assert "forwarder-one: started" in site.ctl("update").stdout
    assert site.pids()["forwarder/good"] == good


def test_a_parent_that_keeps_dying_is_started_again_and_again(topology: Make) -> None:
    site = topology({})
    free(site, "forwarder/one")
    site.ctl("start")
    dead = set()
    # One more than supervisord's own three retries, each within the seconds it takes for a start.
    for _ in range(5):
        pid = wait_for(lambda: set(site.pids().values()) - dead, DEADLINE_S, "another parent").pop()
        workers = psutil.Process(pid).children()
        os.kill(pid, signal.SIGKILL)
        psutil.wait_procs(workers, timeout=DEADLINE_S)
        assert not any(worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE for worker in workers)
        dead.add(pid)
    wait_for(lambda: site.ctl("status", expect=None).returncode == 0, DEADLINE_S, "a pool that runs")


def test_no_doubles_after_supervisord_was_killed(topology: Make) -> None:
    site = topology({})
    free(site, "forwarder/one")
    free(site, "forwarder/two")
    site.ctl("start")
    before = [process for process in processes(str(site.run_dir)) if process.pid != supervisord(site)]
    os.kill(supervisord(site), signal.SIGKILL)
    _, left = psutil.wait_procs(before, timeout=DEADLINE_S)
    assert not [process for process in left if process.status() != psutil.STATUS_ZOMBIE]
    site.ctl("start")
    wait_for(lambda: site.ctl("status", expect=None).stdout.count(" 1/1") == 2, DEADLINE_S, "two workers")
    titles = sorted(" ".join(process.cmdline()).strip("\0 ") for process in processes(str(site.run_dir)))
    wanted = [f"eventlogging-forwarder {name} [{who}]" for name in ("one", "two") for who in ("parent", "worker 0")]
    assert [title for title in titles if title.startswith("eventlogging-")] == wanted


def test_a_run_folder_too_long_for_a_socket_works(topology: Make, tmp_path: Path) -> None:
    site = topology({}, "deep" * 30)
    assert len(str(site.run_dir / "supervisor.sock")) > 107
    free(site, "forwarder/one")
    site.ctl("start")
    site.ctl("status")


def test_a_folder_with_blanks_and_a_quote_works(topology: Make) -> None:
    site = topology({}, "it's a site, with blanks")
    free(site, "forwarder/one")
    site.ctl("start")
    site.ctl("status")


def test_a_folder_that_supervisord_cannot_take_is_refused(topology: Make) -> None:
    site = topology({}, 'a "quoted" site')
    free(site, "forwarder/one")
    assert (
        f'{site.config_dir}: supervisord cannot take a folder with a " in its name'
        in site.ctl("start", expect=78).stderr
    )


def test_supervisorctl_works_too(topology: Make) -> None:
    site = topology({})
    free(site, "forwarder/one")
    site.ctl("start")
    command = [BIN / "supervisorctl", "-c", str(site.run_dir / "supervisord.conf"), "status"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0
    assert re.match(r"forwarder-one +RUNNING", done.stdout)


def test_tail_prints_the_ends_of_the_logs(topology: Make) -> None:
    site = topology({})
    free(site, "forwarder/one")
    free(site, "forwarder/two")
    assert "were these instances ever started" in site.ctl("tail", expect=1).stderr
    site.ctl("start")
    wait_for(lambda: "pool started" in site.log("forwarder/two"), DEADLINE_S, "a log")
    assert site.ctl("tail", "-n", "1000", "forwarder/two").stdout == site.log("forwarder/two")
    assert site.ctl("tail").stdout.count("==>") == 2


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("procesor", "there is no role 'procesor'; did you mean processor?"),
        ("forwarder/onee", "there is no instance forwarder/onee; did you mean forwarder/one?"),
        ("consumer/one", "there is no instance consumer/one; "),
    ],
)
def test_an_unknown_instance_gets_the_nearest_name(topology: Make, word: str, said: str) -> None:
    site = topology({})
    free(site, "forwarder/one")
    for verb in ("start", "stop", "restart", "status", "tail", "update"):
        done = site.ctl(verb, word, expect=78)
        assert said in done.stderr
    assert not site.pids()


def test_shutdown_ends_supervisord_too(topology: Make) -> None:
    site = topology({})
    free(site, "forwarder/one")
    site.ctl("start")
    boss = psutil.Process(supervisord(site))
    site.ctl("shutdown")
    wait_for(lambda: not boss.is_running() or boss.status() == psutil.STATUS_ZOMBIE, DEADLINE_S, "its end")
    assert "does not run" in site.ctl("shutdown").stdout


def test_a_run_folder_that_cannot_be_written_is_named(topology: Make) -> None:
    site = topology({})
    free(site, "forwarder/one")
    site.run_dir = Path("/proc/no-such-folder")
    done = site.ctl("start", expect=1)
    assert "/proc/no-such-folder" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    site.run_dir = site.config_dir.parent / "run"


@pytest.mark.parametrize("command", ["eventlogging-init", "eventloggingctl"])
def test_help_and_version(command: str) -> None:
    for option in ("--help", "--version"):
        done = subprocess.run([BIN / command, option], capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0
        assert done.stdout
    if command == "eventloggingctl":
        for verb in ("start", "stop", "restart", "status", "tail", "update", "check", "shutdown"):
            done = subprocess.run([BIN / command, verb, "--help"], capture_output=True, check=False, timeout=60)
            assert done.returncode == 0


@pytest.mark.parametrize("verb", ["status", "check", "update", "start"])
def test_supervisord_is_asked_as_often_for_many_instances_as_for_few(
    topology: Make, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    asked: list[str] = []
    real = SupervisorTransport.request

    def counted(self: SupervisorTransport, host: str, handler: str, body: str, verbose: int = 0) -> object:
        asked.append(body)
        return real(self, host, handler, body, verbose)

    monkeypatch.setattr(SupervisorTransport, "request", counted)
    counts = []
    for many in (2, 40):
        site = topology({})
        for number in range(many):
            free(site, f"forwarder/f{number}")
        folders = ["--config-dir", str(site.config_dir), "--run-dir", str(site.run_dir), *stand_ins(site)]
        site.ctl("start", *folders[4:])
        asked.clear()
        assert ctl.main([*folders, verb]) == 0
        counts.append(len(asked))
    assert counts[0] == counts[1] > 0


def test_one_that_takes_long_to_end_keeps_no_other_from_coming_back(topology: Make) -> None:
    site = topology({})
    for name in ("swift", "slow"):
        site.instance(f"consumer/{name}", "stdin:?raw=True", "stdout:")
    ends = site.run_dir / "slow-may-end"
    words = stand_ins(site, "consumer")
    Path(words[1], "eventlogging-consumer").write_text(
        f"""#!/bin/sh
{says_that_it_works("consumer")}
case $1 in *slow) trap 'until [ -e "{ends}" ]; do sleep 0.05; done; exit 0' TERM;; *) exec sleep 86400;; esac
while :; do sleep 0.05; done
""",
        encoding="utf-8",
    )
    site.ctl("start", *words)
    for path in (site.config_dir / "consumers").iterdir():
        path.write_bytes(path.read_bytes() + b"# one more line\n")
    folders = ["--config-dir", str(site.config_dir), "--run-dir", str(site.run_dir)]
    update = subprocess.Popen([BIN / "eventloggingctl", *folders, *words, "update"], stdout=subprocess.PIPE, text=True)
    log = site.run_dir / "supervisord.log"
    spawned = lambda name: log.read_text(encoding="utf-8").count(f"spawned: 'consumer-{name}'")  # noqa: E731
    wait_for(lambda: spawned("swift") == 2, DEADLINE_S, "the swift one again")
    assert spawned("slow") == 1
    assert update.poll() is None
    ends.touch()
    said, _ = update.communicate(timeout=DEADLINE_S)
    assert said.splitlines()[:2] == ["consumer-swift: restarted", "consumer-slow: restarted"]
    assert spawned("slow") == 2


def test_commands_from_another_folder_stay_where_both_commands_are_told_so(topology: Make) -> None:
    site = topology({})
    free(site, "forwarder/one")
    words = stand_ins(site)
    folders = ["--config-dir", str(site.config_dir), "--run-dir", str(site.run_dir)]
    subprocess.run([BIN / "eventlogging-init", *folders, *words], check=True, timeout=60)
    program = site.run_dir / "supervisor.d" / "forwarder-one.conf"
    before = program.read_text(encoding="utf-8")
    assert f"command={words[1]}/eventlogging-forwarder @" in before
    environment = {**os.environ, "EVENTLOGGING_COMMAND_DIR": words[1]}
    subprocess.run([BIN / "eventloggingctl", *folders, "update"], check=True, timeout=60, env=environment)
    assert program.read_text(encoding="utf-8") == before


def test_control_imports_no_client(topology: Make) -> None:
    site = topology({})
    free(site, "forwarder/f")
    site.instance("processor/p", "%q %t", "kafka:///k:1?topic=r&identity=g", "kafka:///k:1?topic={schema}&key={wiki}")
    site.instance("multiplexer/x", "stdout:", "kafka:///k:1?topic=r&identity=g")
    site.instance("consumer/c", "kafka:///k:1?topic=r&identity=g", "mysql://u:p@h/log")
    site.instance("importer/i", "kafka:///k:1", "hdfs://h:9870/events")
    site.instance("reporter/r")
    words = ["--config-dir", str(site.config_dir), "--run-dir", str(site.run_dir), "check"]
    code = f"""
import sys
from elworkers.control import ctl, init
print(ctl.main({words!r}), init.main({words[:-1]!r}))
print(*sorted({{name.partition(".")[0] for name in sys.modules}}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    *said, imported = done.stdout.splitlines()
    assert said[-1] == "2 0", done.stderr
    heavy = {"aiohttp", "asyncio", "fsspec", "jsonschema", "kazoo", "pykafka", "requests", "rich", "sqlalchemy"}
    assert not (heavy | {"structlog", "yaml"}) & set(imported.split())
