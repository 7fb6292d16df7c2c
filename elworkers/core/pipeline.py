# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Holds one worker's source, stages and sinks, and what outlives them after a failure."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import structlog

from elworkers.core.batch_metrics import BatchMetrics
from elworkers.core.capabilities import Transaction
from elworkers.core.contracts import Output, Record, RejectedRecord, Sink, Source, Stage
from elworkers.core.deliveries import DeliveryLog
from elworkers.core.event_retention import EventRetention

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Batch:
    """When a batch is flushed.

    Attributes:
        records: flush when it holds this many.
        seconds: flush when its first record was read this long ago; 0 flushes after every poll.
        max_seconds: flush what has been through the stages when its first record was read this long ago, also where
            outputs want more or the rest of a poll is still to be staged.
    """

    records: int = 2_000
    seconds: float = 0.0
    max_seconds: float = math.inf


@dataclass
class Pipeline:
    """One source, what its records go through, and where they go to.

    Attributes:
        make_event_error: makes an EventError of what a store rejected; None where that is one itself.
        dead_letter_sink: takes those records; None where nothing can.
        dead_letter_name: where that is, for people to read.
        shorten: gives an EventError with less in it; None where that cannot be, or it is none.
        retention: how long records hold their events.
        wants_more: whether an output would have more records at a time.
        transaction: what all outputs and the source's commits are in; None where there is none.
    """

    source: Source
    stages: Sequence[Stage]
    outputs: Sequence[Output]
    batch: Batch = field(default_factory=Batch)
    make_event_error: Callable[[RejectedRecord], Record | None] | None = None
    dead_letter_sink: Sink | None = None
    dead_letter_name: str = ""
    shorten: Callable[[Record], Record | None] = lambda _: None
    retention: EventRetention = EventRetention.UNTIL_FLUSHED
    wants_more: Callable[[], bool] = lambda: False
    transaction: Transaction | None = None

    def stores(self) -> list[Sink]:
        """Return the sink of each output, once where several share it."""
        return list({id(output.sink): output.sink for output in self.outputs}.values())

    def close(self, but: Source | None = None) -> None:
        """Release everything but the source `but`; stores and commits nothing."""
        if self.transaction is not None:
            # Before the source leaves its group: who gets its partitions waits for the end of the transaction.
            self.transaction.close()
        if self.source is not but:
            self.source.close()
        for sink in self.stores():
            sink.close()
        if self.dead_letter_sink is not None:
            self.dead_letter_sink.close()


@dataclass
class CarryOver:
    """What outlives a pipeline.

    Attributes:
        delivered: what outputs have of the records that will be read again.
        counts: those of stages, held back until their batch is committed; None where the loop does not run.
        errors: EventErrors of rejected records that are not flushed.
        source: open; a builder of pipelines puts it here as soon as it is, and takes the one that is here already.
        raw: read, but no stage has taken it.
        staged: through the stages, but not flushed.
    """

    delivered: DeliveryLog = field(default_factory=DeliveryLog)
    counts: BatchMetrics | None = None
    errors: list[Record] = field(default_factory=list)
    source: Source | None = None
    raw: list[Record] = field(default_factory=list)
    staged: list[Record] = field(default_factory=list)

    def release_source(self) -> None:
        """Close the source where it is replayable."""
        if self.source is not None and self.source.replayable:
            self.source.close()
            self.source = None

    def close(self) -> None:
        """Close the source; log how many records are lost with it, if any are."""
        if (self.raw or self.staged) and not (self.source is not None and self.source.durable):
            log.error(
                "stopped before these could be written; they are lost",
                code="records_lost_at_stop",
                records=len(self.raw) + len(self.staged),
            )
        if self.source is not None:
            self.source.close()
