# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Parses the events in messages of valid events."""

from __future__ import annotations

from elworkers.core.contracts import Metrics, Record
from elworkers.core.errors import InvalidEventError
from elworkers.core.last_resort import LastResort
from elworkers.events.event_error import event_error
from elworkers.events.json_text import read_object


class DecodeStage:
    """Parses each message as JSON; implements `contracts.Stage`. What is no JSON object becomes an EventError."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._last_resort = LastResort("decode", lambda: read_object(b'{"event":{}}'))

    def __call__(self, records: list[Record]) -> list[Record]:
        """See `contracts.Stage`."""
        return [self._one(record) for record in records if record.value.strip()]

    def _one(self, record: Record) -> Record:
        try:
            return record.staged(record.value, read_object(record.value))
        except InvalidEventError as error:
            return self._invalid(record, error)
        except Exception as error:  # noqa: BLE001 - whatever a bug of ours raises must not hold up the others
            return self._invalid(record, self._last_resort.blame(error))

    def _invalid(self, record: Record, error: InvalidEventError) -> Record:
        self._metrics.count("events_invalid", schema="unknown", code=error.code)
        return event_error(record, error, None)
