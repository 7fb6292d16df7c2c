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


def watch(worker_processes: Iterable[WorkerProcess], worker_timeout_s: float) -> None:
    """Look at each worker, and kill those that do not end in time or give no sign of life for too long.

    Args:
        worker_processes: those that have a process.
        worker_timeout_s: see `worker.PoolConfig`.
    """
    for worker_process in worker_processes:
        log_stacks(worker_process, worker_process.pid, worker_process.stacks.take_if_complete())
        if worker_process.kill_at:
            if time.monotonic() > worker_process.kill_at:
                log.error(
                    "worker killed: it did not stop in time",
                    code="worker_killed",
                    worker_index=worker_process.index,
                    pid=worker_process.pid,
                )
                worker_process.send(signal.SIGKILL)
        elif worker_process.silent_s() > worker_timeout_s:
            _dump(worker_process)


def _dump(worker_process: WorkerProcess) -> None:
    silent_s = round(worker_process.silent_s())
    worker_process.hangs = f"no sign of life for {silent_s} s"
    log.error(
        "worker makes no progress; its stacks follow, then it is replaced",
        code="worker_hung",
        worker_index=worker_process.index,
        pid=worker_process.pid,
        seconds=silent_s,
    )
    worker_process.send(signal.SIGUSR2)
    worker_process.kill_at = time.monotonic() + _DUMP_S


def log_stacks(worker_process: WorkerProcess, pid: int | None, text: str) -> None:
    """Log what a worker has written of its stacks, if anything, as one line.

    Args:
        worker_process: the worker.
        pid: of the process that has written it.
        text: what it has written.
    """
    if text:
        log.error("stacks of a worker", code="worker_stacks", worker_index=worker_process.index, pid=pid, stacks=text)
