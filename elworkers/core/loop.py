# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Runs a pipeline: moves its records from source to sinks, and commits offsets behind them.

The only place that has sinks flushed and offsets committed, in this order:

1. poll: up to a batch of records.
2. stages: what they give goes on.
3. write: each output takes what it accepts.
4. flush: once the batch is full or old, or in a poll whose source asks; returns only when all of it is stored.
5. rejected: what a store will never take goes to EventError, which is flushed as well.
6. commit_transaction: a sink that keeps positions itself commits them and what it stored in one transaction. Where the
   pipeline has a transaction of its own, that commits everything that was flushed and the source's offsets.
7. commit: the offsets of exactly the records that steps 1 to 6 are done with, unless step 6 has committed them; the
   source then only hears that they are.

Where that fails half-way, the records are read again: outputs that have acknowledged them do not get them again, and
nothing is counted twice.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from elworkers.core.backoff import Backoff
from elworkers.core.batch_metrics import BatchMetrics
from elworkers.core.capabilities import Breakable, FlushCaller
from elworkers.core.contracts import Assignment, Metrics, Record, Source
from elworkers.core.deliveries import DeliveryLog
from elworkers.core.errors import RetryableError
from elworkers.core.offset_ranges import offset_ranges
from elworkers.core.outputs import Outputs
from elworkers.core.pipeline import CarryOver, Pipeline
from elworkers.core.repeats import Repeats
from elworkers.core.stop import Stop
from elworkers.core.worker_state import State, StateReporter

_LONGEST_POLL_S = 0.5
_LONGEST_DRAIN_S = 2.0
_DRAIN_POLL_S = 0.05
_QUIET_S = 10.0
_SOON_S = 1.0
_FIRST_S = 5.0


Build = Callable[[CarryOver], Pipeline]
"""Makes a pipeline, around the source that is carried over where there is one."""


class Ending(NamedTuple):
    """How an input has ended.

    Attributes:
        damage: see `capabilities.Breakable`.
        dead_letter_name: where EventErrors of rejected records are; empty where nothing took them.
    """

    damage: str
    dead_letter_name: str


def run(
    build: Build, stop: Stop, metrics: Metrics, reporter: StateReporter, repeats: Repeats | None = None
) -> Ending | None:
    """Build a pipeline and drive it until it ends or is asked to stop; build it anew when something was away.

    A source that cannot be asked again (`replayable` is False) stays open meanwhile, and what was read from it but not
    flushed is written again. Outputs that have a record already do not get it again.

    Args:
        repeats: what an earlier process may have written; None: nothing is known of any.

    Returns:
        how its input has ended; None where it was asked to stop before that.

    Raises:
        ConfigurationError: it cannot be built as configured.
    """
    backoff = Backoff(reporter.trouble)
    counts = BatchMetrics(metrics)
    carry_over = CarryOver(DeliveryLog(repeats), counts)
    done = False
    ending: Ending | None = None
    while not (done or stop.requested):
        pipeline: Pipeline | None = None
        reporter.report(State.STARTING)
        try:
            pipeline = build(carry_over)
            ending = PipelineRunner(pipeline, stop, metrics, reporter, backoff, carry_over).until_done()
            done = True
        except RetryableError as error:
            metrics.count("restarts")
            comes_again = not (carry_over.staged or carry_over.raw)
            carry_over.delivered.repeats.failed(comes_again=comes_again)
            if comes_again:
                # And is counted then.
                counts.drop()
            pause = backoff.failed(str(error))
            reporter.report(State.WAITING)
        finally:
            if pipeline is not None:
                pipeline.close(carry_over.source)
            # Also one that was opened before something else could not be.
            carry_over.release_source()
        if not done:
            stop.wait(pause)
    carry_over.close()
    return ending


