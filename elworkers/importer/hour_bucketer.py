# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Sorts messages of one topic into the hours that they belong to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from elworkers.connectors.kafka.driver import RawMessage
from elworkers.importer.hours import HOUR_S, NO_TIMES, HourBucketer, HourPartition, times

_TOGETHER = 100
"""Messages that are looked at together, because mostly all of them are what nearly all are."""


@dataclass(slots=True)
class BucketedLines:
    """Lines for one place.

    Attributes:
        texts: each without its newline.
        first, last: offsets of the first and the last one.
    """

    texts: list[bytes]
    first: int
    last: int


def by_place(
    sorter: HourBucketer, schema: str, messages: Sequence[RawMessage], now_ms: int
) -> dict[HourPartition, BucketedLines]:
    """Return the lines of messages, in their order, without those that say nothing and those that are only counted.

    Args:
        sorter: says where they belong.
        schema: of the topic.
        messages: of one partition, in order.
        now_ms: the time, in ms since the epoch.
    """
    found: dict[int | HourPartition, BucketedLines] = {}
    span = sorter.whole_seconds(now_ms)
    for begin in range(0, len(messages), _TOGETHER):
        some = messages[begin : begin + _TOGETHER]
        plain = _plain(some, *span)
        if plain is None:
            for offset, kafka_ms, _, value in some:
                line = as_line(value)
                place = sorter.place(schema, line, kafka_ms, now_ms) if line else None
                if place is not None:
                    _add(found, place if place.aside else place.hour, [line], offset, offset)
            continue
        texts, seconds = plain
        hour = min(seconds) // HOUR_S
        if hour == max(seconds) // HOUR_S:
            _add(found, hour, texts, some[0][0], some[-1][0])
            continue
        for (offset, *_), text, second in zip(some, texts, seconds, strict=True):
            _add(found, second // HOUR_S, [text], offset, offset)
    return {key if isinstance(key, HourPartition) else HourPartition(key): lines for key, lines in found.items()}


def as_line(value: bytes | None) -> bytes:
    """Return a message as a line of a file, without its newline; nothing for a message that says nothing."""
    # A file's line is one event: a line break between two of JSON's tokens says nothing, and inside of one it is \n.
    return value.strip().replace(b"\r", b" ").replace(b"\n", b" ") if value else b""


def _plain(some: Sequence[RawMessage], earliest_s: int, latest_s: int) -> tuple[list[bytes], list[int]] | None:
    """Return lines and timestamps of messages that are all one-line JSON with whole seconds in the range; else None."""
    try:
        texts = [value.strip() for _, _, _, value in some]  # type: ignore[union-attr]
        joined = b"".join(texts)
        if b"\n" in joined or b"\r" in joined:
            return None
        # UTF-8 all together is UTF-8 each: with a brace, with which each of them begins, no character goes on.
        joined.decode()
        seconds = [one.timestamp for one in map(times, texts)]
    except (AttributeError, *NO_TIMES):
        return None
    if set(map(type, seconds)) != {int} or min(seconds) < earliest_s or max(seconds) > latest_s:
        return None
    return texts, seconds


def _add(
    found: dict[int | HourPartition, BucketedLines], key: int | HourPartition, texts: list[bytes], first: int, last: int
) -> None:
    lines = found.get(key)
    if lines is None:
        found[key] = BucketedLines(texts, first, last)
    else:
        lines.texts += texts
        lines.last = last
