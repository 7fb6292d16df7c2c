# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Runs a pool's parent: it starts workers, keeps them alive, and ends them.

The parent forks before any client exists, opens none itself, and does nothing in its signal handlers but note them. It
holds the sockets that its workers read from, so that what comes while none of them runs waits there.

=========  ==================================================================
signal     does
=========  ==================================================================
TERM, INT  workers flush, commit and end, within the stop timeout
HUP        workers are replaced one after another
TTIN TTOU  one worker more, one less
USR1       the state of each worker is logged
USR2       the parent executes itself anew, and replaces the workers
=========  ==================================================================
"""

from __future__ import annotations

import os
import signal
import time
from dataclasses import replace

import structlog

from elworkers import __version__
from elworkers.core import log as logs
from elworkers.core.errors import EX_CONFIG, EX_DATAERR, EX_TEMPFAIL, RetryableError
from elworkers.core.operating_system import die_with_parent, title
from elworkers.workers import state_file, worker
from elworkers.workers.handover import Configuration, HandedOver, worker_fields
from elworkers.workers.listening import BindRetry, ListeningSockets
from elworkers.workers.renewal import Renewal, RenewalError
from elworkers.workers.replacement import Replacement
from elworkers.workers.scoreboard import LAYOUT, MOST_WORKERS, Scoreboard
from elworkers.workers.signals import SignalQueue
from elworkers.workers.watchdog import log_stacks, watch
from elworkers.workers.worker import PoolConfig
from elworkers.workers.worker_process import WorkerProcess
from elworkers.workers.worker_processes import WorkerProcesses, not_started

_POLL_INTERVAL_S = 0.5
_SIGNALS = (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGCHLD,
    signal.SIGHUP,
    signal.SIGTTIN,
    signal.SIGTTOU,
    signal.SIGUSR1,
    signal.SIGUSR2,
)

log = structlog.get_logger(__name__)


class Pool:
    """The parent of a pool's workers.

    Args:
        pool_config: what they do.
        renewal: how this parent can execute itself anew, and what it has of the image before; None: it cannot.
    """

    def __init__(self, pool_config: PoolConfig, renewal: Renewal | None = None) -> None:
        self._config = pool_config
        self._renewal = renewal
        handed = renewal.handed if renewal else None
        scoreboard, same = handed.shared_scoreboard() if handed else (Scoreboard(), True)
        self._worker_processes = WorkerProcesses(
            scoreboard, handed.worker_processes(scoreboard, same) if handed else ()
        )
        self._listening = ListeningSockets(pool_config.addresses, handed.opened() if handed else ())
        self._bind_retry = BindRetry()
        self._replacement = Replacement(
            self._worker_processes,
            side_by_side=pool_config.side_by_side,
            stop_timeout_s=pool_config.stop_timeout_s,
            start=self._start,
        )
        self._ends_with = 0
        self.all_done = False
        """Whether the workers have ended of themselves, because there is nothing more to do."""
        # What TTIN and TTOU have made of it stays, unless the file says something else now.
        self._wanted = handed.wanted if handed and handed.configured == pool_config.workers else pool_config.workers
        self._signals = SignalQueue(_SIGNALS)
        self._exit_code: int | None = None
        self._parent = os.getpid()
        self._state = state_file.StateFile(pool_config.state_file, pool_config.role, pool_config.instance)
        self._image = state_file.ParentState()
        self._renewal_requested = False
        self._next: Configuration | None = None

    def rehearse(self) -> None:
        """Try in a child whatever else the next image does at once.

        Raises:
            RetryableError: an address cannot be had.
        """
        self._listening.open()

    def run(self) -> int:
        """Keep the workers alive until asked to stop.

        Returns:
            0 after a stop or when all workers are done; `EX_DATAERR` or `EX_TEMPFAIL` when one of them is done, but not
            with everything; `EX_CONFIG` when the configuration cannot work.
        """
        pool_config = self._config
        title(pool_config.role, pool_config.instance, "parent")
        logs.configure(pool_config.log_level, role=pool_config.role, instance=pool_config.instance, worker="parent")
        self._signals.listen()
        # A supervisord that was killed cannot stop its children; a new one would start doubles beside them.
        if "SUPERVISOR_ENABLED" in os.environ and not die_with_parent(signal.SIGTERM, os.getppid()):
            return 1
        self._begin()
        while not (self._exit_code is not None and not self._worker_processes.alive()):
            self._act_on_signals()
            self._reap()
            self._bind()
            self._keep_wanted()
            self._replace_next()
            watch(self._worker_processes.alive(), self._config.worker_timeout_s)
            self._renew()
            self._write_state()
            self._wait()
        if self._renewal is not None:
            self._renewal.cancel()
        self._write_state()
        log.info("pool ended", code="pool_ended", exit_code=self._exit_code)
        return self._exit_code

    def _begin(self) -> None:
        if self._renewal is not None:
            self._image = self._image._replace(renewals=self._renewal.number, read=self._renewal.configuration.public)
        if self._renewal is None or self._renewal.handed is None:
            log.info("pool started", code="pool_started", workers=self._wanted, pid=os.getpid(), version=__version__)
            for name, why in self._config.passed:
                log.info("passed over: it means nothing here", code="option_ignored", what=name, reason=why)
            for old, new in self._config.deprecated:
                log.warning(
                    "an option is deprecated: it has another name now", code="option_deprecated", option=old, use=new
                )
            return
        of_before = len(self._worker_processes.alive())
        log.info(
            "pool renewed",
            code="pool_renewed",
            workers=self._wanted,
            pid=os.getpid(),
            version=__version__,
            of_before=of_before,
        )
        self._replacement.begin(range(self._wanted))

    def _wait(self) -> None:
        self._signals.wait(_POLL_INTERVAL_S)

    def _act_on_signals(self) -> None:
        for number in self._signals.take():
            if number in (signal.SIGTERM, signal.SIGINT):
                self._stop(0)
            elif number == signal.SIGHUP:
                self._replacement.begin(range(self._wanted))
            elif number in (signal.SIGTTIN, signal.SIGTTOU):
                self._scale(+1 if number == signal.SIGTTIN else -1)
            elif number == signal.SIGUSR1:
                self._log_states()
            elif number == signal.SIGUSR2:
                self._renewal_requested = self._renewal is not None

    def _stop(self, exit_code: int) -> None:
        if self._exit_code is None:
            self._exit_code = exit_code
            log.info(
                "stopping",
                code="pool_stopping",
                workers=len(self._worker_processes.alive()),
                within_s=self._config.stop_timeout_s,
            )
        for worker_process in self._worker_processes.alive():
            worker_process.request_stop(self._config.stop_timeout_s)

    def _scale(self, by: int) -> None:
        if not self._config.scalable:
            log.warning(
                "not scaled: the work is shared out by --workers; change that in the instance file",
                code="pool_not_scaled",
            )
            return
        self._wanted = min(max(1, self._wanted + by), MOST_WORKERS - 1)
        log.info("scaled", code="pool_scaled", workers=self._wanted)

    def _log_states(self) -> None:
        now = time.monotonic()
        for worker_process, state in zip(self._worker_processes, self._worker_processes.states(), strict=True):
            ages = {"alive": round(now - state.alive, 1), "since": round(now - worker_process.begun, 1)}
            if state.reason:
                ages["reason_since"] = round(now - state.reason_since, 1)
            log.info("worker state", code="worker_state", **state._asdict() | ages)
            worker_process.send(signal.SIGUSR1)

    def _reap(self) -> None:
        for worker_process in self._worker_processes.alive():
            pid = worker_process.pid
            code = worker_process.reap()
            if code is not None:
                log_stacks(worker_process, pid, worker_process.stacks.take())
                self._ended(worker_process, pid, code)

    def _ended(self, worker_process: WorkerProcess, pid: int | None, code: int) -> None:
        if self._exit_code is not None or worker_process.leaving:
            return
        if self._replacement.is_useless(worker_process, code):
            self._note_failure(self._replacement.give_up(worker_process, code))
            # The workers have read something else.
            self._image = self._image._replace(read={})
        elif code == EX_CONFIG:
            self._stop(EX_CONFIG)
        elif code in (0, EX_DATAERR, EX_TEMPFAIL):
            worker_process.leaving = True
            self._ends_with = max(self._ends_with, code)
            if self._worker_processes.all_leaving():
                self.all_done = True
                self._stop(self._ends_with)
        else:
            how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
            log.error(
                "worker died",
                code="worker_died",
                worker_index=worker_process.index,
                pid=pid,
                how=how,
                again_in_s=worker_process.died(how),
            )

    def _bind(self) -> None:
        if self._listening.complete or self._exit_code is not None or not self._bind_retry.tries():
            return
        try:
            self._listening.open()
        except RetryableError as error:
            self._bind_retry.failed(error)
        else:
            self._bind_retry.worked()

    def _keep_wanted(self) -> None:
        if self._exit_code is not None:
            return
        for index in range(self._wanted if self._listening.complete else 0):
            worker_process = self._worker_processes.get_or_create(index)
            if (
                worker_process.pid is None
                and not worker_process.leaving
                and time.monotonic() >= worker_process.not_before
            ):
                self._start(worker_process, None)
        for worker_process in self._worker_processes.from_index(self._wanted):
            if worker_process.pid is None:
                self._worker_processes.remove(worker_process)
            elif not worker_process.leaving:
                worker_process.request_stop(self._config.stop_timeout_s)

    def _start(self, worker_process: WorkerProcess, after: int | None) -> None:
        pool_config, parent, slot, stacks = self._config, self._parent, worker_process.slot, worker_process.stacks.file
        worker_id = worker.WorkerId(
            pool_config.role, pool_config.instance, worker_process.index, self._listening, after
        )

        def work() -> int:
            self._signals.close()
            return worker.main(pool_config, worker_id, slot, parent, stacks)

        worker_process.start(work, _SIGNALS)

    def _replace_next(self) -> None:
        if self._exit_code is None and self._listening.complete and self._replacement.step():
            self._listening.close_unwanted()
            if self._renewal is not None and not self._image.read:
                self._image = self._image._replace(read=self._renewal.configuration.public, refusal="")

    def _renew(self) -> None:
        """Do one step of the way to the next image."""
        renewal = self._renewal
        if renewal is None or self._exit_code is not None:
            return
        try:
            if self._renewal_requested:
                self._renewal_requested, self._next = False, None
                log.info("reading the configuration for another image", code="pool_renewal_started")
                renewal.start_check(self._handed(renewal))
            self._next = renewal.check_result() or self._next
            if self._next is not None:
                self._execute(renewal, self._next)
        except RenewalError as error:
            log.error("not renewed; everything goes on as before", code="pool_renewal_failed", reason=str(error))  # noqa: TRY400 - no bug to trace
            self._note_failure(str(error))

    def _note_failure(self, reason: str) -> None:
        self._next = None
        self._image = self._image._replace(refusals=self._image.refusals + 1, refusal=reason)

    def _execute(self, renewal: Renewal, read: Configuration) -> None:
        self._replacement.abandon()
        if self._worker_processes.successor is not None:
            # It takes its place first, or ends: the next image knows of one worker a place.
            return
        with self._signals.blocked():
            self._act_on_signals()
            if self._exit_code is None and not self._renewal_requested:
                renewal.execute(replace(self._handed(renewal), renewals=renewal.number + 1, configuration=read))

    def _handed(self, renewal: Renewal) -> HandedOver:
        return HandedOver(
            pid=self._parent,
            renewals=renewal.number,
            configured=self._config.workers,
            wanted=self._wanted,
            scoreboard=(self._worker_processes.scoreboard, LAYOUT),
            sockets=[one.fileno() for one in self._listening.all()],
            workers=[worker_fields(worker_process) for worker_process in self._worker_processes],
        )

    def _write_state(self) -> None:
        image = self._image._replace(replacing=self._replacement.under_way)
        self._state.write(self._wanted, self._states(), image)

    def _states(self) -> list[state_file.WorkerState]:
        if not self._bind_retry.reason:
            return self._worker_processes.states()
        waiting = not_started(self._wanted, self._bind_retry.reason, self._bind_retry.since)
        return waiting if not self._worker_processes.alive() else [*self._worker_processes.states(), *waiting[:1]]
