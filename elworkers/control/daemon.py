# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Finds out whether the supervisord of a run folder runs, and its pid, also when it does not answer.

supervisord inherits a lock when it is booted, and holds it to its end (docs/decisions/0046-one-at-a-time.md).
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from elworkers.control.control_errors import SupervisorError
from elworkers.control.deadline import Deadline
from elworkers.control.lock import is_free, open_private, try_lock
from elworkers.control.paths import Paths

_HELD = 3
"""The descriptor of the lock: supervisord closes those from 5 on when it reads its configuration anew, and its programs
get none of them."""

_FREE_WITHIN_S = 2.0
"""Time limit of taking the lock: a command that checks whether it is free holds it briefly."""

_POLL_INTERVAL_S = 0.02


def runs(paths: Paths) -> bool:
    """Return whether there is a supervisord of this run folder.

    Raises:
        PermissionError: that is for another user to know.
    """
    return _locked(paths.supervisord_lock) or _by_pid_file(paths) is not None


def find(paths: Paths) -> psutil.Process | None:
    """Return its process, if it can be found."""
    return _by_pid_file(paths) or _by_lock(paths.supervisord_lock)


def _locked(path: Path) -> bool:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return not is_free(fd)
    finally:
        os.close(fd)


def _by_pid_file(paths: Paths) -> psutil.Process | None:
    """Return the process that the pid file names: for one that was booted without the lock."""
    try:
        process = psutil.Process(int(paths.supervisord_pid.read_text(encoding="ascii")))
        return process if _is_supervisord(process, paths) else None
    except (FileNotFoundError, ValueError, OverflowError, psutil.NoSuchProcess):
        return None


def _is_supervisord(process: psutil.Process, paths: Paths) -> bool:
    # A pid may be somebody else's by now, also another supervisord's.
    argv = process.cmdline()
    if process.status() == psutil.STATUS_ZOMBIE or not any("supervisord" in argument for argument in argv[:3]):
        return False
    with contextlib.suppress(psutil.AccessDenied):
        if process.cwd() == str(paths.run_dir):
            return True
    return str(paths.supervisord_conf) in argv


def _by_lock(path: Path) -> psutil.Process | None:
    try:
        lock = path.stat()
    except OSError:
        return None
    for process in psutil.process_iter():
        with contextlib.suppress(OSError, psutil.Error):
            if os.path.samestat(Path(f"/proc/{process.pid}/fd/{_HELD}").stat(), lock):
                return process
    return None


def boot(paths: Paths, command: str, within_s: float) -> subprocess.CompletedProcess[str]:
    """Start supervisord with the lock; gives what it printed before it went into the background.

    Args:
        paths: its run folder.
        command: its path.
        within_s: how long it may take, in seconds.

    Raises:
        SupervisorError: another one has the lock.
        OSError: the lock or the command cannot be had.
        subprocess.TimeoutExpired: it has not gone into the background in time.
    """
    lock = open_private(paths.supervisord_lock)
    try:
        deadline = Deadline(_FREE_WITHIN_S)
        while not try_lock(lock):
            if deadline.over():
                raise SupervisorError(f"another supervisord holds {paths.supervisord_lock}")
            time.sleep(_POLL_INTERVAL_S)
        with _as_number(lock, _HELD):
            return subprocess.run(
                [command, "-c", str(paths.supervisord_conf)],
                pass_fds=[_HELD],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="backslashreplace",
                check=False,
                # Its socket may have a relative path; see Paths.socket_for_supervisord.
                cwd=paths.run_dir,
                timeout=within_s,
            )
    finally:
        os.close(lock)


@contextlib.contextmanager
def _as_number(fd: int, number: int) -> Iterator[None]:
    """Let a descriptor have this number too, whatever has it otherwise."""
    try:
        before = os.dup(number)
    except OSError:
        before = None
    os.dup2(fd, number, inheritable=False)
    try:
        yield
    finally:
        if before is None:
            os.close(number)
        else:
            os.dup2(before, number, inheritable=False)
            os.close(before)