class PipelineRunner:
    """One pipeline on its way; ends with the first RetryableError."""

    def __init__(
        self,
        pipeline: Pipeline,
        stop: Stop,
        metrics: Metrics,
        reporter: StateReporter,
        backoff: Backoff,
        carry_over: CarryOver,
    ) -> None:
        self._pipeline = pipeline
        self._stop = stop
        self._metrics = metrics
        self._reporter = reporter
        self._backoff = backoff
        self._carry_over = carry_over
        self._counts = carry_over.counts or BatchMetrics(metrics)
        self._repeats = carry_over.delivered.repeats
        self._outputs = Outputs(pipeline, carry_over, metrics, self._counts)
        self._positions: dict[Assignment, int] = {}
        self._held = 0
        self._proven = False
        self._since = 0.0
        self._began = time.monotonic()
        self._failed_flush: RetryableError | None = None

    def until_done(self) -> Ending | None:
        """Move records until the input has ended, or until asked to stop; see `run`."""
        source = self._pipeline.source
        self._carry_over.source = None if source.replayable else source
        if isinstance(source, FlushCaller):
            source.flush_by(self._flush_in_poll)
        if not source.replayable:
            self._write_carried_over()
        while not (self._stop.requested or source.exhausted):
            self._step(self._wait_s())
        self._drain(source)
        self._flush()
        if not source.exhausted:
            return None
        return Ending(source.damage if isinstance(source, Breakable) else "", self._pipeline.dead_letter_name)

    def _write_carried_over(self) -> None:
        carry_over = self._carry_over
        staged, raw = carry_over.staged, carry_over.raw
        carry_over.staged, carry_over.raw = [], []
        if staged or raw:
            self._held, self._since = len(staged) + len(raw), time.monotonic()
            # Of a spool; without these it would keep, and after a restart read again, what is stored now.
            self._positions.update((origin, end) for origin, _, end in offset_ranges([*staged, *raw]))
            self._write(staged, raw)
            self._flush()

    def _drain(self, source: Source) -> None:
        # What waits in a socket's buffer would go with the process; a flood must not keep it from stopping.
        deadline = time.monotonic() + _LONGEST_DRAIN_S
        while not (source.replayable or source.exhausted) and time.monotonic() < deadline and self._step(_DRAIN_POLL_S):
            pass

    def _wait_s(self) -> float:
        if not self._held:
            return _LONGEST_POLL_S
        return min(_LONGEST_POLL_S, max(0.0, self._since + self._longest_s() - time.monotonic()))

    def _longest_s(self) -> float:
        # The first batch, also after a failure, shows whether everything is reachable; that must not take minutes.
        longest_s = self._pipeline.batch.seconds
        if self._backoff.failing:
            return min(longest_s, _SOON_S)
        return longest_s if self._proven else min(longest_s, _FIRST_S)

    def _step(self, timeout_s: float) -> bool:
        pipeline = self._pipeline
        with self._releasing_failed_source():
            records = pipeline.source.poll(pipeline.batch.records - self._held, timeout_s)
        self._reporter.report(State.IDLE if pipeline.source.idle else State.RUNNING)
        found = bool(records)
        if found:
            self._take(records)
        elif not self._held and time.monotonic() - self._began > _QUIET_S:
            # Nothing comes in that could show that everything is reachable again.
            self._backoff.worked()
        full = self._held >= pipeline.batch.records
        old = self._held > 0 and time.monotonic() - self._since >= self._longest_s()
        waits = found and pipeline.retention.fills_batches and pipeline.wants_more()
        if full or (old and not waits) or self._is_overdue():
            self._flush()
        return found

    @contextlib.contextmanager
    def _releasing_failed_source(self) -> Iterator[None]:
        try:
            yield
        except RetryableError as error:
            if error is not self._failed_flush:
                # The source itself has failed, so that keeping it open would fail again for ever.
                self._carry_over.source = None
            raise

    def _flush_in_poll(self) -> None:
        try:
            self._flush()
        except RetryableError as error:
            self._failed_flush = error
            raise

    def _take(self, records: list[Record]) -> None:
        if not self._held:
            self._since = time.monotonic()
        self._held += len(records)
        self._reporter.read(len(records))
        self._metrics.count("records_read", len(records))
        if not self._pipeline.source.replayable:
            self._note(records)
            self._write([], records)
            return
        size = self._pipeline.retention.chunk_size or len(records)
        while records:
            chunk = records[:size]
            # What was read is released before what was made of it is written: it is as much again.
            del records[: len(chunk)]
            self._note(chunk)
            chunk = self._staged(chunk)
            self._outputs.write(chunk)
            if records and self._is_overdue():
                self._flush(unstaged=len(records))

    def _note(self, records: list[Record]) -> None:
        """Note that these are in the batch now."""
        for origin, begin, end in offset_ranges(records):
            self._positions[origin] = end
            self._repeats.read(origin, begin, end)

    def _is_overdue(self) -> bool:
        return self._held > 0 and time.monotonic() - self._since >= self._pipeline.batch.max_seconds

    def _write(self, staged: list[Record], raw: list[Record]) -> None:
        """Write a batch; of a source that cannot be read again, records that were staged before come first."""
        self._carry_over.staged += staged
        self._carry_over.raw = raw
        records = self._staged(raw)
        self._carry_over.staged += records
        self._carry_over.raw = []
        self._outputs.write(staged + records)

    def _staged(self, records: list[Record]) -> list[Record]:
        for stage in self._pipeline.stages:
            records = stage(records)
        return records

    def _flush(self, *, unstaged: int = 0) -> None:
        """Flush and commit what has been through the stages.

        Args:
            unstaged: how many records of the last poll have not.
        """
        pipeline, carry_over = self._pipeline, self._carry_over
        self._repeats.writing()
        try:
            self._outputs.flush()
            self._outputs.commit_transaction(self._positions)
            if pipeline.transaction is not None:
                # Nothing that fails from here on brings these back.
                self._counts.commit()
            # A source takes a commit for everything that it has given.
            if not unstaged:
                with self._releasing_failed_source():
                    pipeline.source.commit(self._positions)
        except RetryableError:
            self._outputs.remember(self._positions)
            raise
        self._counts.commit()
        self._repeats.committed(self._positions)
        if self._held:
            self._metrics.count("batches_flushed")
            self._proven = True
        if carry_over.delivered:
            carry_over.delivered.forget(self._positions)
        self._positions, self._held, self._since = {}, unstaged, time.monotonic()
        carry_over.staged = []
        self._backoff.worked()
