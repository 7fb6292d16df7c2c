# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Writes what all sinks of a worker have, and the offsets of its sources, in one transaction for each batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

import structlog

from elworkers.config import endpoints
from elworkers.config.uris import Endpoint
from elworkers.connectors.connector import TRANSACTION, Worker
from elworkers.connectors.kafka.drivers import driver
from elworkers.connectors.kafka.producer_protocol import Route, TopicName
from elworkers.connectors.kafka.transactional import (
    GroupMetadata,
    TransactionalDriver,
    TransactionalProducer,
    has_transactions,
)
from elworkers.core.contracts import Destination, Positions, Record, RejectedRecord, TopicPartition
from elworkers.core.errors import RetryableError

log = structlog.get_logger(__name__)


class OffsetSource(Protocol):
    """A source whose offsets are committed in the transaction."""

    def held(self, positions: Positions) -> Mapping[TopicPartition, int]:
        """Return those of the positions that are of partitions which it holds."""

    def group_metadata(self) -> GroupMetadata:
        """Return its consumer's place in the group."""


class WorkerTransaction:
    """A worker's transactions, one after another.

    Implements `capabilities.Transaction` for the loop and `producer_protocol.Producer` for all sinks of the pipeline.
    It lives as long as a pipeline: after a failure another one is made, whose producer ends what this one has left
    open.
    """

    def __init__(self) -> None:
        self._sources: list[OffsetSource] = []
        self._producer: TransactionalProducer | None = None
        self._begun = False

    def add_source(self, source: OffsetSource) -> None:
        """Commit the offsets of a source as well."""
        self._sources.append(source)

    def with_producer(self, make: Callable[[], TransactionalProducer]) -> WorkerTransaction:
        """Return this; the first sink has its producer made.

        Raises:
            RetryableError: no broker answers, or one cannot end what an earlier producer has left open.
        """
        if self._producer is None:
            self._producer = make()
        return self

    def _open(self) -> TransactionalProducer:
        """Return the producer, in a transaction."""
        producer = self._made()
        if not self._begun:
            producer.begin()
            self._begun = True
        return producer

    def _made(self) -> TransactionalProducer:
        assert self._producer is not None  # noqa: S101 - a pipeline has at least one sink
        return self._producer

    def produce(self, records: Iterable[Record], route: Route, *, derived: bool = False) -> None:
        """See `producer_protocol.Producer.produce`."""
        taken = records if isinstance(records, list) else list(records)
        if taken:
            self._open().produce(taken, route, derived=derived)

    def wants_more(self) -> bool:
        """See `producer_protocol.Producer.wants_more`."""
        return self._made().wants_more()

    def send(self) -> None:
        """See `producer_protocol.Producer.send`."""
        if self._begun:
            self._made().send()

    def flush(self) -> list[RejectedRecord]:
        """See `producer_protocol.Producer.flush`."""
        return self._made().flush() if self._begun else []

    def destination(self, name: TopicName, record: Record) -> Destination:
        """See `producer_protocol.Producer.destination`."""
        return self._made().destination(name, record)

    def commit(self, positions: Positions) -> None:
        """See `capabilities.Transaction.commit`; also offsets of a batch that no sink has got anything of."""
        held = [(source, offsets) for source in self._sources if (offsets := source.held(positions))]
        if not (self._begun or held):
            return
        producer = self._open()
        for source, offsets in held:
            producer.send_offsets(offsets, source.group_metadata())
        producer.commit()
        self._begun = False

    def lose(self) -> None:
        """Take note that partitions have left without waiting, maybe some whose records are in the transaction.

        Raises:
            RetryableError: a transaction is open, which has to be aborted.
        """
        if self._begun:
            raise RetryableError("Kafka: the group has moved on; the transaction with what was read before is aborted")

    def close(self) -> None:
        """See `capabilities.Transaction.close`."""
        producer, self._producer = self._producer, None
        if producer is None:
            return
        try:
            # What is in doubt is ended by the producer that comes next, and before that nobody knows how.
            if self._begun and not producer.in_doubt:
                producer.abort()
        except RetryableError as error:
            log.info(
                "a transaction could not be aborted; the next producer ends it",
                code="kafka_abort_failed",
                reason=str(error),
            )
        finally:
            self._begun = False
            producer.close()


def transactional_driver(endpoint: Endpoint) -> TransactionalDriver:
    """Return the driver for an input or output of an instance whose outputs have exactly_once=True.

    Raises:
        ConfigurationError: the client that is named has no transactions.
        RetryableError: no broker answers.
    """
    options = {**endpoint.options, "exactly_once": True}
    found = driver(endpoints.brokers(endpoint.uri), endpoint.uri.client, options)
    assert has_transactions(found)  # noqa: S101 - the option chooses such a client, or is refused
    return found


def transaction_of(worker: Worker) -> WorkerTransaction:
    """Return the transaction of the worker's pipeline."""
    found: WorkerTransaction = worker.pipeline_state.setdefault(TRANSACTION, WorkerTransaction())
    return found
