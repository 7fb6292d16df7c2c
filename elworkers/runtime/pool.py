"""A job comes in; a parent that keeps its workers alive, and an exit code when it ends, go out.

The parent forks before any client exists, opens none itself, and does nothing in its signal handlers but note them.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import time
from dataclasses import dataclass
from types import FrameType

import structlog

from elworkers.errors import EX_CONFIG
from elworkers.runtime import log as logs
from elworkers.runtime import state, worker
from elworkers.runtime.board import MOST_WORKERS, SharedBoard
from elworkers.runtime.loop import State
from elworkers.runtime.process import die_with_parent, title
from elworkers.runtime.worker import Job

_FIRST_BACKOFF_S, _LONGEST_BACKOFF_S = 0.5, 30.0
_HEALTHY_AFTER_S = 60.0
_LOOK_EVERY_S = 0.5
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGTTIN, signal.SIGTTOU)

log = structlog.get_logger(__name__)


@dataclass
class Member:
    """One worker as its parent sees it.

    Attributes:
        index: counts from 0.
        pid: None while no process runs.
        restarts: how often it was started again.
        since: start of the present process in seconds since the epoch.
        not_before: monotonic time before which it is not started again.
        leaving: asked to stop for good.
    """

    index: int
    pid: int | None = None
    restarts: int = -1
    since: float = 0.0
    not_before: float = 0.0
    backoff_s: float = _FIRST_BACKOFF_S
    leaving: bool = False


class Pool:
    """The parent of a job's workers."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._members: dict[int, Member] = {}
        self._wanted = job.workers
        self._board = SharedBoard()
        self._noted: list[int] = []
        self._pipe = os.pipe()
        self._exit_code: int | None = None
        self._kill_at = 0.0
        self._parent = os.getpid()
        self._state = state.StateFile(job.state_file, job.role, job.instance)

    def run(self) -> int:
        """Keep the workers alive until asked to stop.

        Returns:
            0 after a stop or when all workers are done, `EX_CONFIG` when the configuration cannot work.
        """
        job = self._job
        title(job.role, job.instance, "parent")
        logs.configure(job.log_level, role=job.role, instance=job.instance, worker="parent")
        self._listen()
        # A supervisord that was killed cannot stop its children; a new one would start doubles beside them.
        if "SUPERVISOR_ENABLED" in os.environ and not die_with_parent(signal.SIGTERM, os.getppid()):
            return 1
        log.info("pool started", workers=self._wanted, pid=os.getpid())
        while not (self._exit_code is not None and not self._alive()):
            self._act_on_signals()
            self._reap()
            self._keep_wanted()
            self._state.write(self._wanted, self._seen())
            self._wait()
        self._state.write(self._wanted, self._seen())
        log.info("pool ended", exit_code=self._exit_code)
        return self._exit_code

    def _listen(self) -> None:
        for end in self._pipe:
            os.set_blocking(end, False)
        signal.set_wakeup_fd(self._pipe[1], warn_on_full_buffer=False)
        for number in _SIGNALS:
            signal.signal(number, self._note)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self._noted.append(number)

    def _wait(self) -> None:
        select.select([self._pipe[0]], [], [], _LOOK_EVERY_S)
        with contextlib.suppress(BlockingIOError):
            while os.read(self._pipe[0], 512):
                pass

    def _act_on_signals(self) -> None:
        while self._noted:
            number = self._noted.pop(0)
            if number in (signal.SIGTERM, signal.SIGINT):
                self._stop(0)
            elif number == signal.SIGTTIN:
                self._scale(+1)
            elif number == signal.SIGTTOU:
                self._scale(-1)
        if self._kill_at and time.monotonic() > self._kill_at:
            for member in self._alive():
                log.error("worker killed: it did not stop in time", worker_index=member.index, pid=member.pid)
                self._signal(member, signal.SIGKILL)
            self._kill_at = 0.0

    def _stop(self, exit_code: int) -> None:
        if self._exit_code is None:
            self._exit_code = exit_code
            self._kill_at = time.monotonic() + self._job.stop_timeout_s
            log.info("stopping", workers=len(self._alive()), within_s=self._job.stop_timeout_s)
        for member in self._alive():
            self._signal(member, signal.SIGTERM)

    def _scale(self, by: int) -> None:
        self._wanted = min(max(1, self._wanted + by), MOST_WORKERS)
        log.info("scaled", workers=self._wanted)

    def _alive(self) -> list[Member]:
        return [member for member in self._members.values() if member.pid is not None]

    def _signal(self, member: Member, number: signal.Signals) -> None:
        if member.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(member.pid, number)

    def _reap(self) -> None:
        for member in self._alive():
            assert member.pid is not None  # noqa: S101 - what _alive means
            pid, status = os.waitpid(member.pid, os.WNOHANG)
            if pid:
                self._ended(member, os.waitstatus_to_exitcode(status))

    def _ended(self, member: Member, code: int) -> None:
        ran_s = time.time() - member.since
        member.pid = None
        if self._exit_code is not None or member.leaving:
            return
        if code == EX_CONFIG:
            self._stop(EX_CONFIG)
        elif code == 0:
            member.leaving = True
            if all(other.leaving for other in self._members.values()):
                self._stop(0)
        else:
            if ran_s > _HEALTHY_AFTER_S:
                member.backoff_s = _FIRST_BACKOFF_S
            member.not_before = time.monotonic() + member.backoff_s
            how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
            log.error("worker died", worker_index=member.index, how=how, again_in_s=member.backoff_s)
            member.backoff_s = min(member.backoff_s * 2, _LONGEST_BACKOFF_S)

    def _keep_wanted(self) -> None:
        if self._exit_code is not None:
            return
        for index in range(self._wanted):
            member = self._members.setdefault(index, Member(index))
            if member.pid is None and not member.leaving and time.monotonic() >= member.not_before:
                self._fork(member)
        for index in [index for index in self._members if index >= self._wanted]:
            member = self._members[index]
            if member.pid is None:
                del self._members[index]
            elif not member.leaving:
                member.leaving = True
                self._signal(member, signal.SIGTERM)

    def _fork(self, member: Member) -> None:
        member.since = time.time()
        member.restarts += 1
        slot = self._board.slot(member.index)
        slot.clear()
        # What is sent to the new process before it has its own handlers must not go to the parent's, which only note.
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        member.pid = os.fork()
        if member.pid == 0:
            self._become_worker(member.index)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)

    def _become_worker(self, index: int) -> None:
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            for number in _SIGNALS:
                signal.signal(number, signal.SIG_IGN if number in (signal.SIGTTIN, signal.SIGTTOU) else signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            for end in self._pipe:
                os.close(end)
            code = worker.main(self._job, index, self._board.slot(index), self._parent)
        finally:
            # Never back into the parent's stack: its exit handlers are not this process's.
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def _seen(self) -> list[state.Seen]:
        seen = []
        for member in self._members.values():
            doing, alive, records = self._board.slot(member.index).look()
            shown = State.STOPPED if member.pid is None else doing
            seen.append(
                state.Seen(member.index, member.pid, shown.name.lower(), member.restarts, member.since, alive, records)
            )
        return seen
