# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Applies a URI's functions to a record, and says why one failed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import structlog
from orjson import OPT_PASSTHROUGH_DATACLASS, OPT_PASSTHROUGH_DATETIME, OPT_PASSTHROUGH_SUBCLASS, dumps

from elworkers.core.contracts import Event, Metrics, Record
from elworkers.core.errors import EventTimeout, InvalidEventError
from elworkers.events.json_text import read_object
from elworkers.functions.circuit_breaker import CircuitBreaker
from elworkers.functions.loading import Function, error_text

_ONLY_JSON = OPT_PASSTHROUGH_DATACLASS | OPT_PASSTHROUGH_DATETIME | OPT_PASSTHROUGH_SUBCLASS

log = structlog.get_logger(__name__)


class Functions:
    """Calls functions one after the other, each with an event that nobody else has.

    Args:
        functions: in the order in which records go through them.
        circuit_breaker: for each call.
        metrics: counts `events_left_out`.
    """

    def __init__(self, functions: Sequence[Function], circuit_breaker: CircuitBreaker, metrics: Metrics) -> None:
        self._functions = tuple(functions)
        self._circuit_breaker = circuit_breaker
        self._metrics = metrics
        self._logged: set[tuple[str, object]] = set()

    def batch(self) -> AbstractContextManager[None]:
        """Return a context in which `apply` is called for a batch."""
        return self._circuit_breaker.batch()

    def apply(self, record: Record, *, counts: bool = True) -> Record | None:
        """Return the resulting record, with the same origin, offset and time; None if it is left out.

        A line that is no JSON object is no event, and goes on as it is.

        Args:
            record: stays as it is.
            counts: whether it is counted where it is left out.

        Raises:
            InvalidEventError: a function fails, takes too long or gives no event; its code is `processor` or `timeout`.
        """
        made: Record | None = record
        for function in self._functions:
            if made is None:
                break
            try:
                event = read_object(made.value)
            except InvalidEventError:
                break
            schema = str(event.get("schema"))
            try:
                made = self._one(function, made, event, schema)
            except InvalidEventError as error:
                self._log(function, error)
                raise
            if made is None and counts:
                self._metrics.count("events_left_out", schema=schema)
        return made

    def _one(self, function: Function, record: Record, event: Event, schema: str) -> Record | None:
        key = (function.name, schema)
        if self._circuit_breaker.is_open(key):
            raise InvalidEventError(
                f"function {function.name} took too long for other events of this schema", "timeout"
            )
        try:
            value, made = self._called(function, record, event)
        except EventTimeout:
            self._circuit_breaker.record_timeout(key)
            raise InvalidEventError(
                f"function {function.name} took more than {self._circuit_breaker.budget.seconds:g} s", "timeout"
            ) from None
        except InvalidEventError as error:
            raise InvalidEventError(f"function {function.name} {error.message}") from None
        except BaseException as error:
            raise InvalidEventError(f"function {function.name} failed: {error_text(error)}") from error
        self._circuit_breaker.record_success(key)
        if made is None:
            return None
        if value is record.value:
            return record
        staged = record.staged(value, made)
        staged.valid = record.valid
        return staged

    def _called(self, function: Function, record: Record, event: Event) -> tuple[bytes, Event | None]:
        """Return what the function makes of the event, as JSON and as that is read.

        Raises:
            EventTimeout: it took too long.
        """
        try:
            self._circuit_breaker.budget.current_record = record
            result = function.call(event)
            if function.decides:
                return record.value, event if result else None
            return (b"", None) if result is None else _written(result, ours=function.ours)
        finally:
            self._circuit_breaker.budget.current_record = None

    def _log(self, function: Function, error: InvalidEventError) -> None:
        """Log a failure once for each kind: there may be as many as there are events."""
        cause = error.__cause__
        error_type = (function.name, error.code if cause is None else type(cause))
        if error_type not in self._logged:
            self._logged.add(error_type)
            log.error(
                "a function fails; such events become EventErrors",
                code="function_failed",
                reason=error.message,
                exc_info=cause,
            )


def _written(result: Any, *, ours: bool) -> tuple[bytes, Event]:
    """Return an event that a function gives, as JSON and as that is read.

    Args:
        result: what it gives.
        ours: as of `Function`.

    Raises:
        InvalidEventError: it is no JSON object.
        TypeError, ValueError: something in it is no JSON.
    """
    if not isinstance(result, dict):
        raise InvalidEventError(f"gave {type(result).__name__}; expected an event, which is a dict, or None")
    try:
        value = dumps(result, None, _ONLY_JSON)
        # NaN, for one, is written as null.
        event = result if ours else read_object(value)
        if ours or event == result:
            return value, event
    except TypeError:
        # Also of an integer beyond 64 bits, which is JSON.
        pass
    value = json.dumps(result, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    return value, read_object(value)
