# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Kills workers that hang, and logs where they were."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterable

import structlog

from elworkers.workers.worker_process import WorkerProcess

_DUMP_S = 1.0

log = structlog.get_logger(__name__)


def watch(members: Iterable[WorkerProcess], worker_timeout_s: float) -> None:
    """Look at each worker, and kill those that do not end in time or give no sign of life for too long.

    Args:
        members: those that have a process.
        worker_timeout_s: see `worker.PoolConfig`.
    """
    for member in members:
        log_stacks(member, member.pid, member.stacks.settled())
        if member.kill_at:
            if time.monotonic() > member.kill_at:
                log.error(
                    "worker killed: it did not stop in time",
                    code="worker_killed",
                    worker_index=member.index,
                    pid=member.pid,
                )
                member.send(signal.SIGKILL)
        elif member.silent_s() > worker_timeout_s:
            _dump(member)


def _dump(member: WorkerProcess) -> None:
    silent_s = round(member.silent_s())
    member.hangs = f"no sign of life for {silent_s} s"
    log.error(
        "worker makes no progress; its stacks follow, then it is replaced",
        code="worker_hung",
        worker_index=member.index,
        pid=member.pid,
        seconds=silent_s,
    )
    member.send(signal.SIGUSR2)
    member.kill_at = time.monotonic() + _DUMP_S


def log_stacks(member: WorkerProcess, pid: int | None, text: str) -> None:
    """Log what a worker has written of its stacks, if anything, as one line.

    Args:
        member: the worker.
        pid: of the process that has written it.
        text: what it has written.
    """
    if text:
        log.error("stacks of a worker", code="worker_stacks", worker_index=member.index, pid=pid, stacks=text)
