# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""One command at a time: who waits for whom, who is told, and what a command that was killed leaves."""

from __future__ import annotations

import os
import pwd
import signal
from pathlib import Path

import pytest

from elworkers.control.control_errors import LockedError, SupervisorError
from elworkers.control.lock import exclusive, locked, owner_hint
from elworkers.control.paths import Paths


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "control.lock"


def hold_and_wait(path: Path) -> int:
    """The pid of a process that holds the lock until it is killed."""
    reads, writes = os.pipe()
    pid = os.fork()
    if pid == 0:
        with locked(path, ["eventloggingctl", "stop all"], 0.0, lambda _: None):
            os.write(writes, b"1")
            signal.pause()
        os._exit(0)
    os.close(writes)
    assert os.read(reads, 1) == b"1"
    os.close(reads)
    return pid


def test_whoever_holds_it_is_named_and_a_kill_frees_it(path: Path) -> None:
    pid, said = hold_and_wait(path), list[str]()
    try:
        with (
            pytest.raises(LockedError, match=rf"pid {pid} \(eventloggingctl 'stop all'\) is running in"),
            locked(path, ["me"], 0.2, said.append),
        ):
            pass
        assert said == [f"waiting up to 0.2 s for pid {pid} (eventloggingctl 'stop all')"]
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    with locked(path, ["me"], 0.0, said.append):
        assert path.read_text(encoding="ascii") == f"{os.getpid()} me\n"
    assert len(said) == 1


def test_a_folder_that_is_not_there_is_made_only_where_something_is_to_be_started(tmp_path: Path) -> None:
    paths = Paths(tmp_path / "etc", tmp_path / "run", tmp_path)
    with exclusive(paths, 0.0, "stop", make=False):
        assert not paths.run_dir.exists()
    with exclusive(paths, 0.0, "start"):
        assert paths.control_lock.stat().st_mode & 0o077 == 0


def test_the_owner_of_a_folder_is_named(tmp_path: Path) -> None:
    me = pwd.getpwuid(os.getuid()).pw_name
    assert owner_hint(tmp_path).startswith(f"run this as {me}, the owner of the folder")
    assert owner_hint(tmp_path / "gone") == "run this as the owner of the folder, or as root"


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give files away")
def test_whose_lock_it_is_not_is_told_so(path: Path) -> None:
    os.chown(path.parent, 54321, 54321)
    assert owner_hint(path.parent) == "run this as user 54321, the owner of the folder, or as root"
    with locked(path, ["root"], 0.0, lambda _: None):
        assert path.stat().st_uid == 54321
    path.parent.chmod(0o755)
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.setgid(54322)
            os.setuid(54322)
            with locked(path, ["other"], 0.0, lambda _: None):
                pass
        except SupervisorError as error:
            code = 0 if "Permission denied; run this as " in str(error) else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
