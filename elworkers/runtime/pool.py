"""A job comes in; a parent that keeps its workers alive, and an exit code when it ends, go out.

The parent forks before any client exists, opens none itself, and does nothing in its signal handlers but note them. It
holds the sockets that its workers read from, so that what comes while none of them runs waits there.

=========  ==================================================================
signal     does
=========  ==================================================================
TERM, INT  workers flush, commit and end, within the stop timeout
HUP        workers are replaced one after another
TTIN TTOU  one worker more, one less
USR1       the state of each worker is logged
=========  ==================================================================
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from types import FrameType

import structlog

from elworkers.errors import EX_CONFIG, EX_TEMPFAIL, RetryableError
from elworkers.runtime import log as logs
from elworkers.runtime import state, worker
from elworkers.runtime.board import MOST_WORKERS, SharedBoard
from elworkers.runtime.listening import Listening, ShutOut
from elworkers.runtime.member import Member
from elworkers.runtime.members import Members, shut_out
from elworkers.runtime.process import die_with_parent, title
from elworkers.runtime.worker import Job

_LOOK_EVERY_S = 0.5
_DUMP_S = 1.0
_SIGNALS = (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGCHLD,
    signal.SIGHUP,
    signal.SIGTTIN,
    signal.SIGTTOU,
    signal.SIGUSR1,
)

log = structlog.get_logger(__name__)


class Pool:
    """The parent of a job's workers."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._members = Members(SharedBoard())
        self._listening = Listening(job.addresses)
        self._shut_out = ShutOut()
        self._to_replace: list[int] = []
        self._replace_since = 0.0
        self._ends_with = 0
        self._wanted = job.workers
        self._noted: list[int] = []
        self._pipe = os.pipe()
        self._exit_code: int | None = None
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
        while not (self._exit_code is not None and not self._members.alive()):
            self._act_on_signals()
            self._reap()
            self._open()
            self._keep_wanted()
            self._replace_next()
            self._watch()
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
            elif number == signal.SIGHUP:
                self._to_replace, self._replace_since = list(range(self._wanted)), time.monotonic()
                log.info("replacing workers one after another", workers=len(self._to_replace))
            elif number in (signal.SIGTTIN, signal.SIGTTOU):
                self._scale(+1 if number == signal.SIGTTIN else -1)
            elif number == signal.SIGUSR1:
                self._tell()

    def _stop(self, exit_code: int) -> None:
        if self._exit_code is None:
            self._exit_code = exit_code
            log.info("stopping", workers=len(self._members.alive()), within_s=self._job.stop_timeout_s)
        for member in self._members.alive():
            member.ask_to_end(self._job.stop_timeout_s)

    def _scale(self, by: int) -> None:
        if not self._job.scalable:
            log.warning("not scaled: the work is shared out by --workers; change that in the instance file")
            return
        self._wanted = min(max(1, self._wanted + by), MOST_WORKERS - 1)
        log.info("scaled", workers=self._wanted)

    def _tell(self) -> None:
        now = time.monotonic()
        for member, seen in zip(self._members, self._members.seen(), strict=True):
            ages = {"alive": round(now - seen.alive, 1), "since": round(now - member.begun, 1)}
            if seen.reason:
                ages["reason_since"] = round(now - seen.reason_since, 1)
            log.info("worker state", **seen._asdict() | ages)
            member.send(signal.SIGUSR1)

    def _reap(self) -> None:
        for member in self._members.alive():
            pid = member.pid
            code = member.reap()
            if code is not None:
                self._log_stacks(member, pid, member.stacks.take())
                self._ended(member, pid, code)

    @staticmethod
    def _log_stacks(member: Member, pid: int | None, text: str) -> None:
        if text:
            log.error("stacks of a worker", worker_index=member.index, pid=pid, stacks=text)

    def _ended(self, member: Member, pid: int | None, code: int) -> None:
        if self._exit_code is not None or member.leaving:
            return
        if member is self._members.successor and code in (0, EX_CONFIG, EX_TEMPFAIL):
            log.error("workers not replaced; those of before go on", reason=member.slot.told().reason, exit_code=code)
            self._members.dismiss()
            self._to_replace = []
        elif code == EX_CONFIG:
            self._stop(EX_CONFIG)
        elif code in (0, EX_TEMPFAIL):
            member.leaving = True
            self._ends_with = max(self._ends_with, code)
            if self._members.all_leaving():
                self._stop(self._ends_with)
        else:
            how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
            log.error("worker died", worker_index=member.index, pid=pid, how=how, again_in_s=member.died(how))

    def _open(self) -> None:
        if self._listening.complete or self._exit_code is not None or not self._shut_out.tries():
            return
        try:
            self._listening.open()
        except RetryableError as error:
            self._shut_out.failed(error)
        else:
            self._shut_out.worked()

    def _keep_wanted(self) -> None:
        if self._exit_code is not None:
            return
        for index in range(self._wanted if self._listening.complete else 0):
            member = self._members.place(index)
            if member.pid is None and not member.leaving and time.monotonic() >= member.not_before:
                self._start(member)
        for member in self._members.beyond(self._wanted):
            if member.pid is None:
                self._members.remove(member)
            elif not member.leaving:
                member.ask_to_end(self._job.stop_timeout_s)

    def _start(self, member: Member, after: int | None = None) -> None:
        job, parent, slot, stacks = self._job, self._parent, member.slot, member.stacks.file
        who = worker.Who(job.role, job.instance, member.index, self._listening, after)

        def work() -> int:
            for end in self._pipe:
                os.close(end)
            return worker.main(job, who, slot, parent, stacks)

        member.start(work, _SIGNALS)

    def _replace_next(self) -> None:
        """One step of a replacement; one more works meanwhile where that is possible, so that none is missed."""
        if self._exit_code is not None or not self._to_replace or not self._listening.complete:
            return
        if self._members.successor is not None:
            self._succeed(self._members.successor)
            return
        member = self._members.get(self._to_replace[0])
        if member is None:
            self._to_replace.pop(0)
        elif member.begun >= self._replace_since:
            if self._job.side_by_side or member.at_work:
                self._to_replace.pop(0)
        elif member.pid is None:
            self._start(member)
        elif self._job.side_by_side:
            self._start(self._members.name_successor(member), after=member.pid)
        elif not member.leaving:
            member.ask_to_end(self._job.stop_timeout_s)
        if not self._to_replace:
            log.info("workers replaced")

    def _succeed(self, successor: Member) -> None:
        member = self._members.get(successor.index)
        if member is None or member.pid is None:
            self._members.promote()
        elif successor.pid is None:
            if time.monotonic() >= successor.not_before:
                self._start(successor, after=member.pid)
        elif successor.ready and not member.leaving:
            member.ask_to_end(self._job.stop_timeout_s)

    def _watch(self) -> None:
        for member in self._members.alive():
            self._log_stacks(member, member.pid, member.stacks.settled())
            if member.kill_at:
                if time.monotonic() > member.kill_at:
                    log.error("worker killed: it did not stop in time", worker_index=member.index, pid=member.pid)
                    member.send(signal.SIGKILL)
            elif member.silent_s() > self._job.worker_timeout_s:
                member.hangs = f"no sign of life for {round(member.silent_s())} s"
                log.error(
                    "worker makes no progress; its stacks follow, then it is replaced",
                    worker_index=member.index,
                    pid=member.pid,
                    seconds=round(member.silent_s()),
                )
                member.send(signal.SIGUSR2)
                member.kill_at = time.monotonic() + _DUMP_S

    def _seen(self) -> list[state.Seen]:
        if self._shut_out.reason and not self._members.alive():
            return shut_out(self._wanted, self._shut_out.reason, self._shut_out.since)
        return self._members.seen()
