# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Writes records and offsets in transactions by librdkafka."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import structlog

from elworkers.connectors.kafka.batches import RecordBatch
from elworkers.connectors.kafka.confluent.client import ClientEvents
from elworkers.connectors.kafka.confluent.delivery_client import DeliveryClient
from elworkers.connectors.kafka.confluent.delivery_sender import DeliverySender, new_encoding
from elworkers.connectors.kafka.confluent.failures import Failures
from elworkers.connectors.kafka.confluent.producer import say_acks
from elworkers.connectors.kafka.confluent.topic_lookup import TopicLookup
from elworkers.connectors.kafka.confluent.transactional_client import (
    DEFAULT_TIMEOUTS,
    Timeouts,
    TransactionalClient,
    TransactionError,
)
from elworkers.connectors.kafka.confluent.transactional_sender import TransactionalSender
from elworkers.connectors.kafka.driver import Reader
from elworkers.connectors.kafka.producer_protocol import ProducerContext, ProducerSettings
from elworkers.connectors.kafka.records_by_topic import RecordsByTopic
from elworkers.connectors.kafka.topics_producer import TopicsProducer
from elworkers.connectors.kafka.transactional import GroupMetadata
from elworkers.core.contracts import TopicPartition
from elworkers.core.errors import RetryableError

log = structlog.get_logger(__name__)


class ConfluentTransactionalProducer(TopicsProducer):
    """Implements `transactional.TransactionalProducer`.

    Args:
        hosts: the brokers, each `host:port`.
        settings: how messages are produced.
        options: of a URI, typed: those that say how to connect.
        reader: see `topic_owners.TopicOwners`.
        transactional_id: names the producer over restarts.
        context: see `TopicsProducer`.
        timeouts: how long things may take.

    Attributes:
        in_doubt: see `transactional.TransactionalProducer`.
        sent: see `transactional_sender.OpenTransaction`.

    Raises:
        RetryableError: no broker answers.
        ConfigurationError: an option cannot be had.
    """

    def __init__(  # noqa: PLR0913 - who the producer is, what it talks to, and what it shares
        self,
        hosts: Sequence[str],
        settings: ProducerSettings,
        options: Mapping[str, Any],
        reader: Callable[[int], Reader],
        transactional_id: str,
        context: ProducerContext | None = None,
        *,
        timeouts: Timeouts = DEFAULT_TIMEOUTS,
    ) -> None:
        say_acks(hosts, settings)
        self._transactional_id = transactional_id
        self._new_client = partial(TransactionalClient, hosts, options, settings, transactional_id, timeouts)
        self._new_claimant = partial(DeliveryClient, hosts, options, settings)
        self._client = self._new_client()
        self._claimant: DeliveryClient | None = None
        self._is_open = False
        self._offsets: dict[TopicPartition, int] = {}
        self._group: GroupMetadata = None
        self._encoding = new_encoding()
        self.in_doubt = False
        self.sent: list[list[RecordBatch]] = []
        super().__init__(
            hosts,
            settings,
            context,
            topics=TopicLookup(lambda: self._client, hosts, options, settings.metadata_max_age_ms),
            reader=reader,
            sender=lambda: TransactionalSender(self),
            claim_sender=self._claim_sender,
        )

    def _claim_sender(self) -> DeliverySender:
        # A claim counts for all from the moment on in which it is written, whatever becomes of the transaction.
        self._claimant = self._claimant or self._new_claimant()
        return DeliverySender(self._claimant, self._encoding)

    @property
    def events(self) -> ClientEvents:
        """See `transactional_sender.OpenTransaction`."""
        return self._client.events

    def begin(self) -> None:
        """See `transactional.TransactionalProducer.begin`."""
        if self._is_open:
            raise RuntimeError("a transaction is open already")
        self._begin()
        self._offsets = {}
        self._is_open = True

    def _begin(self) -> None:
        doubt = self._client.doubt
        if doubt:
            log.warning(
                "a broker may still get a request of the last transaction; another producer begins the next one",
                code="kafka_transaction_doubt",
                transactional_id=self._transactional_id,
                reason=doubt,
            )
            self._client.close()
            self._client = self._new_client()
        self._client.begin()
        self.sent = []

    def _check_open(self) -> None:
        if not self._is_open:
            raise RuntimeError("no transaction was begun")

    def _send_records(self, configured: RecordsByTopic, derived: RecordsByTopic, last: bool) -> None:
        self._check_open()
        super()._send_records(configured, derived, last)

    def deliver(self, batches: Sequence[RecordBatch]) -> Failures:
        """See `transactional_sender.OpenTransaction.deliver`."""
        return self._client.deliver(batches)

    def restart(self) -> None:
        """See `transactional_sender.OpenTransaction.restart`."""
        self._client.abort()
        self._begin()

    def resend_offsets(self) -> None:
        """See `transactional_sender.OpenTransaction.resend_offsets`."""
        if self._offsets:
            self._client.send_offsets(self._offsets, self._group)

    def send_offsets(self, positions: Mapping[TopicPartition, int], group: GroupMetadata) -> None:
        """See `transactional.TransactionalProducer.send_offsets`."""
        self._check_open()
        self._client.send_offsets(positions, group)
        self._offsets |= positions
        self._group = group

    def commit(self) -> None:
        """See `transactional.TransactionalProducer.commit`."""
        self._check_open()
        if not self.in_doubt:
            self.send(last=True)
        self.in_doubt = True
        try:
            self._client.commit()
        except TransactionError as error:
            self.in_doubt = not error.is_certain
            raise
        self.in_doubt = self._is_open = False

    def abort(self) -> None:
        """See `transactional.TransactionalProducer.abort`."""
        if self.in_doubt:
            raise RetryableError("Kafka: whether the transaction is committed is in doubt")
        self._clear()
        if not self._is_open:
            return
        self._client.abort()
        self._is_open = False

    def close(self) -> None:
        """See `producer_protocol.Producer.close`."""
        super().close()
        self._client.close()
        if self._claimant is not None:
            self._claimant.close()
