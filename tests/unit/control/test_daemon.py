# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Whether supervisord runs, where it does not, and where something else does."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from waiting import wait_for

from elworkers.control import daemon
from elworkers.control.control_errors import LockedError, SupervisorError
from elworkers.control.lock import exclusive, is_free, open_private, try_lock
from elworkers.control.paths import Paths

DEADLINE_S = 30.0
STANDS_STILL = "import sys; sys.stdout.write('ready\\n'); sys.stdout.flush(); sys.stdin.read()"


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(tmp_path / "etc", tmp_path, tmp_path)


@pytest.fixture
def lock(paths: Paths) -> Iterator[int]:
    fd = open_private(paths.supervisord_lock)
    yield fd
    os.close(fd)


def command(folder: Path, text: str) -> str:
    """A program in the place of supervisord."""
    path = folder / "supervisord"
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)
    return str(path)


def test_where_there_is_nothing_none_runs(paths: Paths) -> None:
    assert not daemon.runs(paths)
    assert daemon.find(paths) is None


@pytest.mark.parametrize(
    "pid", ["", "no number", "999999999999999999999", "4194304", pytest.param(str(os.getpid()), id="this one")]
)
def test_a_pid_file_of_another_process_or_of_none_says_nothing(paths: Paths, pid: str) -> None:
    paths.supervisord_pid.write_text(pid, encoding="ascii")
    assert not daemon.runs(paths)
    assert daemon.find(paths) is None


@pytest.mark.parametrize("own", [True, False])
def test_a_pid_file_counts_where_it_is_of_a_supervisord_of_this_folder(paths: Paths, tmp_path: Path, own: bool) -> None:
    script = tmp_path / "supervisord"
    script.write_text(STANDS_STILL, encoding="utf-8")
    with subprocess.Popen(
        [sys.executable, script],
        cwd=tmp_path if own else tmp_path.parent,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        paths.supervisord_pid.write_text(str(process.pid), encoding="ascii")
        found = daemon.find(paths)
        assert daemon.runs(paths) == own
        assert (found.pid if found else None) == (process.pid if own else None)
        process.communicate()
    assert not daemon.runs(paths)


def test_a_lock_that_somebody_holds_says_that_it_runs(paths: Paths, lock: int) -> None:
    assert not daemon.runs(paths)
    assert try_lock(lock)
    assert daemon.runs(paths)


def test_what_is_booted_holds_the_lock_to_its_end(paths: Paths, tmp_path: Path) -> None:
    # It goes into the background, as supervisord does, and holds the lock there until it is told to end.
    os.mkfifo(tmp_path / "end")
    done = daemon.boot(
        paths, command(tmp_path, "echo booted; pwd\n(exec >/dev/null 2>&1; read word <end) &"), DEADLINE_S
    )
    try:
        assert (done.returncode, done.stdout) == (0, f"booted\n{tmp_path}\n")
        assert daemon.runs(paths)
        assert daemon.find(paths) is not None
    finally:
        (tmp_path / "end").write_text("now\n", encoding="ascii")
    wait_for(lambda: not daemon.runs(paths), DEADLINE_S, "its end")


def test_two_are_never_booted(paths: Paths, lock: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon, "_FREE_WITHIN_S", 0.05)
    assert try_lock(lock)
    with pytest.raises(SupervisorError, match=r"another supervisord holds .*supervisord\.lock"):
        daemon.boot(paths, command(tmp_path, "touch began"), DEADLINE_S)
    assert not (tmp_path / "began").exists()


def test_what_does_not_go_into_the_background_is_said(paths: Paths, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "end")
    with pytest.raises(subprocess.TimeoutExpired):
        daemon.boot(paths, command(tmp_path, "exec cat end"), 0.1)
    assert not daemon.runs(paths)


def test_one_command_at_a_time_changes_a_run_folder(paths: Paths, capsys: pytest.CaptureFixture[str]) -> None:
    with exclusive(paths, 0.0, "eventloggingctl"):
        with pytest.raises(LockedError, match=rf"pid {os.getpid()} .* is running in {paths.run_dir}"):
            exclusive(paths, 0.0, "eventloggingctl").__enter__()
        with pytest.raises(LockedError):
            exclusive(paths, 0.06, "eventloggingctl").__enter__()
        assert f"eventloggingctl: waiting up to 0.06 s for pid {os.getpid()}" in capsys.readouterr().err
    with exclusive(paths, 0.0, "eventloggingctl"):
        assert paths.control_lock.stat().st_mode & 0o777 == 0o600


def test_a_folder_that_is_not_there_need_not_be_locked(tmp_path: Path) -> None:
    paths = Paths(tmp_path, tmp_path / "run", tmp_path)
    with exclusive(paths, 0.0, "eventloggingctl", make=False):
        assert not paths.run_dir.exists()
    with exclusive(paths, 0.0, "eventloggingctl"):
        assert paths.control_lock.exists()


def test_whoever_looks_whether_a_lock_is_free_keeps_nobody_else_from_it(paths: Paths, lock: int) -> None:
    other = open_private(paths.supervisord_lock)
    try:
        assert is_free(lock)
        assert is_free(other)
    finally:
        os.close(other)
