"""A pipeline comes in; its records flow from source to sinks, and offsets are committed behind them.

The only place that flushes sinks and commits offsets, in this order:

1. poll: up to a batch of records.
2. stages: what they give goes on.
3. write: each output takes what it accepts.
4. flush: once the batch is full, old, or the source asks; returns only when all of it is stored.
5. refused: what a store will never take goes to EventError, which is flushed as well.
6. settle: a sink that keeps positions itself makes them and what it stored final in one transaction.
7. commit: the offsets of exactly the records that steps 1 to 6 are done with.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from enum import IntEnum
from typing import Protocol

import structlog

from elworkers.contracts import Metrics, Origin, Record, Refusal, Source
from elworkers.errors import RetryableError
from elworkers.runtime.backoff import Backoff
from elworkers.runtime.pipeline import Kept, Pipeline
from elworkers.runtime.stop import Stop

_LONGEST_POLL_S = 0.5
_LONGEST_DRAIN_S = 2.0
_DRAIN_POLL_S = 0.05
_QUIET_S = 10.0
_SOON_S = 1.0

log = structlog.get_logger(__name__)


class State(IntEnum):
    """What a worker is doing, as its parent shows it."""

    STARTING = 0
    RUNNING = 1
    WAITING = 2
    STOPPED = 3
    IDLE = 4


class Board(Protocol):
    """Where a worker shows what it is doing."""

    def show(self, state: State) -> None:
        """Show the state; also says that this worker is alive."""

    def read(self, records: int) -> None:
        """Add to the number of records read."""

    def trouble(self, reason: str) -> None:
        """Say why it cannot work for now, without any password; empty: it can again."""


Build = Callable[[Kept], Pipeline]
"""Makes a pipeline, around the source that is kept where there is one."""


def run(build: Build, stop: Stop, metrics: Metrics, board: Board) -> None:
    """Build a pipeline and drive it until it ends or is asked to stop; build it anew when something was away.

    A source that cannot be asked again (`replayable` is False) stays open meanwhile, and what was read from it but not
    flushed is written again.

    Raises:
        ConfigurationError: it cannot be built as configured.
    """
    backoff = Backoff(board.trouble)
    kept = Kept()
    done = False
    while not (done or stop.requested):
        pipeline: Pipeline | None = None
        board.show(State.STARTING)
        try:
            pipeline = build(kept)
            _Drive(pipeline, stop, metrics, board, backoff, kept).until_done()
            done = True
        except RetryableError as error:
            metrics.count("restarts")
            pause = backoff.failed(str(error))
            board.show(State.WAITING)
        finally:
            if pipeline is not None:
                pipeline.close(kept.source)
            # Also one that was opened before something else could not be.
            kept.let_go()
        if not done:
            stop.wait(pause)
    kept.close()


class _Drive:
    """One pipeline on its way; ends with the first RetryableError."""

    def __init__(
        self, pipeline: Pipeline, stop: Stop, metrics: Metrics, board: Board, backoff: Backoff, kept: Kept
    ) -> None:
        self._pipeline = pipeline
        self._stop = stop
        self._metrics = metrics
        self._board = board
        self._backoff = backoff
        self._kept = kept
        self._positions: dict[Origin, int] = {}
        self._held = 0
        self._since = 0.0
        self._began = time.monotonic()

    def until_done(self) -> None:
        source = self._pipeline.source
        self._kept.source = None if source.replayable else source
        if not source.replayable:
            self._write_kept()
        while not (self._stop.requested or source.exhausted):
            self._step(self._wait_s())
        self._drain(source)
        self._flush()

    def _write_kept(self) -> None:
        kept = self._kept
        staged, raw = kept.staged, kept.raw
        kept.staged, kept.raw = [], []
        if staged or raw:
            self._held, self._since = len(staged) + len(raw), time.monotonic()
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
        # After a failure the first batch shows whether everything is there again; nobody is to wait minutes for that.
        longest_s = self._pipeline.batch.seconds
        return min(longest_s, _SOON_S) if self._backoff.failing else longest_s

    def _step(self, timeout_s: float) -> bool:
        pipeline = self._pipeline
        with self._source_at_work():
            records = pipeline.source.poll(pipeline.batch.records - self._held, timeout_s)
        self._board.show(State.IDLE if pipeline.source.idle else State.RUNNING)
        found = bool(records)
        if found:
            self._take(records)
        elif not self._held and time.monotonic() - self._began > _QUIET_S:
            # Nobody sends anything that could show that everything is there again.
            self._backoff.worked()
        full = self._held >= pipeline.batch.records
        old = self._held > 0 and time.monotonic() - self._since >= self._longest_s()
        waits = found and pipeline.wants_more()
        if full or (old and not waits) or pipeline.source.flush_wanted:
            self._flush()
        return found

    @contextlib.contextmanager
    def _source_at_work(self) -> Iterator[None]:
        try:
            yield
        except RetryableError:
            # The source itself has failed, so that keeping it open would fail again for ever.
            self._kept.source = None
            raise

    def _take(self, records: list[Record]) -> None:
        if not self._held:
            self._since = time.monotonic()
        self._held += len(records)
        self._board.read(len(records))
        self._metrics.count("records_read", len(records))
        self._positions.update(_behind(records))
        if not self._pipeline.source.replayable:
            self._write([], records)
            return
        while records:
            some = records[: self._pipeline.piece]
            # What was read is let go of before what was made of it is written: it is as much again.
            del records[: len(some)]
            some = self._staged(some)
            self._hand_over(some)

    def _write(self, staged: list[Record], raw: list[Record]) -> None:
        """Of a source that cannot be asked again: records that were staged before, and those that were not."""
        self._kept.staged += staged
        self._kept.raw = raw
        records = self._staged(raw)
        self._kept.staged += records
        self._kept.raw = []
        self._hand_over(staged + records)

    def _staged(self, records: list[Record]) -> list[Record]:
        for stage in self._pipeline.stages:
            records = stage(records)
        return records

    def _hand_over(self, records: list[Record]) -> None:
        pipeline = self._pipeline
        for sink, accepts in pipeline.outputs:
            sink.write([record for record in records if accepts(record)])
        if pipeline.forgets_events and pipeline.source.replayable:
            for record in records:
                record.event = None

    def _flush(self) -> None:
        pipeline = self._pipeline
        stores = pipeline.stores()
        refused = [refusal for sink in stores for refusal in sink.flush()]
        if refused:
            self._send_refused(refused)
        for sink in stores:
            sink.settle(self._positions)
        with self._source_at_work():
            pipeline.source.commit(self._positions)
        if self._held:
            self._metrics.count("batches_flushed")
        self._positions, self._held = {}, 0
        self._kept.staged = []
        self._backoff.worked()

    def _send_refused(self, refused: list[Refusal]) -> None:
        self._metrics.count("records_refused", len(refused))
        log.warning("records refused by the store", count=len(refused), first=refused[0].message)
        sink, make = self._pipeline.refused_to, self._pipeline.refused
        if sink is None or make is None:
            return
        sink.write([make(refusal) for refusal in refused])
        lost = sink.flush()
        if lost:
            log.error("EventErrors refused by Kafka", count=len(lost), first=lost[0].message)


def _behind(records: Sequence[Record]) -> Iterator[tuple[Origin, int]]:
    """The position behind each run of records of one partition: a dictionary's entry for each record costs too much."""
    last: Record | None = None
    for record in records:
        if last is not None and last.origin is not record.origin and last.origin is not None:
            yield last.origin, last.offset + 1
        last = record
    if last is not None and last.origin is not None:
        yield last.origin, last.offset + 1
