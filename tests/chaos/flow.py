# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Sends numbered events through a processor and a consumer, and counts them at each place."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import sqlalchemy
from outputs import values

from elworkers.config.uris import parse
from elworkers.connectors.kafka.sink import KafkaSink
from elworkers.connectors.registry import check_sink
from elworkers.connectors.sql import engine as database
from elworkers.core.contracts import Record

SCHEMA = "EchoMail"
REVISION = 5467650


_OF_EVENTS = b'{"event": {"emailDeliveryMode": "daily_digest"'
"""Begins each line that `event` makes."""


def event(number: int) -> bytes:
    """A valid capsule that carries a number."""
    capsule = {
        "event": {"emailDeliveryMode": "daily_digest", "recipientUserId": number, "version": "1"},
        "schema": SCHEMA,
        "revision": REVISION,
        "wiki": "w",
        "recvFrom": "h",
        "timestamp": 1469795696,
        "seqId": number,
    }
    return json.dumps(capsule).encode()


def produce(kafka: str, topic: str, numbers: Iterable[int], partitions: int = 4) -> None:
    """Write numbered events to a topic, in batches that go to its partitions in turn."""
    produce_lines(kafka, topic, [event(number) for number in numbers], partitions)


def produce_lines(kafka: str, topic: str, lines: Sequence[bytes], partitions: int = 4) -> None:
    """Write lines to a topic, in batches that go to its partitions in turn."""
    options = check_sink(f"kafka:///{kafka}?topic={topic}&partitions={partitions}").options
    sink = KafkaSink([kafka], options, lambda _: (topic, None))
    for begin in range(0, len(lines), 10):
        sink.write([Record(line) for line in lines[begin : begin + 10]])
        sink.flush()
    sink.close()


def numbers_of(values: Iterable[bytes]) -> list[int]:
    """The numbers of those events that carry one."""
    events = [json.loads(value) for value in values]
    return [one["event"]["recipientUserId"] for one in events if one["schema"] == SCHEMA]


class Count(NamedTuple):
    """How many of the numbers that were sent are missing at a place, and how many are there again."""

    lost: int
    again: int


def count(found: Iterable[int], sent: Iterable[int]) -> Count:
    """Compare what is there with what was sent."""
    seen = Counter(found)
    return Count(len(set(sent) - set(seen)), sum(times - 1 for times in seen.values()))


def more_often(found: Iterable[int], written: Iterable[int]) -> int:
    """How often numbers are there beyond how often they were written."""
    return (Counter(found) - Counter(written)).total()


def sent_in(kafka: str, topic: str, client: str = "") -> list[int]:
    """The numbers of the raw lines of `event` in a topic, among which there are others."""
    return [json.loads(value)["seqId"] for value in values(kafka, topic, client) if value.startswith(_OF_EVENTS)]


def in_topic(kafka: str, topic: str, client: str = "") -> list[int]:
    """The numbers of the events in a topic, as a client reads it."""
    return numbers_of(values(kafka, topic, client))


def in_file(path: Path) -> list[int]:
    """The numbers of the events in a log file, also before it is there."""
    return numbers_of(path.read_bytes().splitlines() if path.exists() else [])


def in_database(url: str, table: str) -> list[int]:
    """The numbers of the events in a table."""
    engine = database.engine(parse(url))
    try:
        with engine.connect() as connection:
            if not sqlalchemy.inspect(connection).has_table(table):
                return []
            column: Any = sqlalchemy.column("event_recipientUserId")
            rows = connection.execute(sqlalchemy.select(column).select_from(sqlalchemy.table(table)))
            return [number for (number,) in rows]
    finally:
        engine.dispose()
