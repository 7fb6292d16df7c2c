# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Runs a pipeline: moves its records from source to sinks, and commits offsets behind them.

The only place that flushes sinks and commits offsets, in this order:

1. poll: up to a batch of records.
2. stages: what they give goes on.
3. write: each output takes what it accepts.
4. flush: once the batch is full or old, or in a poll whose source asks; returns only when all of it is stored.
5. rejected: what a store will never take goes to EventError, which is flushed as well.
6. commit_transaction: a sink that keeps positions itself commits them and what it stored in one transaction.
7. commit: the offsets of exactly the records that steps 1 to 6 are done with.

Where that fails half-way, the records are read again: outputs that have acknowledged them do not get them again, and
nothing is counted twice.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from enum import IntEnum
from typing import NamedTuple, Protocol

import structlog

from elworkers.core.backoff import Backoff
from elworkers.core.batch_metrics import BatchMetrics
from elworkers.core.contracts import (
    Addressed,
    Assignment,
    Breakable,
    Destination,
    FlushCaller,
    Metrics,
    OffsetStore,
    Record,
    RejectedRecord,
    Sink,
    Source,
)
from elworkers.core.deliveries import DeliveryLog
from elworkers.core.errors import RetryableError
from elworkers.core.pipeline import CarryOver, Pipeline
from elworkers.core.repeats import Repeats
from elworkers.core.stop import Stop

_LONGEST_POLL_S = 0.5
_LONGEST_DRAIN_S = 2.0
_DRAIN_POLL_S = 0.05
_QUIET_S = 10.0
_SOON_S = 1.0
_FIRST_S = 5.0
_ERRORS = -1
"""The output of EventErrors of rejected records, which has no number."""

log = structlog.get_logger(__name__)


class State(IntEnum):
    """What a worker is doing."""

    STARTING = 0
    RUNNING = 1
    WAITING = 2
    STOPPED = 3
    IDLE = 4
    READY = 5
    """Takes up the work as soon as the worker before it has ended."""


class StateReporter(Protocol):
    """Takes what a worker reports of itself."""

    def report(self, state: State) -> None:
        """Report the state; it is a sign of life, too."""

    def read(self, records: int) -> None:
        """Add to the number of records read."""

    def trouble(self, reason: str) -> None:
        """Report why it cannot work for now, without any password; empty: it can again."""


Build = Callable[[CarryOver], Pipeline]
"""Makes a pipeline, around the source that is carried over where there is one."""


