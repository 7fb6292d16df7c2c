# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""What the commands print where it cannot be printed, what of it a terminal obeys, and logs that are moved away."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from topology import BIN, Topology, free_port, free_udp_port
from waiting import wait_for

Make = Callable[..., Topology]
DEADLINE_S = 30.0
BACKUPS = (
    *(f"x.{end}" for end in ("rpmsave", "rpmnew", "rpmorig", "orig", "old", "rej", "disabled", "save", "swp", "swo")),
    *(f"x.{end}" for end in ("cfsaved", "pacnew", "ucf-dist", "ucf-old", "dpkg-new", "bak")),
    *("4913", "#x#", "x~", ".x.swp"),
)
OBEYED = "\x1b]0;title\x07\x9b31m\x7f\u202e\u2066\u2028\r"
"""Escape sequences by C0 and by C1, DEL, two that turn the direction, and two line ends."""


def free(site: Topology, title: str) -> None:
    site.instance(title, f"udp://127.0.0.1:{free_udp_port()}", f"file://{site.run_dir}/{title.replace('/', '-')}.out")


def words(site: Topology, *more: str) -> list[str]:
    folders = ["--config-dir", str(site.config_dir), "--run-dir", str(site.run_dir)]
    return [str(BIN / "eventloggingctl"), *folders, *more]


def on_a_terminal(command: list[str], ends: Callable[[str], bool] = lambda _said: False) -> str:
    """What a command writes to a terminal, until it ends or `ends` says so."""
    boss, terminal = pty.openpty()
    process = subprocess.Popen(command, stdout=terminal, stderr=terminal, stdin=subprocess.DEVNULL)
    os.close(terminal)
    said, deadline = b"", time.monotonic() + DEADLINE_S
    try:
        while not ends(said.decode("utf-8", "replace")):
            assert select.select([boss], [], [], deadline - time.monotonic())[0], said
            try:
                said += os.read(boss, 65536)
            except OSError:
                break
    finally:
        process.terminate()
        process.wait(DEADLINE_S)
        os.close(boss)
    # The terminal's own line ends, and the colours of whoever prints.
    return re.sub(r"\x1b\[[0-9;]*m", "", said.decode("utf-8").replace("\r\n", "\n"))


def harmless(said: str) -> bool:
    return all(sign.isprintable() or sign in "\n\t" for sign in said)


def test_a_backup_file_is_no_instance_and_named_once(topology: Make) -> None:
    site = topology({})
    for name in ("x", "all-events.log", "x.older", "rpmsave", *BACKUPS, ".hidden"):
        free(site, f"forwarder/{name}")
    shutil.copytree(site.config_dir / "forwarders", site.config_dir / "forwarders.orig")
    done = site.ctl("status", expect=1)
    shown = [line.split()[1] for line in done.stdout.splitlines() if "STOPPED" in line]
    assert sorted(shown) == ["all-events.log", "rpmsave", "x", "x.older"]
    said = [line.rpartition(" ")[2] for line in done.stdout.splitlines() if line.startswith("skipped")]
    assert sorted(said) == sorted([*(f"forwarders/{name}" for name in BACKUPS), "forwarders.orig"])
    assert not done.stderr
    assert "skipped" not in site.ctl("status", "forwarder/x", expect=1).stdout


def test_a_pipe_among_instance_files_keeps_nobody_waiting(topology: Make) -> None:
    site = topology({})
    free(site, "forwarder/one")
    os.mkfifo(site.config_dir / "forwarders" / "pipe")
    assert "forwarders/pipe: is a pipe; expected a file" in site.ctl("status", expect=78).stderr


