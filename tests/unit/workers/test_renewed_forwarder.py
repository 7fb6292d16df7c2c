# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""A forwarder that executes itself anew: its sockets stay open, and its file decides what becomes of it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from waiting import wait_for

from elworkers.core.errors import EX_CONFIG, EX_USAGE

DEADLINE_S = 30.0


class Forwarder:
    """The program in a run folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.write()
        command = [sys.executable, "-m", "elworkers", "forwarders", f"@{folder}/in"]
        env = {name: value for name, value in os.environ.items() if not name.startswith("SUPERVISOR")}
        with (folder / "log").open("ab") as log:
            self.process = psutil.Popen(command, stderr=log, env=env | {"EVENTLOGGING_RUN_DIR": str(folder)})

    def write(self, *more: str) -> None:
        """Write the instance file."""
        lines = [f"udp://127.0.0.1:{self.port}", f"file://{self.folder}/out", *more]
        (self.folder / "in").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

    def state(self) -> dict[str, Any]:
        """What the parent has written of itself."""
        with contextlib.suppress(FileNotFoundError):
            found: dict[str, Any] = json.loads((self.folder / "state" / "forwarder-in.json").read_bytes())
            return found
        return {"workers": [], "renewals": 0, "replacing": False}

    def worker(self) -> int:
        """The pid of its worker, as soon as one runs."""

        def pid() -> int | None:
            return next((one["pid"] for one in self.state()["workers"] if one["state"] in ("running", "idle")), None)

        found = wait_for(pid, DEADLINE_S, "the worker")
        assert found is not None
        return found

    def send(self, *lines: str) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            for line in lines:
                udp.sendto(line.encode(), ("127.0.0.1", self.port))

    def received(self) -> list[str]:
        out = self.folder / "out"
        return out.read_text(encoding="ascii").splitlines() if out.exists() else []


@pytest.fixture
def forwarder(tmp_path: Path) -> Iterator[Forwarder]:
    made = Forwarder(tmp_path)
    yield made
    made.process.terminate()
    assert made.process.wait(DEADLINE_S) == 0


def test_another_image_has_the_same_pid_and_misses_nothing(forwarder: Forwarder) -> None:
    before = forwarder.worker()
    forwarder.write("--batch-size=7")
    forwarder.process.send_signal(signal.SIGUSR2)
    sent = [f"line {number}" for number in range(200)]
    forwarder.send(*sent)
    renewed = lambda: forwarder.state()["renewals"] == 1 and not forwarder.state()["replacing"]  # noqa: E731
    wait_for(renewed, DEADLINE_S, "the next image")
    wait_for(lambda: len(forwarder.received()) == len(sent), DEADLINE_S, "all lines")
    assert sorted(forwarder.received()) == sorted(sent)
    assert forwarder.state()["pid"] == forwarder.process.pid
    assert forwarder.worker() != before
    assert not psutil.pid_exists(before)


def test_a_file_that_cannot_work_leaves_everything_as_it_was(forwarder: Forwarder) -> None:
    before = forwarder.worker()
    forwarder.write("--no-such-option")
    forwarder.process.send_signal(signal.SIGUSR2)
    wait_for(lambda: forwarder.state()["refusals"] == 1, DEADLINE_S, "the answer")
    assert f"{forwarder.folder}/in:3: unknown option --no-such-option" in forwarder.state()["refusal"]
    assert (forwarder.state()["renewals"], forwarder.worker()) == (0, before)
    forwarder.send("still here")
    wait_for(lambda: forwarder.received() == ["still here"], DEADLINE_S, "the line")


def test_an_address_that_somebody_else_has_leaves_everything_as_it_was(forwarder: Forwarder) -> None:
    before = forwarder.worker()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        mine, forwarder.port = forwarder.port, other.getsockname()[1]
        forwarder.write()
        forwarder.process.send_signal(signal.SIGUSR2)
        wait_for(lambda: forwarder.state()["refusals"] == 1, DEADLINE_S, "the answer")
        assert f"udp://127.0.0.1:{forwarder.port}: cannot be bound" in forwarder.state()["refusal"]
    forwarder.port = mine
    assert forwarder.worker() == before


def test_a_worker_that_dies_as_the_next_image_begins_is_replaced(forwarder: Forwarder) -> None:
    before = forwarder.worker()
    forwarder.process.send_signal(signal.SIGUSR2)
    os.kill(before, signal.SIGKILL)
    wait_for(lambda: forwarder.state()["renewals"] == 1, DEADLINE_S, "the next image")
    wait_for(lambda: forwarder.worker() != before and not forwarder.state()["replacing"], DEADLINE_S, "its worker")
    forwarder.send("one")
    wait_for(lambda: forwarder.received() == ["one"], DEADLINE_S, "the line")


def run(*argv: str, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "elworkers", *argv]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=DEADLINE_S, env=os.environ | env
    )


@pytest.mark.parametrize(
    ("argv", "code", "said"),
    [
        (["--help"], 0, "usage: python -m elworkers ROLE [ARGUMENT…]; roles: forwarder, processor"),
        ([], EX_USAGE, "usage: python -m elworkers ROLE"),
        (["forwader"], EX_USAGE, "elworkers: there is no role 'forwader'"),
        (["forwarder", "stdin:", "stdout:", "--check"], 0, "eventlogging-forwarder: the arguments are valid"),
        (["forwarder", "stdin:", "stdot:", "--check"], EX_CONFIG, "no output has the scheme 'stdot'"),
        (["forwarder", "stdin:"], EX_USAGE, "OUTPUT is missing; expected eventlogging-forwarder INPUT OUTPUT…"),
        (["forwarder", "@/no/such/file"], EX_CONFIG, "/no/such/file: cannot be read: No such file or directory"),
    ],
)
def test_what_a_command_line_comes_to(argv: list[str], code: int, said: str) -> None:
    done = run(*argv)
    assert done.returncode == code
    assert said in done.stdout + done.stderr
    assert not done.stderr if code == 0 else "Traceback" not in done.stderr


def test_a_handover_that_is_none_is_named() -> None:
    read, write = os.pipe()
    os.close(write)
    try:
        env = os.environ | {"ELWORKERS_HANDOVER": str(read)}
        command = [sys.executable, "-m", "elworkers", "forwarder", "stdin:", "stdout:", "--check"]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=DEADLINE_S, env=env, pass_fds=[read]
        )
    finally:
        os.close(read)
    assert done.returncode == EX_CONFIG
    assert "the state that the running pool hands over cannot be read" in done.stderr