class Ending(NamedTuple):
    """How an input has ended.

    Attributes:
        damage: see `contracts.Breakable`.
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
            self._positions.update((origin, end) for origin, _, end in _offset_ranges([*staged, *raw]))
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
        if full or (old and not waits):
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
        for origin, begin, end in _offset_ranges(records):
            self._positions[origin] = end
            self._repeats.read(origin, begin, end)
        if not self._pipeline.source.replayable:
            self._write([], records)
            return
        size = self._pipeline.retention.chunk_size or len(records)
        while records:
            chunk = records[:size]
            # What was read is released before what was made of it is written: it is as much again.
            del records[: len(chunk)]
            chunk = self._staged(chunk)
            self._write_to_outputs(chunk)

    def _write(self, staged: list[Record], raw: list[Record]) -> None:
        """Write a batch; of a source that cannot be read again, records that were staged before come first."""
        self._carry_over.staged += staged
        self._carry_over.raw = raw
        records = self._staged(raw)
        self._carry_over.staged += records
        self._carry_over.raw = []
        self._write_to_outputs(staged + records)

    def _staged(self, records: list[Record]) -> list[Record]:
        for stage in self._pipeline.stages:
            records = stage(records)
        return records

    def _write_to_outputs(self, records: list[Record]) -> None:
        pipeline = self._pipeline
        for sink, accepts in pipeline.outputs:
            accepted = [record for record in records if accepts(record)]
            if self._carry_over.delivered:
                accepted = self._carry_over.delivered.missing(self._output_number(sink), accepted)
            if self._repeats.expected and not isinstance(sink, OffsetStore):
                self._repeats.add(self._output_number(sink), self._repeated(sink, accepted))
            sink.write(accepted)
        if pipeline.retention.drops_written and pipeline.source.replayable:
            for record in records:
                record.event = None

    def _repeated(self, sink: Sink, records: Sequence[Record]) -> Iterator[Destination]:
        """Yield where those go to that an earlier process may have written; a database leaves out what it has."""
        for record in filter(self._repeats.has, records):
            destination = sink.destination(record) if isinstance(sink, Addressed) else Destination()
            if destination is not None:
                yield destination

    def _flush(self) -> None:
        pipeline, carry_over = self._pipeline, self._carry_over
        self._repeats.writing()
        stores = pipeline.stores()
        flushed: list[Sink] = []
        try:
            for sink in stores:
                rejected = self._flush_sink(sink)
                if rejected:
                    self._take_rejected(rejected, again=isinstance(sink, OffsetStore))
                flushed.append(sink)
                self._repeats.written(self._output_number(sink), self._metrics)
            if carry_over.errors:
                self._send_errors()
            for sink in stores:
                sink.commit_transaction(self._positions)
            with self._releasing_failed_source():
                pipeline.source.commit(self._positions)
        except RetryableError:
            self._remember(flushed)
            raise
        self._counts.commit()
        self._repeats.committed(self._positions)
        if self._held:
            self._metrics.count("batches_flushed")
            self._proven = True
        if carry_over.delivered:
            carry_over.delivered.forget(self._positions)
        self._positions, self._held = {}, 0
        carry_over.staged = []
        self._backoff.worked()

    def _flush_sink(self, sink: Sink) -> list[RejectedRecord]:
        """Return what the sink rejects, also of EventErrors that were cut for it."""
        rejected: list[RejectedRecord] = []
        found = sink.flush()
        while found:
            cut: list[Record] = []
            for one in found:
                cut_record = self._pipeline.shorten(one.record) if one.too_large and not one.record.valid else None
                if cut_record is None:
                    rejected.append(one)
                else:
                    cut.append(cut_record)
            if not cut:
                break
            sink.write(cut)
            found = sink.flush()
        return rejected

    def _output_number(self, sink: Sink) -> int:
        return next(number for number, one in enumerate(self._pipeline.stores()) if one is sink)

    def _remember(self, flushed: Sequence[Sink]) -> None:
        """Remember which outputs have all of the batch; of an offset store only what it has committed is there."""
        for sink in flushed:
            if not isinstance(sink, OffsetStore):
                self._carry_over.delivered.finish(self._output_number(sink), self._positions, self._carry_over.staged)

    def _take_rejected(self, rejected: list[RejectedRecord], *, again: bool) -> None:
        """Make EventErrors of what was rejected; one of a record, however many outputs reject it.

        Args:
            again: after a failure the same is rejected again.
        """
        (self._counts if again else self._metrics).count("records_refused", len(rejected))
        log.warning(
            "records refused by the store", code="records_rejected", count=len(rejected), first=rejected[0].message
        )
        make, errors = self._pipeline.make_event_error, self._carry_over.errors
        if self._pipeline.dead_letter_sink is None or make is None:
            return
        reported = {key for key in map(_record_key, errors) if key is not None}
        for rejection in rejected:
            key = _record_key(rejection.record)
            if key in reported:
                continue
            made = make(rejection)
            if made is None:
                log.error("an EventError is refused", code="event_errors_lost", reason=rejection.message)
                continue
            errors.append(made)
            if key is not None:
                reported.add(key)

    def _send_errors(self) -> None:
        sink, carry_over = self._pipeline.dead_letter_sink, self._carry_over
        assert sink is not None  # noqa: S101 - there are none otherwise
        sink.write(carry_over.errors)
        lost = self._flush_sink(sink)
        if self._repeats.expected:
            self._repeats.add(_ERRORS, self._repeated(sink, carry_over.errors))
            self._repeats.written(_ERRORS, self._metrics)
        carry_over.errors = []
        if lost:
            log.error("EventErrors refused", code="event_errors_lost", count=len(lost), first=lost[0].message)


def _record_key(record: Record) -> tuple[Assignment, int] | None:
    return (record.origin._replace(assignment_epoch=0), record.offset) if record.origin is not None else None


def _offset_ranges(records: Sequence[Record]) -> Iterator[tuple[Assignment, int, int]]:
    """Yield the first offset and the position behind each run of records of one partition.

    A dictionary's entry for each record would cost too much.
    """
    first = last = None
    for record in records:
        if last is None or last.origin is not record.origin:
            yield from _offset_range(first, last)
            first = record
        last = record
    yield from _offset_range(first, last)


def _offset_range(first: Record | None, last: Record | None) -> Iterator[tuple[Assignment, int, int]]:
    if first is not None and last is not None and last.origin is not None:
        yield last.origin, first.offset, last.offset + 1
