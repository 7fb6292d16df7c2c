# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Looks up offsets by time, with a version of ListOffsets that pykafka lacks."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any

from elworkers.connectors.kafka.error_codes import describe, error_type
from elworkers.connectors.kafka.pykafka.protocol import RawRequest, ResponseReader, array, ask, short

_LIST_OFFSETS, _VERSION = 2, 1
_NO_REPLICA = struct.pack(">i", -1)


def offsets_at(broker: Any, partitions: Iterable[tuple[str, int]], time_ms: int) -> dict[tuple[str, int], int]:
    """Return the offset of the first message of this time or later, of each partition that has one.

    Args:
        broker: of pykafka, which leads the partitions.
        partitions: topics and numbers.
        time_ms: in ms since the epoch.

    Raises:
        RetryableError: the broker refuses one.
    """
    by_topic: dict[str, list[bytes]] = {}
    for topic, number in partitions:
        by_topic.setdefault(topic, []).append(struct.pack(">iq", number, time_ms))
    topics = [short(topic) + array(items) for topic, items in by_topic.items()]
    response = ask(broker, RawRequest(_LIST_OFFSETS, _VERSION, _NO_REPLICA + array(topics)))
    offsets: dict[tuple[str, int], int] = {}
    for topic, items in list(response.items(lambda: _topic(response))):
        for number, error, offset in items:
            if error:
                raise error_type(error)(
                    f"Kafka: {topic}[{number}] does not say where it was at a time: {describe(error)}"
                )
            if offset >= 0:
                offsets[topic, number] = offset
    return offsets


def _topic(response: ResponseReader) -> tuple[str, list[tuple[int, int, int]]]:
    return response.short(), list(response.items(lambda: _partition(response)))


def _partition(response: ResponseReader) -> tuple[int, int, int]:
    number, error, _ = response.number(4), response.number(2), response.number(8)
    return number, error, response.number(8)
