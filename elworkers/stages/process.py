"""Raw lines come in; valid events, and EventErrors for the others, go out as JSON."""

from __future__ import annotations

from orjson import dumps

from elworkers.contracts import Budget, Event, Metrics, Record
from elworkers.errors import InvalidEventError, OutOfTime
from elworkers.stages.capsule import complete
from elworkers.stages.columns import Columns
from elworkers.stages.event_error import event_error
from elworkers.stages.jsontext import reads_alike, to_bytes
from elworkers.stages.parse import LineParser
from elworkers.stages.tally import Tally
from elworkers.stages.validate import REFUSED, Validator


class ProcessStage:
    """Parses, completes, validates and encodes each line; implements `contracts.Stage`.

    Each step has a quick way and one that takes everything. The quick way is left for the whole event as soon as it
    cannot be sure, and then the other decides, as if there were no quick one.
    """

    def __init__(self, parser: LineParser, validator: Validator, metrics: Metrics, budget: Budget) -> None:
        self._parse = parser
        self._columns = Columns(parser.format)
        self._read = self._columns.read
        self._validate = validator.validate
        self._doubt = validator.doubt
        self._explain = validator.explain
        self._metrics = metrics
        self._budget = budget

    def __call__(self, records: list[Record]) -> list[Record]:
        """See `contracts.Stage`; an empty line gives nothing.

        Raises:
            RetryableError: a schema cannot be had now; none of the batch is done with.
        """
        tally = Tally()
        with self._budget.batch():
            made = [done for record in records if (done := self._one(record, tally)) is not None]
        tally.report(self._metrics)
        return made

    def _one(self, record: Record, tally: Tally) -> Record | None:
        event: Event | None = None
        doubt: str | None = "line"
        try:
            try:
                self._budget.begin()
                event = self._read(record.value)
                if event is not None:
                    complete(event, record.timestamp_ms)
                    doubt = self._doubt(event)
                    if doubt is not None and not reads_alike(self._columns.json):
                        event, doubt = None, "line"
                if event is None:
                    if not record.value.strip():
                        return None
                    event = self._parse(record.value)
                    complete(event, record.timestamp_ms)
                    self._validate(event)
                    value = to_bytes(event)
                else:
                    if doubt is not None:
                        self._explain(event)
                    value = dumps(event)
            finally:
                self._budget.end()
        except InvalidEventError as error:
            return self._invalid(record, error, event, doubt, tally)
        except OutOfTime:
            message = f"took more than {self._budget.seconds:g} s of processor time to parse and validate"
            return self._invalid(record, InvalidEventError(message, "timeout"), event, doubt, tally)
        tally.valid[event["schema"]] += 1
        if doubt is not None:
            tally.slow["disputed" if doubt == REFUSED else doubt] += 1
        return record.staged(value, event)

    @staticmethod
    def _invalid(
        record: Record, error: InvalidEventError, event: Event | None, doubt: str | None, tally: Tally
    ) -> Record:
        made = event_error(record, error, event)
        tally.invalid[_label(made), error.code] += 1
        if doubt is not None:
            tally.slow[doubt] += 1
        return made


def _label(made: Record) -> str:
    # Of what hostile lines call their schema only names that could be one become labels.
    name = str(made.event["event"]["schema"]) if made.event else "unknown"
    return name if name.isascii() and name.isprintable() and len(name) <= 63 else "unknown"
