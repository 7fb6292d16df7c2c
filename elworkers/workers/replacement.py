# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Replaces a pool's workers by new ones, one after another."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

import structlog

from elworkers.core.errors import EX_CONFIG, EX_DATAERR, EX_TEMPFAIL
from elworkers.workers.worker_process import WorkerProcess
from elworkers.workers.worker_processes import WorkerProcesses

_TRIES = 3
"""Of a successor that dies before it is ready; the present one goes on meanwhile."""

log = structlog.get_logger(__name__)

Start = Callable[[WorkerProcess, int | None], None]
"""Starts a worker, as the successor of the process whose pid is given, which still works."""


class Replacement:
    """Replaces workers, one at a time.

    Where a successor can be started beside them, the present one is asked to end only when that one is ready: work goes
    on also where it never gets so far.

    Args:
        worker_processes: whose workers.
        side_by_side: see `worker.PoolConfig`.
        stop_timeout_s: likewise.
        start: see `Start`.
    """

    def __init__(
        self, worker_processes: WorkerProcesses, *, side_by_side: bool, stop_timeout_s: float, start: Start
    ) -> None:
        self._worker_processes = worker_processes
        self._side_by_side = side_by_side
        self._stop_timeout_s = stop_timeout_s
        self._start = start
        self._left: list[int] = []
        self._since = 0.0
        self._abandoned = False
        self._deaths = 0

    @property
    def under_way(self) -> bool:
        """Whether workers of before are left."""
        return bool(self._left)

    def begin(self, indices: Iterable[int]) -> None:
        """Replace the present workers with these indices."""
        self._left, self._since = list(indices), time.monotonic()
        self._abandoned = False
        log.info("replacing workers one after another", code="worker_replacement_started", workers=len(self._left))

    def abandon(self) -> None:
        """Stop replacing; a successor that has not taken over yet is asked to stop."""
        self._left, self._abandoned = [], True
        successor = self._worker_processes.successor
        if successor is not None and not (successor.leaving or self._taking_over(successor)):
            successor.request_stop(self._stop_timeout_s)

    def _taking_over(self, successor: WorkerProcess) -> bool:
        worker_process = self._worker_processes.get(successor.index)
        return worker_process is None or worker_process.pid is None or worker_process.leaving

    def is_useless(self, worker_process: WorkerProcess, code: int) -> bool:
        """Return whether a worker that has ended is a successor that is of no use, while the present one works.

        Args:
            worker_process: the worker.
            code: its exit code.
        """
        if worker_process is not self._worker_processes.successor or self._taking_over(worker_process):
            return False
        self._deaths += 1
        return code in (0, EX_CONFIG, EX_DATAERR, EX_TEMPFAIL) or self._deaths >= _TRIES

    def give_up(self, successor: WorkerProcess, code: int) -> str:
        """Give up a successor that is of no use, so that the earlier workers go on; return the reason.

        Args:
            successor: which.
            code: its exit code.
        """
        reason = successor.slot.remarks().reason or f"the new worker ended with {code}"
        log.error(
            "workers not replaced; those of before go on",
            code="worker_replacement_failed",
            reason=reason,
            exit_code=code,
        )
        self._worker_processes.dismiss()
        self._left = []
        return reason

    def step(self) -> bool:
        """Do one step; return whether it was the last one, after which every worker is another one."""
        successor = self._worker_processes.successor
        if successor is not None:
            self._succeed(successor)
        elif self._left:
            self._replace(self._worker_processes.get(self._left[0]))
        else:
            return False
        done = not self._left and self._worker_processes.successor is None and not self._abandoned
        if done:
            log.info("workers replaced", code="worker_replacement_done")
        return done

    def _replace(self, worker_process: WorkerProcess | None) -> None:
        if worker_process is None:
            self._left.pop(0)
        elif worker_process.begun >= self._since:
            if self._side_by_side or worker_process.is_working:
                self._left.pop(0)
        elif worker_process.pid is None:
            self._start(worker_process, None)
        elif worker_process.leaving:
            pass
        elif self._side_by_side:
            self._deaths = 0
            self._start(self._worker_processes.name_successor(worker_process), worker_process.pid)
        else:
            worker_process.request_stop(self._stop_timeout_s)

    def _succeed(self, successor: WorkerProcess) -> None:
        worker_process = self._worker_processes.get(successor.index)
        if successor.leaving:
            if successor.pid is None:
                self._worker_processes.dismiss()
        elif worker_process is None or worker_process.pid is None:
            self._worker_processes.promote()
        elif successor.pid is None:
            if time.monotonic() >= successor.not_before:
                self._start(successor, worker_process.pid)
        elif successor.ready and not worker_process.leaving:
            worker_process.request_stop(self._stop_timeout_s)
