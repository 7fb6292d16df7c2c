# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Schedules an importer's runs: a single one, or one after another."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

from elworkers.connectors.kafka.driver import Reader
from elworkers.core.backoff import Backoff
from elworkers.core.contracts import Metrics
from elworkers.core.errors import RetryableError, UnfinishedError
from elworkers.core.progress import Tell, progress
from elworkers.core.stop import Stop
from elworkers.core.worker_state import State, StateReporter
from elworkers.importer.importer import Importer

_LONGEST_WAIT_S = 1.0


class Schedule(NamedTuple):
    """Seconds from the beginning of one run to that of the next, and the longest that a run may take."""

    every_s: float
    longest_s: float


class Scheduler:
    """The runs of one worker.

    Args:
        make_importer, make_reader: called when a run needs them; a reader is made anew after each failure.
        schedule: of the runs.
        stop: asks for the end.
        metrics: counts `restarts`.
        reporter: shows what the worker is doing.
    """

    def __init__(
        self,
        make_importer: Callable[[], Importer],
        make_reader: Callable[[], Reader],
        schedule: Schedule,
        stop: Stop,
        metrics: Metrics,
        reporter: StateReporter,
    ) -> None:
        self._make_importer = make_importer
        self._make_reader = make_reader
        self._schedule = schedule
        self._stop = stop
        self._metrics = metrics
        self._reporter = reporter
        self._backoff = Backoff(reporter.trouble)
        self._importer: Importer | None = None
        self._reader: Reader | None = None

    def for_ever(self) -> None:
        """Run at regular intervals until asked to stop.

        Raises:
            ConfigurationError: a driver or format cannot be had.
        """
        while not self._stop.requested:
            began = time.monotonic()
            try:
                self._run(began + self._schedule.longest_s, lambda _done, _total: None)
                self._wait(began + self._schedule.every_s - time.monotonic(), State.RUNNING)
            except RetryableError as error:
                self._wait(self._failed(error), State.WAITING)

    def once(self, title: str | None) -> None:
        """Do a single run, tried again while there is time.

        Args:
            title: of a progress bar, where somebody sits at a terminal; None: no bar.

        Raises:
            ConfigurationError: a driver or format cannot be had.
            UnfinishedError: not everything is imported.
        """
        deadline = time.monotonic() + self._schedule.longest_s
        with progress(title) as tell:
            while True:
                try:
                    left = self._run(deadline, tell, everything=True)
                except RetryableError as error:
                    self._wait(min(self._failed(error), deadline - time.monotonic()), State.WAITING)
                    if time.monotonic() >= deadline or self._stop.requested:
                        raise UnfinishedError(str(error)) from error
                else:
                    break
        if left:
            raise UnfinishedError(f"{left} messages are not imported yet; the next run goes on there")

    def _run(self, deadline: float, tell: Tell, everything: bool = False) -> int:
        before = 0

        def keep_going(done: int, total: int) -> bool:
            nonlocal before
            tell(done, total)
            self._reporter.read(done - before)
            before = done
            self._reporter.report(State.RUNNING)
            return time.monotonic() < deadline and not self._stop.requested

        self._importer = self._importer or self._make_importer()
        self._reader = self._reader or self._make_reader()
        left = self._importer.run(self._reader, keep_going, everything, stopped=lambda: self._stop.requested)
        self._backoff.worked()
        return left

    def _failed(self, error: RetryableError) -> float:
        self._release()
        self._metrics.count("restarts")
        return self._backoff.failed(str(error))

    def _release(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None
        if self._importer is not None:
            self._importer.invalidate()

    def _wait(self, pause_s: float, state: State) -> None:
        until = time.monotonic() + pause_s
        self._reporter.report(state)
        while (left := until - time.monotonic()) > 0 and not self._stop.wait(min(left, _LONGEST_WAIT_S)):
            self._reporter.report(state)

    def close(self) -> None:
        """Drop what was not published, and close the importer."""
        self._release()
        if self._importer is not None:
            self._importer.close()
