# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Sends the record batches of a flush by librdkafka, and tells what became of each record."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest

from elworkers.connectors.kafka.batch_sender import BatchSender
from elworkers.connectors.kafka.batches import RecordBatch
from elworkers.connectors.kafka.confluent.delivery_client import DeliveryClient
from elworkers.connectors.kafka.confluent.errors import translated
from elworkers.connectors.kafka.confluent.failures import Failure
from elworkers.core.contracts import TopicPartition
from elworkers.core.errors import RetryableError
from elworkers.core.last_resort import LastResort

Refused = list[tuple[RecordBatch, int]]
"""Batches that are refused, with Kafka's error code."""


def new_encoding() -> LastResort:
    """Return what decides about records that librdkafka's Python code does not take."""
    return LastResort("encode", lambda: None)


class DeliverySender(BatchSender):
    """Sends the record batches of one flush.

    Args:
        client: what delivers them.
        encoding: decides about records that cannot be encoded.
    """

    def __init__(self, client: DeliveryClient, encoding: LastResort) -> None:
        super().__init__()
        self._client = client
        self._encoding = encoding

    def _exchange(self, batches: Iterable[RecordBatch], *, splitting: bool) -> Refused:
        sendable: list[RecordBatch] = []
        for one in batches:
            (sendable if one.leader else self.leaderless).append(one)
        if splitting:
            return [refused for some in rounds(sendable) for refused in self._send(some)]
        refused = self._send(sendable) if sendable else []
        # librdkafka may have made one batch of several, and for another's fault none is to be split.
        return self._exchange([one for one, _ in refused], splitting=True) if refused else []

    def _send(self, batches: Sequence[RecordBatch]) -> Refused:
        try:
            failures = self._client.deliver(batches)
        except RetryableError as error:
            self.outage = self.outage or error
            self.uncertain += batches
            return []
        if not failures:
            for one in batches:
                self._answered(one, 0)
            return []
        refused: Refused = []
        for part, failure in failures.outcomes(batches):
            if failure is None:
                self._answered(part, 0)
            elif failure.cause is not None:
                self.unencodable += [self._encoding.rejected(record, failure.cause) for record in part.records]
            elif failure.broker_code is None:
                self._failed(part, failure)
            elif self._answered(part, failure.broker_code):
                refused.append((part, failure.broker_code))
        return refused

    def _failed(self, one: RecordBatch, failure: Failure) -> None:
        operation = f"produce to {one.partition.topic}[{one.partition.partition}]"
        outage = translated(failure.error, operation, self._client.events)
        if not isinstance(outage, RetryableError):
            raise outage
        self.outage = self.outage or outage
        if failure.may_be_stored:
            self.uncertain.append(one)


def rounds(batches: Sequence[RecordBatch]) -> Iterator[list[RecordBatch]]:
    """Yield batches so that no two are of one partition: librdkafka would make one of them."""
    by_partition: defaultdict[TopicPartition, list[RecordBatch]] = defaultdict(list)
    for one in batches:
        by_partition[one.partition].append(one)
    for round_ in zip_longest(*by_partition.values()):
        yield [one for one in round_ if one is not None]
