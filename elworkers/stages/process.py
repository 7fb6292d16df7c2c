"""Raw lines come in; valid events, and EventErrors for the others, go out as JSON."""

from __future__ import annotations

from elworkers.contracts import Budget, Event, Metrics, Record
from elworkers.errors import InvalidEventError, OutOfTime
from elworkers.stages.capsule import complete
from elworkers.stages.event_error import event_error
from elworkers.stages.jsontext import to_bytes
from elworkers.stages.parse import LineParser
from elworkers.stages.validate import Validator


class ProcessStage:
    """Parses, completes, validates and encodes each line; implements `contracts.Stage`."""

    def __init__(self, parser: LineParser, validator: Validator, metrics: Metrics, budget: Budget) -> None:
        self._parse = parser
        self._validate = validator.validate
        self._metrics = metrics
        self._budget = budget

    def __call__(self, records: list[Record]) -> list[Record]:
        """See `contracts.Stage`; an empty line gives nothing.

        Raises:
            RetryableError: a schema cannot be had now; none of the batch is done with.
        """
        with self._budget.batch():
            return [done for record in records if record.value.strip() for done in (self._one(record),)]

    def _one(self, record: Record) -> Record:
        event: Event = {}
        try:
            try:
                self._budget.begin()
                event = self._parse(record.value)
                complete(event, record.timestamp_ms)
                self._validate(event)
                value = to_bytes(event)
            finally:
                self._budget.end()
        except InvalidEventError as error:
            return self._invalid(record, error, event)
        except OutOfTime:
            message = f"took more than {self._budget.seconds:g} s of processor time to parse and validate"
            return self._invalid(record, InvalidEventError(message, "timeout"), event)
        self._metrics.count("events_valid", schema=event["schema"])
        return Record(
            value,
            event=event,
            origin=record.origin,
            offset=record.offset,
            timestamp_ms=record.timestamp_ms,
            key=record.key,
        )

    def _invalid(self, record: Record, error: InvalidEventError, event: Event) -> Record:
        made = event_error(record, error, event)
        self._metrics.count("events_invalid", schema=_label(made), code=error.code)
        return made


def _label(made: Record) -> str:
    # Of what hostile lines call their schema only names that could be one become labels.
    name = str(made.event["event"]["schema"]) if made.event else "unknown"
    return name if name.isascii() and name.isprintable() and len(name) <= 63 else "unknown"