@pytest.mark.parametrize("environment", [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C"}])
def test_what_the_output_has_no_signs_for_is_escaped(topology: Make, environment: dict[str, str]) -> None:
    site = topology({}, "späte")
    free(site, "forwarder/one")
    with (site.config_dir / "forwarders" / "one").open("a", encoding="utf-8") as file:
        file.write("--späte\n")
    env = {**os.environ, **environment}
    init = [str(BIN / "eventlogging-init"), *words(site)[1:]]
    for command in (init, *(words(site, verb) for verb in ("status", "check", "start", "tail"))):
        done = subprocess.run(command, capture_output=True, check=False, timeout=60, env=env)
        assert b"Traceback" not in done.stderr
        if command[-1] in ("status", "start") or command is init:
            assert done.returncode == 78
            assert re.search("unknown option --sp(ä|\\\\xe4)te".encode(), done.stderr)


def test_a_reader_that_has_gone_is_no_error(topology: Make) -> None:
    site = topology({})
    free(site, "forwarder/one")
    site.ctl("start")
    wait_for(lambda: "pool started" in site.log("forwarder/one"), DEADLINE_S, "a log")
    with (site.config_dir / "forwarders" / "one").open("a", encoding="utf-8") as file:
        file.write("# one more line\n")
    reader, writer = os.pipe()
    os.close(reader)
    for verb in ("status", "check", "update", "tail", "--help", "--version"):
        done = subprocess.run(words(site, verb), stdout=writer, stderr=subprocess.PIPE, check=False, timeout=60)
        assert (verb, done.returncode, done.stderr) == (verb, 0, b"")
    os.close(writer)
    # What could not be said did not keep it from starting what it had stopped.
    assert "RUNNING" in site.ctl("status").stdout


def test_a_full_disk_is_named_as_standard_outputs(topology: Make) -> None:
    site = topology({})
    free(site, "forwarder/one")
    site.ctl("start")
    wait_for(lambda: "pool started" in site.log("forwarder/one"), DEADLINE_S, "a log")
    commands = [
        (words(site, verb), 3 if verb == "check" else 1) for verb in ("status", "check", "update", "tail", "-h")
    ]
    commands += [
        ([str(BIN / "eventlogging-init"), *words(site)[1:]], 1),
        ([str(BIN / "eventlogging-consumer"), "-h"], 1),
    ]
    for command, code in commands:
        with Path("/dev/full").open("wb") as full:
            done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=60)
        assert done.stderr == f"{Path(command[0]).name}: standard output: No space left on device\n"
        assert done.returncode == code


def test_no_standard_output_at_all(topology: Make) -> None:
    site = topology({})
    free(site, "forwarder/one")
    for verb in ("start", "status", "check", "stop"):
        command = ["/bin/sh", "-c", 'exec "$@" >&- 2>&-', "sh", *words(site, verb)]
        assert subprocess.run(command, check=False, timeout=60).returncode == 0
    assert (site.run_dir / "control.lock").read_text(encoding="utf-8").endswith(" stop\n")


def test_nothing_that_others_wrote_is_obeyed_by_a_terminal(topology: Make) -> None:
    site = topology({})
    free(site, "forwarder/one")
    site.ctl("start")
    site.ctl("stop")
    log = site.run_dir / "log" / "forwarder-one.log"
    with log.open("ab") as file:
        file.write(f"evil {OBEYED} end\n".encode() + b"\xff\xc2\n")
    (site.config_dir / "forwarders" / f"bad {OBEYED}").write_text("stdin:\n", encoding="utf-8")
    shown = on_a_terminal(words(site, "tail", "-n2", "forwarder/one"))
    assert shown == "evil " + r"\u001b]0;title\u0007\u009b31m\u007f\u202e\u2066\u2028\r" + " end\n\\xff\\xc2\n"
    into_a_pipe = subprocess.run(
        words(site, "tail", "-n999", "forwarder/one"), capture_output=True, check=True, timeout=60
    )
    assert into_a_pipe.stdout == log.read_bytes()
    for verb in ("status", "check", "tail", "start"):
        said = on_a_terminal(words(site, verb))
        assert harmless(said), verb


def test_nothing_of_an_event_is_obeyed_by_the_terminal_of_a_devserver() -> None:
    http, udp = free_port(), free_udp_port()
    command = [str(BIN / "eventlogging-devserver"), f"--bind=127.0.0.1:{http}", f"--udp=127.0.0.1:{udp}"]
    sent = False

    def ends(said: str) -> bool:
        nonlocal sent
        if not sent and "browser client" in said:
            sent = True
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                event = {"schema": f"E{OBEYED}", "revision": 1, "wiki": "w", "event": {f"a{OBEYED}": OBEYED}}
                for text in (json.dumps(event, ensure_ascii=False), f"no JSON {OBEYED}", "THE-END"):
                    sender.sendto(f"EventLogging {text}".encode(), ("127.0.0.1", udp))
        return said.count("THE-END") == 1 and said.endswith("\n")

    said = on_a_terminal([*command, "--schemas=" + str(Path(__file__).parent)], ends)
    assert said.count(r"\u202e") > 3
    assert harmless(said)


@pytest.mark.parametrize("how", ["removed", "moved"])
def test_logs_that_have_gone_come_back(topology: Make, how: str) -> None:
    site = topology({})
    free(site, "forwarder/one")
    free(site, "forwarder/two")
    site.ctl("start")
    wait_for(lambda: "pool started" in site.log("forwarder/one"), DEADLINE_S, "a log")
    log = site.run_dir / "log" / "forwarder-one.log"
    old = log.with_suffix(".old")
    follow = subprocess.Popen(words(site, "tail", "-f", "-n1", "forwarder/one"), stdout=subprocess.PIPE, text=True)
    assert follow.stdout is not None
    try:
        assert follow.stdout.readline()
        for path in [*(site.run_dir / "log").glob("*.log"), site.run_dir / "supervisord.log"]:
            path.unlink() if how == "removed" else path.rename(path.with_suffix(".old"))
        for verb in ("status", "check"):
            assert site.ctl(verb).stderr == ""
        assert "`reopen-logs` creates a log again" in site.ctl("tail", "forwarder/one", expect=1).stderr
        before = old.read_bytes() if how == "moved" else b""
        pids = site.pids()
        site.ctl("reopen-logs")
        assert (site.run_dir / "supervisord.log").exists()
        assert site.pids() == pids
        # It logs the state of its workers, so that there is something to see.
        os.kill(pids["forwarder/one"], signal.SIGUSR1)
        assert "state" in follow.stdout.readline()
        if how == "moved":
            assert old.read_bytes() == before
        assert site.ctl("tail").stdout.count("==>") == 2
    finally:
        follow.terminate()
        follow.communicate(timeout=DEADLINE_S)


def test_logs_that_could_not_be_opened_are_not_reopened(topology: Make) -> None:
    site = topology({})
    free(site, "forwarder/one")
    site.ctl("start")
    log = site.run_dir / "log" / "forwarder-one.log"
    log.unlink()
    log.mkdir()
    assert f"{log}: supervisord's user may not write this file" in site.ctl("reopen-logs", expect=1).stderr
    site.ctl("status")
    log.rmdir()
    shutil.rmtree(log.parent)
    site.ctl("reopen-logs")
    assert log.exists()


def test_following_ends_with_its_reader(topology: Make) -> None:
    site = topology({})
    free(site, "forwarder/one")
    site.ctl("start")
    wait_for(lambda: "pool started" in site.log("forwarder/one"), DEADLINE_S, "a log")
    follow = subprocess.Popen(words(site, "tail", "-f"), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert follow.stdout is not None
    assert follow.stderr is not None
    assert follow.stdout.readline()
    follow.stdout.close()
    assert follow.wait(DEADLINE_S) == 0
    assert follow.stderr.read() == b""
    follow.stderr.close()
