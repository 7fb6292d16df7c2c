# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Tells which records librdkafka has not delivered, and why."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import repeat
from typing import Any, NamedTuple

from confluent_kafka import KafkaError

from elworkers.connectors.kafka.batches import RecordBatch
from elworkers.core.contracts import Record, TopicPartition

_INVALID_RECORD = 87

_PRODUCER_CODES = frozenset(
    (
        KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER,
        KafkaError.DUPLICATE_SEQUENCE_NUMBER,
        KafkaError.INVALID_PRODUCER_EPOCH,
        KafkaError.INVALID_TXN_STATE,
        KafkaError.INVALID_PRODUCER_ID_MAPPING,
        KafkaError.CONCURRENT_TRANSACTIONS,
        KafkaError.UNKNOWN_PRODUCER_ID,
        KafkaError.PRODUCER_FENCED,
    )
)
"""Kafka's codes about the producer, which say nothing about its records."""

_NOT_STORED = frozenset(
    (
        KafkaError._PURGE_QUEUE,
        KafkaError._QUEUE_FULL,
        KafkaError._UNKNOWN_TOPIC,
        KafkaError._UNKNOWN_PARTITION,
        KafkaError._STATE,
        KafkaError._FATAL,
    )
)
"""librdkafka's own codes for what it has never sent."""


class Failure(NamedTuple):
    """Why a record was not delivered.

    Attributes:
        error: what librdkafka or a broker says.
        cause: what librdkafka's own Python code has raised instead.
    """

    error: KafkaError
    cause: Exception | None = None

    @property
    def broker_code(self) -> int | None:
        """Kafka's error code where this is a broker's answer about a record; None where it is not."""
        code = self.error.code()
        if code == KafkaError._INVALID_DIFFERENT_RECORD:
            # Another record of its batch was meant.
            return _INVALID_RECORD
        return None if code < 0 or code in _PRODUCER_CODES else code

    @property
    def may_be_stored(self) -> bool:
        """Whether a broker may have the record all the same."""
        return self.error.code() not in _NOT_STORED


_Reported = dict[tuple[bytes | None, bytes | None], list[Failure]]
"""Key and value → failures, one for each record: librdkafka tells no more. Of records that are the same any may be
meant."""


class Failures:
    """What was not delivered of some batches; false where all was."""

    def __init__(self) -> None:
        self._at_once: dict[tuple[TopicPartition, int], Failure] = {}
        self._reported: defaultdict[TopicPartition, _Reported] = defaultdict(dict)

    def __bool__(self) -> bool:
        return bool(self._at_once or self._reported)

    def report(self, error: KafkaError, message: Any) -> None:
        """Take a report of librdkafka's: its `on_delivery`."""
        by_record = self._reported[TopicPartition(message.topic(), message.partition())]
        by_record.setdefault((message.key(), message.value()), []).append(Failure(error))

    def add(self, partition: TopicPartition, record: Record, failure: Failure) -> None:
        """Take note that a record was not even taken."""
        self._at_once[partition, id(record)] = failure

    def outcomes(self, batches: Iterable[RecordBatch]) -> Iterator[tuple[RecordBatch, Failure | None]]:
        """Yield batches, or parts of them, and why they were not delivered; None where they were."""
        partitions = {partition for partition, _ in self._at_once} | self._reported.keys()
        for one in batches:
            if one.partition in partitions:
                yield from self._parts(one)
            else:
                yield one, None

    def _parts(self, one: RecordBatch) -> Iterator[tuple[RecordBatch, Failure | None]]:
        numbers: defaultdict[int, list[int]] = defaultdict(list)
        failures: dict[int, Failure | None] = {}
        for number, (record, key) in enumerate(zip(one.records, one.keys or repeat(None), strict=False)):
            failure = self._at_once.get((one.partition, id(record))) or self._take(one.partition, key, record)
            code = 0 if failure is None else failure.error.code()
            failures.setdefault(code, failure)
            numbers[code].append(number)
        for code, some in numbers.items():
            records = [one.records[number] for number in some]
            keys = [one.keys[number] for number in some] if one.keys else []
            yield RecordBatch(one.partition, one.leader, records, keys, 0), failures[code]

    def _take(self, partition: TopicPartition, key: bytes | None, record: Record) -> Failure | None:
        """Take out the report that is of a record; None where none is."""
        found = self._reported[partition].get((key, record.value))
        return found.pop() if found else None
