# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Keeps the list of a pool's workers, and what operators are told of each."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

from elworkers.core.worker_state import State
from elworkers.workers.scoreboard import Remarks, Scoreboard
from elworkers.workers.state_file import WorkerState
from elworkers.workers.worker_process import WorkerProcess


class WorkerProcesses:
    """The workers of a pool by index, and a successor of one of them.

    Attributes:
        successor: started beside the one whose index it has; None: there is none.
    """

    def __init__(self, scoreboard: Scoreboard, worker_processes: Iterable[WorkerProcess] = ()) -> None:
        self._scoreboard = scoreboard
        self._by_index = {worker_process.index: worker_process for worker_process in worker_processes}
        self.successor: WorkerProcess | None = None

    @property
    def scoreboard(self) -> int:
        """Descriptor of the scoreboard's memory."""
        return self._scoreboard.file

    def __iter__(self) -> Iterator[WorkerProcess]:
        """Yield all workers, the successor last."""
        yield from list(self._by_index.values())
        if self.successor is not None:
            yield self.successor

    def get(self, index: int) -> WorkerProcess | None:
        """Return the worker of this index, if there is one."""
        return self._by_index.get(index)

    def get_or_create(self, index: int) -> WorkerProcess:
        """Return the worker of this index, which is created if there is none."""
        if index not in self._by_index:
            self._by_index[index] = WorkerProcess(index, self._scoreboard.free_slot())
        return self._by_index[index]

    def from_index(self, count: int) -> list[WorkerProcess]:
        """Return the workers with this index or a higher one."""
        return [worker_process for index, worker_process in self._by_index.items() if index >= count]

    def alive(self) -> list[WorkerProcess]:
        """Return those that have a process."""
        return [worker_process for worker_process in self if worker_process.pid is not None]

    def all_leaving(self) -> bool:
        """Return whether every worker has ended for good or was asked to."""
        return all(worker_process.leaving for worker_process in self)

    def name_successor(self, worker_process: WorkerProcess) -> WorkerProcess:
        """Return a successor of the worker, without a process yet."""
        self.successor = worker_process.successor(self._scoreboard.free_slot())
        return self.successor

    def promote(self) -> None:
        """Replace the worker that the successor was started for, and whose process has ended."""
        if self.successor is not None:
            if self.successor.index in self._by_index:
                self.remove(self._by_index[self.successor.index])
            self._by_index[self.successor.index] = self.successor
            self.successor = None

    def dismiss(self) -> None:
        """Forget the successor, whose process has ended."""
        if self.successor is not None:
            self._release(self.successor)
            self.successor = None

    def remove(self, worker_process: WorkerProcess) -> None:
        """Remove a worker whose process has ended."""
        del self._by_index[worker_process.index]
        self._release(worker_process)

    def _release(self, worker_process: WorkerProcess) -> None:
        self._scoreboard.give_back(worker_process.slot)
        worker_process.stacks.close()

    def states(self) -> list[WorkerState]:
        """Return the state of each worker."""
        return [_state_of(worker_process) for worker_process in self]


def _state_of(worker_process: WorkerProcess) -> WorkerState:
    snapshot = worker_process.slot.snapshot()
    runs = worker_process.pid is not None
    remarks = worker_process.slot.remarks() if runs else Remarks()
    return WorkerState(
        worker=worker_process.index,
        pid=worker_process.pid,
        state=(snapshot.state if runs else State.STOPPED).name.lower(),
        restarts=worker_process.restarts,
        since=worker_process.since,
        alive=snapshot.alive,
        records=snapshot.records,
        reason=remarks.reason,
        reason_since=remarks.since,
        aside=remarks.aside,
        more_aside=remarks.more,
        aside_since=remarks.aside_since,
        crashes=worker_process.crashes,
        crash=worker_process.crash,
        done=worker_process.leaving and not runs,
        remarks=remarks.remarks,
    )


def not_started(workers: int, reason: str, since: float) -> list[WorkerState]:
    """Return workers that are not started, because what they would listen on cannot be had.

    Args:
        reason: why.
        since: monotonic seconds at which that began.
    """
    now = time.monotonic()
    waiting = WorkerState(0, None, State.WAITING.name.lower(), 0, 0.0, now, 0, reason, since)
    return [waiting._replace(worker=index) for index in range(workers)]
