# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Writes batches to the outputs of a pipeline, and remembers after a failure which outputs have what."""

from __future__ import annotations

from elworkers.core.capabilities import OffsetStore
from elworkers.core.contracts import Metrics, Positions, Record, Sink
from elworkers.core.dead_letters import DeadLetters
from elworkers.core.pipeline import CarryOver, Pipeline


class Outputs:
    """All outputs of a pipeline, and its dead-letter sink.

    Args:
        pipeline: has the outputs.
        carry_over: knows what outputs have of records that were read again, and what was written before.
        metrics: counts at once.
        counts: counts once the batch is committed.
    """

    def __init__(self, pipeline: Pipeline, carry_over: CarryOver, metrics: Metrics, counts: Metrics) -> None:
        self._pipeline = pipeline
        self._carry_over = carry_over
        self._metrics = metrics
        self._repeats = carry_over.delivered.repeats
        self._dead_letters = DeadLetters(pipeline, carry_over, metrics, counts)
        self._flushed: list[Sink] = []

    def write(self, records: list[Record]) -> None:
        """Give each output the records that it accepts and does not have.

        Raises:
            RetryableError: as `contracts.Sink.write`.
        """
        pipeline = self._pipeline
        for sink, accepts in pipeline.outputs:
            accepted = [record for record in records if accepts(record)]
            if self._carry_over.delivered:
                accepted = self._carry_over.delivered.missing(self._number(sink), accepted)
            if self._repeats.expected and not isinstance(sink, OffsetStore):
                self._repeats.add(self._number(sink), sink, accepted)
            sink.write(accepted)
        if pipeline.retention.drops_written and pipeline.source.replayable:
            for record in records:
                record.event = None

    def flush(self) -> None:
        """Flush every output, and then the EventErrors of what outputs reject.

        Raises:
            RetryableError: as `contracts.Sink.flush`.
        """
        self._flushed = []
        for sink in self._pipeline.stores():
            rejected = self._dead_letters.flush(sink)
            if rejected:
                self._dead_letters.add(rejected, again=self._is_undone(sink))
            self._flushed.append(sink)
            self._repeats.written(self._number(sink), self._metrics)
        if self._carry_over.errors:
            self._dead_letters.send()

    def commit_transaction(self, positions: Positions) -> None:
        """Make final what was flushed, with the positions behind it.

        Raises:
            RetryableError: as `contracts.Sink.commit_transaction` and `capabilities.Transaction.commit`.
        """
        if self._pipeline.transaction is not None:
            self._pipeline.transaction.commit(positions)
            return
        for sink in self._pipeline.stores():
            sink.commit_transaction(positions)

    def remember(self, positions: Positions) -> None:
        """Remember, for a batch that could not be committed, which outputs have all of it.

        Of an offset store only what it has committed is there, and of a transaction nothing that was not.

        Args:
            positions: behind the batch.
        """
        if self._pipeline.transaction is not None:
            # Whoever reads the records again makes these again; another member of the group may.
            self._carry_over.errors = []
        for sink in self._flushed:
            if not self._is_undone(sink):
                self._carry_over.delivered.finish(self._number(sink), positions, self._carry_over.staged)

    def _is_undone(self, sink: Sink) -> bool:
        """Return whether a sink has nothing of a batch whose commit has failed."""
        return self._pipeline.transaction is not None or isinstance(sink, OffsetStore)

    def _number(self, sink: Sink) -> int:
        return next(number for number, one in enumerate(self._pipeline.stores()) if one is sink)
