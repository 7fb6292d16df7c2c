# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Finds the hour's folder that a message belongs to."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import orjson
import structlog

from elworkers.core.contracts import Metrics
from elworkers.events.timestamps import unix_seconds_of
from elworkers.importer.hours import HOUR_MS, HourPartition

TIME_FIELDS = ("timestamp", "dt")
_EXACT = 2**53
log = structlog.get_logger(__name__)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Times(msgspec.Struct, gc=False):
    """The time fields of an event, with values of any type; None where the event has none."""

    timestamp: Any = None
    dt: Any = None


times = msgspec.json.Decoder(Times).decode
"""The times of a JSON object in UTF-8: what a JSON parser finds. It passes over all other fields without making them,
and also without looking whether they are UTF-8."""

NO_TIMES = (ValueError, RecursionError)
"""What `times` raises on all else, and on some JSON that Python's parser takes."""


@dataclasses.dataclass(frozen=True)
class HourBucketer:
    """Finds the folder of the hour that a message belongs to.

    What is older or newer than allowed goes to the hour in which Kafka took it, below `late/` or `future/`: a wrong
    clock would otherwise make a folder for each of its hours.

    Attributes:
        metrics: counts `import_late`, `import_future`, `import_no_time` and `import_no_json`.
        field: the event's field that is asked first, `timestamp` (Unix seconds) or `dt` (ISO 8601, UTC where it names
            no zone); the other is asked where the first has no time, and Kafka's time stands in for both.
        past_ms, future_ms: how far from now an event's own time may be.
        keep_out_of_range: whether messages outside of that are kept at all.
        logged: names of the types of errors that were logged already.
    """

    metrics: Metrics
    field: str
    past_ms: int
    future_ms: int
    keep_out_of_range: bool = True
    logged: set[str] = dataclasses.field(default_factory=set)

    def hour_partition(self, schema: str, value: bytes, kafka_ms: int, now_ms: int) -> HourPartition | None:
        """Return the hour of one message; None where it is only counted."""
        # Producers may set Kafka's time as well, and just as wrong.
        arrived_ms = kafka_ms if 0 < kafka_ms <= now_ms + self.future_ms else now_ms
        try:
            own_ms = self._own_ms(schema, value)
        except Exception as error:
            # Whatever a message makes us raise, it holds up no other; the trace of a type is logged once.
            if type(error).__name__ not in self.logged:
                self.logged.add(type(error).__name__)
                log.exception(
                    "a message's time cannot be told; it is kept by Kafka's",
                    code="import_timestamp_failed",
                    schema=schema,
                )
            own_ms = None
        if own_ms is None:
            self.metrics.count("import_no_time", schema=schema)
            own_ms = arrived_ms
        if own_ms < now_ms - self.past_ms:
            self.metrics.count("import_late", schema=schema)
        elif own_ms > now_ms + self.future_ms:
            self.metrics.count("import_future", schema=schema)
        else:
            return HourPartition(own_ms // HOUR_MS)
        if not self.keep_out_of_range:
            return None
        return HourPartition(arrived_ms // HOUR_MS, "late" if own_ms < now_ms else "future")

    def whole_seconds(self, now_ms: int) -> tuple[int, int]:
        """Return the earliest and the latest `timestamp` of whole seconds with which an event is kept by its own hour.

        The latest is before the earliest where another field is asked first.
        """
        if self.field != TIME_FIELDS[0]:
            return 0, -1
        return -((self.past_ms - now_ms) // 1000), (now_ms + self.future_ms) // 1000

    def _own_ms(self, schema: str, value: bytes) -> int | None:
        found = _times(value)
        if found is None:
            self.metrics.count("import_no_json", schema=schema)
            return None
        both = (found.timestamp, found.dt)
        first, second = both if self.field == TIME_FIELDS[0] else reversed(both)
        own_ms = _milliseconds(first)
        return own_ms if own_ms is not None else _milliseconds(second)


def _times(value: bytes) -> Times | None:
    with contextlib.suppress(*NO_TIMES):
        value.decode()
        return times(value)
    event = _parsed(value)
    return Times(event.get("timestamp"), event.get("dt")) if isinstance(event, dict) else None


def _parsed(value: bytes) -> Any:
    try:
        return orjson.loads(value)
    except ValueError:
        # orjson is the stricter one: NaN, lone surrogates and numbers beyond 64 bits are no reason to have no time.
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return None


def _milliseconds(value: Any) -> int | None:
    if isinstance(value, str):
        try:
            parsed = datetime.fromisoformat(value.strip().replace("Z", "+00:00").replace("z", "+00:00"))
            parsed = parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
            return (parsed - _EPOCH) // timedelta(milliseconds=1)
        except (ValueError, OverflowError):
            return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if abs(value) <= _EXACT:
        return int(unix_seconds_of(value) * 1000)
    try:
        milliseconds = float(value) * 1000
    except OverflowError:
        return None
    return int(float(unix_seconds_of(value)) * 1000) if math.isfinite(milliseconds) else None
