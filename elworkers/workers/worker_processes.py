# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Keeps the list of a pool's workers, and what operators are told of each."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

from elworkers.core.loop import State
from elworkers.workers.scoreboard import Remarks, Scoreboard
from elworkers.workers.state_file import WorkerState
from elworkers.workers.worker_process import WorkerProcess


class WorkerProcesses:
    """The places of a pool by index, and a successor on its way to one of them.

    Attributes:
        successor: started beside the one whose index it has; None: there is none.
    """

    def __init__(self, board: Scoreboard, places: Iterable[WorkerProcess] = ()) -> None:
        self._board = board
        self._places = {member.index: member for member in places}
        self.successor: WorkerProcess | None = None

    @property
    def board(self) -> int:
        """Descriptor of the scoreboard's memory."""
        return self._board.file

    def __iter__(self) -> Iterator[WorkerProcess]:
        """Yield all places, the successor last."""
        yield from list(self._places.values())
        if self.successor is not None:
            yield self.successor

    def get(self, index: int) -> WorkerProcess | None:
        """Return the place of this index, where there is one."""
        return self._places.get(index)

    def place(self, index: int) -> WorkerProcess:
        """Return the place of this index, which is made where there is none."""
        if index not in self._places:
            self._places[index] = WorkerProcess(index, self._board.free_slot())
        return self._places[index]

    def beyond(self, count: int) -> list[WorkerProcess]:
        """Return the places beyond this number."""
        return [member for index, member in self._places.items() if index >= count]

    def alive(self) -> list[WorkerProcess]:
        """Return those that have a process."""
        return [member for member in self if member.pid is not None]

    def all_leaving(self) -> bool:
        """Return whether nobody is left who would go on."""
        return all(member.leaving for member in self)

    def name_successor(self, member: WorkerProcess) -> WorkerProcess:
        """Return a place beside the member's, without a process yet."""
        self.successor = member.successor(self._board.free_slot())
        return self.successor

    def promote(self) -> None:
        """Give the successor the place that it was started for, whose process has ended."""
        if self.successor is not None:
            if self.successor.index in self._places:
                self.remove(self._places[self.successor.index])
            self._places[self.successor.index] = self.successor
            self.successor = None

    def dismiss(self) -> None:
        """Forget the successor, whose process has ended."""
        if self.successor is not None:
            self._let_go(self.successor)
            self.successor = None

    def remove(self, member: WorkerProcess) -> None:
        """Forget a place whose process has ended."""
        del self._places[member.index]
        self._let_go(member)

    def _let_go(self, member: WorkerProcess) -> None:
        self._board.give_back(member.slot)
        member.stacks.close()

    def seen(self) -> list[WorkerState]:
        """Return what each says of itself."""
        return [_seen(member) for member in self]


def _seen(member: WorkerProcess) -> WorkerState:
    said = member.slot.look()
    runs = member.pid is not None
    told = member.slot.told() if runs else Remarks()
    return WorkerState(
        worker=member.index,
        pid=member.pid,
        state=(said.state if runs else State.STOPPED).name.lower(),
        restarts=member.restarts,
        since=member.since,
        alive=said.alive,
        records=said.records,
        reason=told.reason,
        reason_since=told.since,
        aside=told.aside,
        more_aside=told.more,
        aside_since=told.aside_since,
        crashes=member.crashes,
        crash=member.crash,
        done=member.leaving and not runs,
        remarks=told.remarks,
    )


def shut_out(workers: int, reason: str, since: float) -> list[WorkerState]:
    """Return workers that are not started, because what they would listen on cannot be had.

    Args:
        reason: why.
        since: monotonic seconds at which that began.
    """
    now = time.monotonic()
    waiting = WorkerState(0, None, State.WAITING.name.lower(), 0, 0.0, now, 0, reason, since)
    return [waiting._replace(worker=index) for index in range(workers)]
