# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Runs one worker, right after the fork, and returns its exit code."""

from __future__ import annotations

import faulthandler
import os
import signal
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import structlog

from elworkers.core import log as logs
from elworkers.core.contracts import Metrics
from elworkers.core.errors import (
    EX_CONFIG,
    EX_DATAERR,
    EX_TEMPFAIL,
    ConfigurationError,
    DataError,
    UnfinishedError,
)
from elworkers.core.metrics import Counters
from elworkers.core.operating_system import collect_rarely, die_with_parent, title, use_one_arena
from elworkers.core.passwords import without_passwords
from elworkers.core.sockets import Address
from elworkers.core.stop import Stop
from elworkers.core.worker_state import State, StateReporter
from elworkers.workers.listening import ListeningSockets
from elworkers.workers.scoreboard import CRASHED, Remarks, Slot

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class WorkerId:
    """Which worker this is.

    Attributes:
        role, instance, worker: its names; workers count from 0.
        listening: what its parent listens on for it.
        after: pid of the worker that it succeeds, which still works; None if there is none.
    """

    role: str
    instance: str
    worker: int
    listening: ListeningSockets = field(default_factory=ListeningSockets)
    after: int | None = None


Run = Callable[[WorkerId, Stop, Metrics, StateReporter], None]
"""What a worker does until it is asked to stop; raises ConfigurationError where it never can."""


@dataclass(frozen=True)
class PoolConfig:
    """What a pool runs.

    Attributes:
        role, instance: name it in titles, logs and state.
        run: the work, called in each worker after the fork.
        workers: how many.
        stop_timeout_s: how long workers may take to flush and commit when asked to stop.
        worker_timeout_s: how long a worker may go without a sign of life before it is replaced.
        scalable: whether one worker more or less changes only how fast the work is done.
        side_by_side: whether a worker's successor can be started before it has ended.
        addresses: what its inputs listen on.
        state_file: where the parent writes what it knows of its workers; None: nowhere.
        log_level: see `log.configure`.
        passed: names in its configuration that mean nothing here, and why.
        deprecated: names in its configuration that have another one now, and that one.
    """

    role: str
    instance: str
    run: Run
    workers: int = 1
    stop_timeout_s: float = 30.0
    worker_timeout_s: float = 300.0
    scalable: bool = True
    side_by_side: bool = False
    addresses: tuple[Address, ...] = ()
    state_file: Path | None = None
    log_level: str = "info"
    passed: tuple[tuple[str, str], ...] = ()
    deprecated: tuple[tuple[str, str], ...] = ()


class _Reporter:
    """A worker's slot; logs its counters when it was asked to. Implements `worker_state.StateReporter`."""

    def __init__(self, slot: Slot, metrics: Counters) -> None:
        self._slot = slot
        self._metrics = metrics
        self._asked = False
        self._reason, self._since = "", 0.0
        self._changes = 0

    def ask(self, _number: int, _frame: FrameType | None) -> None:
        """Have the counters logged soon: a handler may not log, because it may have interrupted a log line."""
        self._asked = True

    def report(self, state: State) -> None:
        """See `worker_state.StateReporter.report`."""
        self._slot.report(state)
        if self._changes != self._metrics.changes:
            self._write_remarks()
        if self._asked:
            self._asked = False
            log.info("worker counters", code="worker_counters", pid=os.getpid(), **self._metrics.summary())

    def read(self, records: int) -> None:
        """See `worker_state.StateReporter.read`."""
        self._slot.read(records)

    def trouble(self, reason: str) -> None:
        """See `worker_state.StateReporter.trouble`."""
        if reason == self._reason:
            return
        if not self._reason:
            self._since = time.monotonic()
        self._reason = reason
        self._write_remarks()

    def _write_remarks(self) -> None:
        self._changes = self._metrics.changes
        aside = {what: without_passwords(why) for what, why in list(self._metrics.aside.items())}
        since = dict(self._metrics.aside_since)
        reason, remarks = without_passwords(self._reason), dict(self._metrics.remarks)
        self._slot.set_remarks(Remarks(reason, self._since, aside, aside_since=since, remarks=remarks))


def main(pool_config: PoolConfig, worker_id: WorkerId, slot: Slot, parent: int, stacks: int) -> int:
    """Run one worker to its end.

    Args:
        pool_config, worker_id, slot: what it is to do, which it is, and where it says what it does.
        parent: its parent's pid.
        stacks: descriptor that its stacks are written to, on SIGUSR2 and on a fatal signal.

    Returns:
        0 when it was done or asked to stop, `EX_DATAERR` when a record of its input was rejected, `EX_TEMPFAIL` when it
        has ended with work left, `EX_CONFIG` when the configuration cannot work, 1 after a crash.
    """
    started = time.monotonic()
    title(pool_config.role, pool_config.instance, f"worker {worker_id.worker}")
    logs.configure(pool_config.log_level, role=pool_config.role, instance=pool_config.instance, worker=worker_id.worker)
    # SIGKILL, not SIGTERM: only the kernel can end a worker that hangs in C code once its parent is gone. Nothing is
    # lost by it, because only what is flushed was committed.
    if not die_with_parent(signal.SIGKILL, parent):
        return 1
    # An address that is no longer wanted is to be closed when the last one who listens there has ended.
    worker_id.listening.close_unwanted()
    use_one_arena()
    collect_rarely()
    faulthandler.register(signal.SIGUSR2, file=stacks, all_threads=True)
    faulthandler.enable(file=stacks)
    stop = Stop()
    stop.listen(signal.SIGTERM, signal.SIGINT)
    metrics = Counters()
    reporter = _Reporter(slot, metrics)
    signal.signal(signal.SIGUSR1, reporter.ask)
    code = 0
    try:
        pool_config.run(worker_id, stop, metrics, reporter)
    except ConfigurationError as error:
        reporter.trouble(str(error))
        log.error("configuration cannot work", code="configuration_invalid", reason=str(error), exit_code=EX_CONFIG)  # noqa: TRY400 - no bug to trace
        return EX_CONFIG
    except UnfinishedError as error:
        log.warning("not everything is done", code="run_unfinished", reason=str(error), exit_code=EX_TEMPFAIL)
        return EX_TEMPFAIL
    except DataError as error:
        log.error(  # noqa: TRY400 - no bug to trace
            "the input has ended, but not all of it is stored",
            code="input_ended_incomplete",
            reason=str(error),
            exit_code=EX_DATAERR,
        )
        code = EX_DATAERR
    except BaseException as error:
        # Also an `EventTimeout` that got this far is to be seen.
        # Not its `str`, which may raise as well.
        reporter.trouble(CRASHED + "".join(traceback.format_exception_only(type(error), error)).strip())
        log.exception("worker crashed; what was not flushed was not committed", code="worker_crashed", pid=os.getpid())
        return 1
    log.info("worker done", code="worker_done", seconds=round(time.monotonic() - started, 1), **metrics.summary())
    return code
