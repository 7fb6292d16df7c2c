# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Puts a sequence number and a tab before each line."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable

import structlog

from elworkers.core.contracts import Assignment, Record

Draw = Callable[[int], int]
"""Draws this many consecutive numbers, and returns the first."""

_OFFSET_BITS = 40
_PARTITION_BITS = 63 - _OFFSET_BITS

log = structlog.get_logger(__name__)


class CountStage:
    """Numbers lines that come once; implements `contracts.Stage`.

    Args:
        draw: where numbers come from; may raise RetryableError.
    """

    def __init__(self, draw: Draw) -> None:
        self._draw = draw

    def __call__(self, records: list[Record]) -> list[Record]:
        """See `contracts.Stage`."""
        return [numbered(record, number) for number, record in enumerate(records, self._draw(len(records)))]


class OffsetNumberStage:
    """Numbers lines of Kafka by partition and offset, so that one that is read again has the number that it had.

    Implements `contracts.Stage`. The upper 23 of a number's 63 bits are a digest of topic and partition, the lower 40
    are the offset.
    """

    def __init__(self) -> None:
        self._first_numbers: dict[Assignment, int] = {}

    def __call__(self, records: list[Record]) -> list[Record]:
        """See `contracts.Stage`."""
        return [numbered(record, self._first_number(record.origin) + record.offset) for record in records]

    def _first_number(self, origin: Assignment | None) -> int:
        if origin is None:
            raise ValueError("a line of Kafka has a topic and a partition")
        begin = self._first_numbers.get(origin)
        if begin is None:
            # Not of the cluster: that is what the operator wrote for it, brokers in any order.
            partition = f"{origin.topic}/{origin.partition}".encode()
            digest = int.from_bytes(hashlib.sha256(partition).digest()[:8], "big") >> (64 - _PARTITION_BITS)
            # Each rebalance makes another origin of the same partition.
            self._first_numbers = {one: first for one, first in self._first_numbers.items() if one[:2] != origin[:2]}
            begin = self._first_numbers[origin] = digest << _OFFSET_BITS
        return begin


class ClockNumbers:
    """Numbers from the present time on, in ms since the epoch, where there is no run folder to remember any."""

    def __init__(self) -> None:
        self._next = int(time.time() * 1000)
        log.warning(
            "no run folder to remember sequence numbers in; they begin at the clock, in milliseconds",
            code="sequence_start_by_clock",
            first=self._next,
            expected="EVENTLOGGING_RUN_DIR",
        )

    def take(self, count: int) -> int:
        """See `Draw`."""
        first, self._next = self._next, self._next + count
        return first


def numbered(record: Record, number: int) -> Record:
    """Return the record with a number and a tab before its line."""
    return Record(
        b"%d\t%b" % (number, record.value),
        event=record.event,
        valid=record.valid,
        origin=record.origin,
        offset=record.offset,
        timestamp_ms=record.timestamp_ms,
        key=record.key,
    )
