# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Sorts messages of one topic into the hours that they belong to, many at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from elworkers.connectors.kafka.driver import RawMessage
from elworkers.importer.hour_bucketer import NO_TIMES, HourBucketer, times
from elworkers.importer.hours import HOUR_S, HourPartition

_TOGETHER = 100
"""Messages that are tried together: mostly each of them is one line with a time that is in range."""


@dataclass(slots=True)
class BucketedLines:
    """Lines for one folder of an hour.

    Attributes:
        lines: each without its newline.
        first, last: offsets of the first and the last one.
    """

    lines: list[bytes]
    first: int
    last: int


def by_hour(
    bucketer: HourBucketer, schema: str, messages: Sequence[RawMessage], now_ms: int
) -> dict[HourPartition, BucketedLines]:
    """Return the lines of messages, in their order, without blank messages and those that are only counted.

    Args:
        bucketer: says where they belong.
        schema: of the topic.
        messages: of one partition, in order.
        now_ms: the time, in ms since the epoch.
    """
    found: dict[int | HourPartition, BucketedLines] = {}
    span = bucketer.whole_seconds(now_ms)
    for begin in range(0, len(messages), _TOGETHER):
        chunk = messages[begin : begin + _TOGETHER]
        plain = _plain(chunk, *span)
        if plain is None:
            for offset, kafka_ms, _, value in chunk:
                line = as_line(value)
                into = bucketer.hour_partition(schema, line, kafka_ms, now_ms) if line else None
                if into is not None:
                    _add(found, into if into.prefix else into.hour, [line], offset, offset)
            continue
        lines, seconds = plain
        hour = min(seconds) // HOUR_S
        if hour == max(seconds) // HOUR_S:
            _add(found, hour, lines, chunk[0][0], chunk[-1][0])
            continue
        for (offset, *_), line, second in zip(chunk, lines, seconds, strict=True):
            _add(found, second // HOUR_S, [line], offset, offset)
    return {key if isinstance(key, HourPartition) else HourPartition(key): lines for key, lines in found.items()}


def as_line(value: bytes | None) -> bytes:
    """Return a message as a line of a file, without its newline; nothing for a blank message."""
    # A file's line is one event: a line break between two of JSON's tokens says nothing, and inside of one it is \n.
    return value.strip().replace(b"\r", b" ").replace(b"\n", b" ") if value else b""


def _plain(chunk: Sequence[RawMessage], earliest_s: int, latest_s: int) -> tuple[list[bytes], list[int]] | None:
    """Return lines and timestamps of messages that are all one-line JSON with whole seconds in the range; else None."""
    try:
        lines = [value.strip() for _, _, _, value in chunk]  # type: ignore[union-attr]
        joined = b"".join(lines)
        if b"\n" in joined or b"\r" in joined:
            return None
        # UTF-8 all together is UTF-8 each: with a brace, with which each of them begins, no character goes on.
        joined.decode()
        seconds = [one.timestamp for one in map(times, lines)]
    except (AttributeError, *NO_TIMES):
        return None
    if set(map(type, seconds)) != {int} or min(seconds) < earliest_s or max(seconds) > latest_s:
        return None
    return lines, seconds


def _add(
    found: dict[int | HourPartition, BucketedLines], key: int | HourPartition, lines: list[bytes], first: int, last: int
) -> None:
    bucketed = found.get(key)
    if bucketed is None:
        found[key] = BucketedLines(lines, first, last)
    else:
        bucketed.lines += lines
        bucketed.last = last
