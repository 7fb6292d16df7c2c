"""Messages of one topic come in; lines, by the place where they belong, go out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from elworkers.importer.hours import HOUR_S, NO_TIMES, Place, Sorter, times
from elworkers.kafka.messages import Fields


@dataclass(slots=True)
class Lines:
    """Lines for one place.

    Attributes:
        texts: each without its newline.
        first, last: offsets of the first and the last one.
    """

    texts: list[bytes]
    first: int
    last: int


def by_place(sorter: Sorter, schema: str, messages: Iterable[Fields], now_ms: int) -> dict[Place, Lines]:
    """The lines of messages, in their order, without those that say nothing and those that are only counted.

    Args:
        sorter: says where they belong.
        schema: of the topic.
        messages: of one partition, in order.
        now_ms: the time, in ms since the epoch.
    """
    found: dict[int | Place, Lines] = {}
    earliest_s, latest_s = sorter.whole_seconds(now_ms)
    for offset, kafka_ms, _, value in messages:
        line = value.strip() if value else b""
        if b"\n" in line or b"\r" in line:
            # A line is one event: a line break between two of JSON's tokens says nothing, and inside of one it is \n.
            line = line.replace(b"\r", b" ").replace(b"\n", b" ")
        try:
            seconds = times(line).timestamp if line.isascii() else None
        except NO_TIMES:
            seconds = None
        # What nearly every event has is not worth a call.
        if type(seconds) is int and earliest_s <= seconds <= latest_s:
            key: int | Place = seconds // HOUR_S
        elif line and (place := sorter.place(schema, line, kafka_ms, now_ms)) is not None:
            key = place if place.aside else place.hour
        else:
            continue
        lines = found.get(key)
        if lines is None:
            lines = found[key] = Lines([], offset, offset)
        lines.texts.append(line)
        lines.last = offset
    return {key if isinstance(key, Place) else Place(key): lines for key, lines in found.items()}
