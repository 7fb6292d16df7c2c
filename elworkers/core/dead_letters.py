# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Makes EventErrors of the records that a pipeline's outputs reject, and writes them to its dead-letter sink."""

from __future__ import annotations

import structlog

from elworkers.core.contracts import Assignment, Metrics, Record, RejectedRecord, Sink
from elworkers.core.pipeline import CarryOver, Pipeline

_OUTPUT = -1
"""The dead-letter sink among the outputs of `Repeats`: all others count from 0."""

log = structlog.get_logger(__name__)


class DeadLetters:
    """What becomes of rejected records.

    Args:
        pipeline: makes EventErrors, and has the dead-letter sink if there is one.
        carry_over: holds EventErrors until they are flushed.
        metrics: counts at once.
        counts: counts what comes again after a failure, once it is committed.
    """

    def __init__(self, pipeline: Pipeline, carry_over: CarryOver, metrics: Metrics, counts: Metrics) -> None:
        self._pipeline = pipeline
        self._carry_over = carry_over
        self._metrics = metrics
        self._counts = counts

    def flush(self, sink: Sink) -> list[RejectedRecord]:
        """Flush a sink, and return what it rejects; of an EventError that is too large it gets a shorter one."""
        rejected: list[RejectedRecord] = []
        found = sink.flush()
        while found:
            cut: list[Record] = []
            for one in found:
                shorter = self._pipeline.shorten(one.record) if one.too_large and not one.record.valid else None
                if shorter is None:
                    rejected.append(one)
                else:
                    cut.append(shorter)
            if not cut:
                break
            sink.write(cut)
            found = sink.flush()
        return rejected

    def add(self, rejected: list[RejectedRecord], *, again: bool) -> None:
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
        reported = {key for key in map(_key, errors) if key is not None}
        for rejection in rejected:
            key = _key(rejection.record)
            if key in reported:
                continue
            made = make(rejection)
            if made is None:
                log.error("an EventError is refused", code="event_errors_lost", reason=rejection.message)
                continue
            errors.append(made)
            if key is not None:
                reported.add(key)

    def send(self) -> None:
        """Write and flush the EventErrors; those that the dead-letter sink rejects are lost, and logged."""
        sink, carry_over = self._pipeline.dead_letter_sink, self._carry_over
        assert sink is not None  # noqa: S101 - there are none otherwise
        sink.write(carry_over.errors)
        lost = self.flush(sink)
        repeats = carry_over.delivered.repeats
        if repeats.expected:
            repeats.add(_OUTPUT, sink, carry_over.errors)
            repeats.written(_OUTPUT, self._metrics)
        carry_over.errors = []
        if lost:
            log.error("EventErrors refused", code="event_errors_lost", count=len(lost), first=lost[0].message)


def _key(record: Record) -> tuple[Assignment, int] | None:
    return (record.origin._replace(assignment_epoch=0), record.offset) if record.origin is not None else None
