# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Parses, validates and encodes raw lines: valid events, and EventErrors for the others."""

from __future__ import annotations

from orjson import OPT_APPEND_NEWLINE, dumps

from elworkers.core.contracts import Budget, Event, Metrics, Record
from elworkers.core.errors import EventTimeout, InvalidEventError
from elworkers.core.last_resort import LastResort
from elworkers.events.capsule import complete, correct_empty
from elworkers.events.event_error import event_error_of_any
from elworkers.events.fast_parse import FastParser
from elworkers.events.json_text import reads_alike, to_bytes
from elworkers.events.parse import LineParser
from elworkers.events.schema_names import is_canonical
from elworkers.schema.validate import REFUSED, Validator
from elworkers.stages.batch_counters import BatchCounters

_LINE = "line"


class ProcessStage:
    """Parses, completes, validates and encodes each line; implements `contracts.Stage`.

    Each step has a quick way and one that takes everything. The quick way is left for the whole event as soon as it
    cannot be sure, and then the other decides, as if there were no quick one.

    Args:
        keeps_events: valid records go on with their whole event. Otherwise with the fields `ROUTED`, which are all that
            most outputs ask for: an event that is let go leaves the next one its place in the processor's cache.
    """

    def __init__(
        self, parser: LineParser, validator: Validator, metrics: Metrics, budget: Budget, *, keeps_events: bool = True
    ) -> None:
        self._parse = parser
        self._columns = FastParser(parser.format)
        self._validator = validator
        self._tally = BatchCounters(metrics)
        self._budget = budget
        self._keeps_events = keeps_events
        self._from_client = parser.from_client
        self._last_resort = LastResort("parse and validate", lambda: self._on_good_record(parser.sample))

    def _on_good_record(self, line: bytes) -> None:
        event = self._columns.read(line)
        if event is not None:
            complete(event, 0, self._from_client)
            self._validator.accepted(event)
            dumps(event, None, OPT_APPEND_NEWLINE)
        self._encoded(self._read(Record(line)), read_quickly=False)

    def __call__(self, records: list[Record]) -> list[Record]:
        """See `contracts.Stage`; an empty line gives nothing.

        Raises:
            RetryableError: a schema cannot be had now; none of the batch is done with.
        """
        made: list[Record] = []
        read, accepted, keeps_events = self._columns.read, self._validator.accepted, self._keeps_events
        from_client = self._from_client
        budget = self._budget
        self._tally.begin()
        self._validator.tend()
        seen = self._tally.known
        # A call costs as much as a third of a step does here, so that there are as few as can be. What `dumps` gives
        # stays in the buffer that it was written to, of five to ten times its size; a slice of it is a copy without.
        with budget.batch():
            for record in records:
                event = known = None
                try:
                    budget.at_work = record
                    event = read(record.value)
                    if event is not None:
                        complete(event, record.timestamp_ms, from_client)
                        known = accepted(event)
                        if known is not None:
                            value = dumps(event, None, OPT_APPEND_NEWLINE)[:-1]
                            routed = event if keeps_events else known.routed
                    budget.at_work = None
                except EventTimeout:
                    budget.at_work = None
                    made.append(self._invalid(record, self._out_of_time(), event, _LINE))
                    continue
                except Exception as error:  # noqa: BLE001 - whatever a bug of ours raises must not hold up the others
                    budget.at_work = None
                    made.append(self._invalid(record, self._last_resort.blame(error), event, _LINE))
                    continue
                if known is not None:
                    if not known.events:
                        seen.append(known)
                    known.events += 1
                    made.append(record.staged(value, routed))
                elif record.value.strip():
                    made.append(self._slowly(record, event))
        self._tally.report()
        return made

    def _slowly(self, record: Record, event: Event | None) -> Record:
        """Return the same for what the quick way left."""
        doubt = _LINE
        try:
            try:
                self._budget.at_work = record
                quickly = event is not None and reads_alike(self._columns.json(record.value))
                if event is not None and quickly:
                    doubt = self._validator.doubt(event)
                else:
                    event = None
                    event = self._read(record)
                value = self._encoded(event, read_quickly=quickly)
            finally:
                self._budget.at_work = None
        except InvalidEventError as error:
            return self._invalid(record, error, event, doubt)
        except EventTimeout:
            return self._invalid(record, self._out_of_time(), event, doubt)
        except Exception as error:  # noqa: BLE001 - as above
            return self._invalid(record, self._last_resort.blame(error), event, doubt)
        self._tally.valid[event["schema"]] += 1
        self._tally.slow["disputed" if doubt == REFUSED else doubt] += 1
        return record.staged(value, event)

    def _read(self, record: Record) -> Event:
        event = self._parse(record.value)
        complete(event, record.timestamp_ms, self._from_client)
        return event

    def _encoded(self, event: Event, *, read_quickly: bool) -> bytes:
        correct_empty(event)
        if read_quickly:
            self._validator.explain(event)
            return dumps(event, None, OPT_APPEND_NEWLINE)[:-1]
        self._validator.validate(event)
        return to_bytes(event)

    def _out_of_time(self) -> InvalidEventError:
        message = f"took more than {self._budget.seconds:g} s of processor time to parse and validate"
        return InvalidEventError(message, "timeout")

    def _invalid(self, record: Record, error: InvalidEventError, event: Event | None, doubt: str) -> Record:
        made = event_error_of_any(record, error, event)
        self._tally.invalid[_label(made), error.code] += 1
        self._tally.slow[doubt] += 1
        return made


def _label(made: Record) -> str:
    # Of what hostile lines call their schema only names that could be one become labels.
    name = made.event["event"]["schema"] if made.event else None
    return name if is_canonical(name) else "unknown"
