# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Handles one worker from its parent: starts it, looks at it, asks it to end, reaps it."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from elworkers.core.worker_state import State
from elworkers.workers.scoreboard import CRASHED, Slot
from elworkers.workers.stacks import Stacks

FIRST_BACKOFF_S, LONGEST_BACKOFF_S = 0.5, 30.0
_HEALTHY_AFTER_S = 60.0
_REMEMBERED_S = 600.0
"""Longer than any store's batch lasts, so that two crashes at the same batch are seen as such."""
_WORKING = (State.RUNNING, State.IDLE)


@dataclass
class WorkerProcess:
    """A worker of the pool, with or without a running process.

    Attributes:
        index: counts from 0.
        slot: where its process says what it is doing.
        stacks: where its process writes its stacks.
        pid: None while no process runs.
        restarts: how often it was started again.
        since: start of the present process in seconds since the epoch, for people to read.
        begun: the same as monotonic time, which intervals are counted from.
        crash: how its last process died, and the reason that it reported.
        not_before: monotonic time before which it is not started again.
        leaving: asked to end for good.
        kill_at: monotonic time at which it is killed; 0 for never.
        hangs: why its process is to be killed, where it was not asked to end.
    """

    index: int
    slot: Slot
    stacks: Stacks = field(default_factory=Stacks)
    pid: int | None = None
    restarts: int = -1
    since: float = 0.0
    begun: float = 0.0
    crash: str = ""
    not_before: float = 0.0
    backoff_s: float = FIRST_BACKOFF_S
    leaving: bool = False
    kill_at: float = 0.0
    hangs: str = ""
    _crashed: deque[float] = field(default_factory=deque)

    def start(self, work: Callable[[], int], signals: Iterable[signal.Signals]) -> None:
        """Fork a process that does `work` and ends with the exit code that it gives.

        Args:
            work: called in the new process, with default handlers for `signals`.
            signals: those that the parent handles.
        """
        self.since, self.begun = time.time(), time.monotonic()
        self.restarts += 1
        self.leaving, self.kill_at, self.hangs = False, 0.0, ""
        self.slot.clear()
        # What is sent to the new process before it has its own handlers must not go to the parent's, which only note.
        signal.pthread_sigmask(signal.SIG_BLOCK, signals)
        self.pid = os.fork()
        if self.pid == 0:
            _become(work, signals)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)

    def send(self, number: signal.Signals) -> None:
        """Send its process a signal, where it has one."""
        if self.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def request_stop(self, within_s: float) -> None:
        """Have it flush, commit and end, and no longer be wanted."""
        self.leaving = True
        if not self.kill_at:
            self.kill_at = time.monotonic() + within_s
        self.send(signal.SIGTERM)

    def reap(self) -> int | None:
        """Return the exit code (negative: a signal) of its process if that has ended; it has no process then."""
        if self.pid is None:
            return None
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if not pid:
            return None
        self.pid, self.kill_at = None, 0.0
        return os.waitstatus_to_exitcode(status)

    def died(self, how: str) -> float:
        """Note that it has died, and return the seconds to wait before it is started again.

        Args:
            how: its exit code or signal.
        """
        now, reason = time.monotonic(), self.slot.remarks().reason
        why = reason if reason.startswith(CRASHED) else self.hangs
        self.crash = f"{how}: {why}" if why else how
        self._crashed.append(now)
        if now - self.begun > _HEALTHY_AFTER_S:
            self.backoff_s = FIRST_BACKOFF_S
        pause_s = self.backoff_s
        self.not_before = now + pause_s
        self.backoff_s = min(pause_s * 2, LONGEST_BACKOFF_S)
        return pause_s

    @property
    def crashes(self) -> int:
        """How often its processes have died within the last ten minutes."""
        while self._crashed and time.monotonic() - self._crashed[0] > _REMEMBERED_S:
            self._crashed.popleft()
        return len(self._crashed)

    @property
    def is_working(self) -> bool:
        """Whether its process has come through its start."""
        return self.pid is not None and self.slot.snapshot().state in _WORKING

    @property
    def ready(self) -> bool:
        """Whether it works, or will as soon as the one before it has ended."""
        return self.is_working or (self.pid is not None and self.slot.snapshot().state is State.READY)

    def successor(self, slot: Slot) -> WorkerProcess:
        """Return a successor with the same index, which remembers how those before it died."""
        return WorkerProcess(self.index, slot, restarts=self.restarts, crash=self.crash, _crashed=self._crashed)

    def silent_s(self) -> float:
        """Return the seconds since its process gave a sign of life, unless it waits for something on purpose."""
        last = self.slot.snapshot()
        return 0.0 if self.pid is None or last.state is State.WAITING else time.monotonic() - last.alive


def _become(work: Callable[[], int], signals: Iterable[signal.Signals]) -> None:
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        for number in signals:
            ignored = number not in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)
            signal.signal(number, signal.SIG_IGN if ignored else signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)
        code = work()
    finally:
        # Never back into the parent's stack: its exit handlers are not this process's.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
