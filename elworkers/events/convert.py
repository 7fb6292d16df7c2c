# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Converts events into the values of their table's columns. Pure: no database here.

A batch is converted column by column. Where all values of a column are of its type already, as they nearly always are,
that is one look at their types; `row` and `value` convert one event to the same, and name what is wrong with it.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import orjson

from elworkers.events.columns import Column, ColumnType
from elworkers.events.timestamps import unix_seconds_of

Event = Mapping[str, Any]

_NULL = type(None)
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
_PLAIN = frozenset({str, bool, _NULL})
_LATEST = 253_402_300_799
"""The last second of the year 9999."""

_SECONDS = [f"{second:02}" for second in range(60)]


class ColumnValues(NamedTuple):
    """One column of a batch.

    Attributes:
        type: the type of the column, and with it that of the values: bool, int, float (finite), datetime (UTC, without
            saying so) or str.
        values: one for each event.
        nulls: whether any of them is None.
    """

    type: ColumnType
    values: list[Any]
    nulls: bool


def by_column(events: Sequence[Event], wanted: Sequence[Column]) -> list[ColumnValues]:
    """Return the values of several capsules, column by column; None where an event has none.

    Raises:
        ValueError: at least one of the events cannot be stored; `row` raises for that one, and names the column.
    """
    inside: dict[tuple[str, ...], Sequence[Event]] = {(): events}
    return [_column(events, _inside(inside, column.path[:-1]), column) for column in wanted]


def row(event: Event, wanted: Sequence[Column]) -> dict[str, Any]:
    """Return the values of one capsule by column name; None where it has none.

    Raises:
        ValueError: names the column whose value cannot be one of its type.
    """
    return {column.name: value(event, column) for column in wanted}


def value(event: Event, column: Column) -> Any:
    """Return one value of one capsule.

    Raises:
        ValueError: names the column, whose type it cannot be of.
    """
    if column.type is ColumnType.CHAR14:
        return _stamp(event)
    found: Any = event
    for step in column.path:
        found = found.get(step) if isinstance(found, dict) else None
    return None if found is None else _converted(found, column)


def as_json(values: Sequence[Any]) -> ColumnValues:
    """Return a column of text: each value's JSON, or None."""
    encoded = [None if value is None else _ENCODER.encode(value) for value in values]
    return ColumnValues(ColumnType.MEDIUMTEXT, encoded, None in encoded)


def _inside(cached: dict[tuple[str, ...], Sequence[Event]], path: tuple[str, ...]) -> Sequence[Event]:
    if path not in cached:
        around, name = _inside(cached, path[:-1]), path[-1]
        found = [outer.get(name) for outer in around]
        cached[path] = [inner if isinstance(inner, dict) else {} for inner in found]
    return cached[path]


def _column(events: Sequence[Event], around: Sequence[Event], column: Column) -> ColumnValues:
    if column.type is ColumnType.CHAR14:
        stamps = _stamps(events)
        return ColumnValues(column.type, stamps, None in stamps)
    name = column.path[-1]
    values = [inner.get(name) for inner in around]
    types = set(map(type, values))
    nulls = _NULL in types
    types.discard(_NULL)
    if types and not _need_no_conversion(column.type, types, values):
        values = [None if one is None else _converted(one, column) for one in values]
    return ColumnValues(column.type, values, nulls)


def _need_no_conversion(column_type: ColumnType, types: set[type], values: Sequence[Any]) -> bool:
    if column_type is ColumnType.DOUBLE:
        return types == {float} and all(map(math.isfinite, filter(None, values)))
    return len(types) == 1 and types <= _WANTED[column_type]


def _converted(found: Any, column: Column) -> Any:
    try:
        return _CONVERSIONS[column.type](found)
    except (ValueError, OverflowError, TypeError):
        shown = repr(found)[:80]
        raise ValueError(f"column {column.name}: {shown} is no {column.type.name.lower()}") from None


def _stamps(events: Sequence[Event]) -> list[str | None]:
    seconds: list[Any] = [event.get("timestamp") for event in events]
    if set(map(type, seconds)) != {int} or max(seconds) > _LATEST or min(seconds) < 0:
        return [_stamp(event) for event in events]
    # Events of one batch are of few minutes.
    minutes = {minute: str(_stamp({"timestamp": minute * 60}))[:12] for minute in {second // 60 for second in seconds}}
    return [minutes[second // 60] + _SECONDS[second % 60] for second in seconds]


def _stamp(event: Event) -> str | None:
    seconds = event.get("timestamp")
    try:
        if isinstance(seconds, int | float) and not isinstance(seconds, bool):
            return _digits(datetime.fromtimestamp(unix_seconds_of(seconds), UTC))
        if isinstance(event.get("dt"), str):
            return _digits(_datetime(event["dt"]))
    except (ValueError, OverflowError, OSError):
        raise ValueError(f"column timestamp: {str(seconds)[:80]} is no time") from None
    return None


def _digits(time: datetime) -> str:
    text = time.isoformat()
    return text[:4] + text[5:7] + text[8:10] + text[11:13] + text[14:16] + text[17:19]


def _datetime(text: Any) -> datetime:
    if not isinstance(text, str):
        raise TypeError
    written = re.sub(r"[Zz]$", "+00:00", text.strip())
    try:
        parsed = datetime.fromisoformat(written)
    except ValueError:
        # No clock of Python's knows a leap second.
        earlier, leaps = re.subn(r"(?<=\d:[0-5]\d:)60", "59", written, count=1)
        if not leaps:
            raise
        parsed = datetime.fromisoformat(earlier) + timedelta(seconds=1)
    return parsed.astimezone(UTC).replace(tzinfo=None) if parsed.tzinfo else parsed


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if type(value) is dict and _PLAIN.issuperset(map(type, value.values())):
        # A parsed user agent: nothing in it that the two would write differently.
        return orjson.dumps(value).decode()
    return _ENCODER.encode(value)


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise ValueError


def _number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError
    return value


def _integer(value: Any) -> int:
    number = _number(value)
    if number != int(number):
        raise ValueError
    return int(number)


def _double(value: Any) -> float:
    number = float(_number(value))
    if not math.isfinite(number):
        raise ValueError
    return number


_CONVERSIONS: Mapping[ColumnType, Callable[[Any], Any]] = {
    ColumnType.BOOLEAN: _boolean,
    ColumnType.BIGINT: _integer,
    ColumnType.DOUBLE: _double,
    ColumnType.DATETIME: _datetime,
    ColumnType.CHAR32: _text,
    ColumnType.VARCHAR: _text,
    ColumnType.TEXT: _text,
    ColumnType.MEDIUMTEXT: _text,
}
_TEXT = frozenset({str})
_WANTED: Mapping[ColumnType, frozenset[type]] = {
    ColumnType.BOOLEAN: frozenset({bool}),
    ColumnType.BIGINT: frozenset({int}),
    ColumnType.DATETIME: frozenset(),
    ColumnType.CHAR32: _TEXT,
    ColumnType.VARCHAR: _TEXT,
    ColumnType.TEXT: _TEXT,
    ColumnType.MEDIUMTEXT: _TEXT,
}
"""Of which type a value is that needs no conversion."""
