# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Locks a run folder, so that one command at a time changes what runs in it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pwd
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from elworkers.control.control_errors import LockedError, SupervisorError
from elworkers.control.deadline import Deadline
from elworkers.control.paths import Paths
from elworkers.core.permissions import DATA_FOLDER
from elworkers.core.terminal import printable

_POLL_INTERVAL_S = 0.1
_LONGEST = 4096


@contextlib.contextmanager
def exclusive(paths: Paths, wait_s: float, program: str, *, make: bool = True) -> Iterator[None]:
    """Hold the lock of a run folder.

    Args:
        paths: where it is.
        wait_s: for how long to wait for another command, in seconds.
        program: name of the command, for the message that it waits.
        make: the folder, where it is not there; otherwise there is nothing in it to lock.

    Raises:
        LockedError: another command is at work there.
        SupervisorError: the folder belongs to another user.
        OSError: it cannot be made or written.
    """
    if make:
        paths.run_dir.mkdir(DATA_FOLDER, parents=True, exist_ok=True)
    elif not paths.run_dir.exists():
        yield
        return

    def report(text: str) -> None:
        print(f"{program}: {printable(text)}", file=sys.stderr)

    with locked(paths.control_lock, [Path(sys.argv[0]).name, *sys.argv[1:]], wait_s, report):
        yield


@contextlib.contextmanager
def locked(path: Path, command: Sequence[str], wait_s: float, report: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock; it ends with this process, however that ends.

    Args:
        path: of the lock file, which says the pid and the command line of whoever had it last.
        command: what to write there of this process.
        wait_s: for how long to wait for another one.
        report: is told for whom, before the wait.

    Raises:
        LockedError: another process has held it all the time; names it.
        SupervisorError: it belongs to another user.
        OSError: it cannot be made.
    """
    try:
        fd = open_private(path)
    except PermissionError as error:
        raise SupervisorError(f"{path}: {error.strerror}; {owner_hint(path.parent)}") from None
    try:
        deadline, reported = Deadline(wait_s), False
        while not try_lock(fd):
            if deadline.over():
                raise LockedError(
                    f"{_holder(fd)} is running in {path.parent}, and was not done after {wait_s:g} s; try again later"
                )
            if not reported:
                report(f"waiting up to {wait_s:g} s for {_holder(fd)}")
                reported = True
            time.sleep(_POLL_INTERVAL_S)
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()} {shlex.join(command)}\n".encode(errors="surrogateescape"), 0)
        yield
    finally:
        os.close(fd)


def open_private(path: Path) -> int:
    """Return a descriptor of a lock file that only its owner can open: whoever can open a file can lock it.

    One that root makes belongs to whom the folder belongs to.

    Raises:
        OSError: it cannot be opened or made.
    """
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        return os.open(path, flags)
    except FileNotFoundError:
        fd = os.open(path, flags | os.O_CREAT, 0o600)
    owner = path.parent.stat()
    if os.geteuid() == 0 and owner.st_uid != 0:
        os.fchown(fd, owner.st_uid, owner.st_gid)
    return fd


def try_lock(fd: int) -> bool:
    """Take the lock; return False if another process holds it."""
    return _flock(fd, fcntl.LOCK_EX)


def is_free(fd: int) -> bool:
    """Return whether no process holds the lock; several may ask this at the same time."""
    return _flock(fd, fcntl.LOCK_SH)


def _flock(fd: int, how: int) -> bool:
    try:
        fcntl.flock(fd, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def owner_hint(folder: Path) -> str:
    """Return a sentence that says which user should run the command."""
    try:
        uid = folder.stat().st_uid
    except OSError:
        return "run this as the owner of the folder, or as root"
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = f"user {uid}"
    return f"run this as {name}, the owner of the folder" + (", or as root" if uid else "")


def _holder(fd: int) -> str:
    pid, _, command = os.pread(fd, _LONGEST, 0).decode("utf-8", "replace").strip().partition(" ")
    return f"pid {pid} ({command})" if pid else "another command"
