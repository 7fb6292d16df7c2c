# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Finds the processes of a stack by what they carry in their environment.

No pid file: a process says itself to which stack and part it belongs. So nothing is forgotten when a command is killed
between starting a process and writing its pid down, and no pid that was given away again is ever ended.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

import psutil

STACK, PART = "ELWORKERS_DEVSTACK", "ELWORKERS_DEVSTACK_PART"
_CLEAN_S = 20.0


def start(stack: Path, part: str, command: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    """Start a process of a part in a session of its own, its output going to a log."""
    log.parent.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, STACK: str(stack), PART: part}
    with log.open("ab") as out:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=environment,
            cwd=stack,
            start_new_session=True,
        )


def of(stack: Path, part: str | None = None) -> list[psutil.Process]:
    """Return the live processes of a stack, or of one of its parts."""
    found = []
    for process in psutil.process_iter():
        try:
            environment = process.environ()
            alive = process.status() != psutil.STATUS_ZOMBIE
        except (psutil.Error, OSError):
            continue
        if alive and environment.get(STACK) == str(stack) and part in (None, environment.get(PART)):
            found.append(process)
    return found


def end(processes: Sequence[psutil.Process], number: signal.Signals = signal.SIGTERM) -> None:
    """End processes: ask, wait, then kill; returns when none is left."""
    for process in processes:
        _send(process, number)
    _, left = psutil.wait_procs(processes, timeout=_CLEAN_S)
    for process in left:
        _send(process, signal.SIGKILL)
    psutil.wait_procs(left, timeout=_CLEAN_S)


def _send(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return
