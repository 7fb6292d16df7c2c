# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Parses, validates and encodes raw lines: valid events, and EventErrors for the others.

Each event begins on the fast path. Where a step of it cannot be sure, the slow path decides, as if there were no fast
one: from reading on, or from validating on where the line was read exactly (`orjson_is_exact`).

========  =================  ======================================  ===================================  =============
step      fast path          slow path                               the fast path is left where          `events_slow`
========  =================  ======================================  ===================================  =============
read      `FastParser.read`  `LineParser`                            the line is not of the usual form,   `line`
                                                                     or was not read exactly
complete  `add_defaults`     `add_defaults`, `correct_empty`         never
validate  `validate_fast`    `validate`; `validate_slow` of a line   the schema is new to this worker     `first`
                             that was read exactly                   the schema has no fast validator     `schema`
                                                                     the event is invalid                 `refused`
                                                                     the event is valid, but not surely   `disputed`
encode    `orjson.dumps`     `to_bytes`; `orjson.dumps` of a line    never
                             that was read exactly
========  =================  ======================================  ===================================  =============

The last column is the reason by which the counter `events_slow` counts these events. What a bug or the time limit ends
on the fast path is counted as `line`, too.
"""

from __future__ import annotations

from orjson import OPT_APPEND_NEWLINE, dumps

from elworkers.core.contracts import Budget, Event, Metrics, Record
from elworkers.core.errors import EventTimeout, InvalidEventError
from elworkers.core.event_retention import EventRetention
from elworkers.core.last_resort import LastResort
from elworkers.events.capsule import add_defaults, correct_empty
from elworkers.events.event_error import event_error_of_any
from elworkers.events.fast_parse import FastParser
from elworkers.events.json_text import orjson_is_exact, to_bytes
from elworkers.events.parse import LineParser
from elworkers.events.schema_names import is_canonical
from elworkers.schema.validate import REJECTED, Validator
from elworkers.stages.batch_counters import BatchCounters

_LINE, _DISPUTED = "line", "disputed"


class ProcessStage:
    """Parses, completes, validates and encodes each line; implements `contracts.Stage`.

    Args:
        retention: whether valid records go on with their whole events or with their routing fields alone. The memory
            of an event that is dropped is reused by the next, while it is in the processor's cache.
    """

    def __init__(
        self,
        parser: LineParser,
        validator: Validator,
        metrics: Metrics,
        budget: Budget,
        retention: EventRetention = EventRetention.UNTIL_FLUSHED,
    ) -> None:
        self._parse = parser
        self._fast_parser = FastParser(parser.format)
        self._validator = validator
        self._counters = BatchCounters(metrics)
        self._budget = budget
        self._keeps_events = retention.keeps_events
        self._from_client = parser.from_client
        self._last_resort = LastResort("parse and validate", lambda: self._on_good_record(parser.sample))

    def _on_good_record(self, line: bytes) -> None:
        event = self._fast_parser.read(line)
        if event is not None:
            add_defaults(event, 0, self._from_client)
            self._validator.validate_fast(event)
            dumps(event, None, OPT_APPEND_NEWLINE)
        self._encode(self._read(Record(line)), parsed_fast=False)

    def __call__(self, records: list[Record]) -> list[Record]:
        """See `contracts.Stage`; an empty line gives nothing.

        Raises:
            RetryableError: a schema cannot be had now; none of the batch is done with.
        """
        made: list[Record] = []
        read, validate_fast, keeps_events = self._fast_parser.read, self._validator.validate_fast, self._keeps_events
        from_client = self._from_client
        budget = self._budget
        self._counters.reset()
        self._validator.expire()
        valid_fast = self._counters.valid_fast
        # A call costs as much as a third of a step does here, so that there are as few as can be. What `dumps` gives
        # stays in the buffer that it was written to, of five to ten times its size; a slice of it is a copy without.
        with budget.batch():
            for record in records:
                event = schema = None
                try:
                    budget.current_record = record
                    event = read(record.value)
                    if event is not None:
                        add_defaults(event, record.timestamp_ms, from_client)
                        schema = validate_fast(event)
                        if schema is not None:
                            value = dumps(event, None, OPT_APPEND_NEWLINE)[:-1]
                            handed_on = event if keeps_events else schema.routing_fields
                    budget.current_record = None
                except EventTimeout:
                    budget.current_record = None
                    made.append(self._invalid(record, self._timeout_error(), event, _LINE))
                    continue
                except Exception as error:  # noqa: BLE001 - whatever a bug of ours raises must not hold up the others
                    budget.current_record = None
                    made.append(self._invalid(record, self._last_resort.blame(error), event, _LINE))
                    continue
                if schema is not None:
                    if not schema.events:
                        valid_fast.append(schema)
                    schema.events += 1
                    made.append(record.staged(value, handed_on))
                elif record.value.strip():
                    made.append(self._slow_path(record, event))
        self._counters.report()
        return made

    def _slow_path(self, record: Record, event: Event | None) -> Record:
        """Return the valid record or EventError of a line that the fast path has left.

        Args:
            record: the line.
            event: as the fast parser has read it; None where it has not.
        """
        reason = _LINE
        try:
            try:
                self._budget.current_record = record
                parsed_fast = event is not None and orjson_is_exact(self._fast_parser.capsule_json(record.value))
                if event is not None and parsed_fast:
                    reason = self._validator.slow_path_reason(event)
                else:
                    event = None
                    event = self._read(record)
                value = self._encode(event, parsed_fast=parsed_fast)
            finally:
                self._budget.current_record = None
        except InvalidEventError as error:
            return self._invalid(record, error, event, reason)
        except EventTimeout:
            return self._invalid(record, self._timeout_error(), event, reason)
        except Exception as error:  # noqa: BLE001 - as above
            return self._invalid(record, self._last_resort.blame(error), event, reason)
        self._counters.valid_slow[event["schema"]] += 1
        self._counters.slow[_DISPUTED if reason == REJECTED else reason] += 1
        return record.staged(value, event)

    def _read(self, record: Record) -> Event:
        event = self._parse(record.value)
        add_defaults(event, record.timestamp_ms, self._from_client)
        return event

    def _encode(self, event: Event, *, parsed_fast: bool) -> bytes:
        correct_empty(event)
        if parsed_fast:
            self._validator.validate_slow(event)
            return dumps(event, None, OPT_APPEND_NEWLINE)[:-1]
        self._validator.validate(event)
        return to_bytes(event)

    def _timeout_error(self) -> InvalidEventError:
        message = f"took more than {self._budget.seconds:g} s of processor time to parse and validate"
        return InvalidEventError(message, "timeout")

    def _invalid(self, record: Record, error: InvalidEventError, event: Event | None, reason: str) -> Record:
        made = event_error_of_any(record, error, event)
        self._counters.invalid[_label(made), error.code] += 1
        self._counters.slow[reason] += 1
        return made


def _label(made: Record) -> str:
    # Of what hostile lines call their schema only names that could be one become labels.
    name = made.event["event"]["schema"] if made.event else None
    return name if is_canonical(name) else "unknown"
