# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Drives the transactions of one client of librdkafka."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka import TopicPartition as ClientPartition

from elworkers.connectors.kafka.confluent import doubt
from elworkers.connectors.kafka.confluent.client import ClientEvents
from elworkers.connectors.kafka.confluent.delivery_client import PURGE_S, DeliveryClient, delivery_s
from elworkers.connectors.kafka.confluent.doubt import DoubtLog
from elworkers.connectors.kafka.confluent.errors import translated
from elworkers.connectors.kafka.producer_protocol import ProducerSettings
from elworkers.connectors.kafka.transactional import GroupMetadata
from elworkers.core.contracts import TopicPartition
from elworkers.core.errors import RetryableError

_FENCED = frozenset((KafkaError._FENCED, KafkaError.INVALID_PRODUCER_EPOCH, KafkaError.PRODUCER_FENCED))

_GROUP_MOVED_ON = frozenset(
    (
        KafkaError.UNKNOWN_MEMBER_ID,
        KafkaError.ILLEGAL_GENERATION,
        KafkaError.FENCED_INSTANCE_ID,
        KafkaError.STALE_MEMBER_EPOCH,
        KafkaError.REBALANCE_IN_PROGRESS,
    )
)

_ABORTED = frozenset((KafkaError.INVALID_TXN_STATE, KafkaError.INVALID_PRODUCER_ID_MAPPING))

_CLOSING_S, _SLICE_S = 5.0, 0.1


class Timeouts(NamedTuple):
    """How long things may take.

    Attributes:
        transaction_ms: a transaction, until the brokers abort it.
        request_ms: a request, until it is given up and sent again.
        call_s: a call, until it is in doubt.
    """

    transaction_ms: int = 60_000
    request_ms: int = 15_000
    call_s: float = 40.0


DEFAULT_TIMEOUTS = Timeouts()


class TransactionError(RetryableError):
    """A transaction cannot go on.

    Attributes:
        is_certain: it is not committed, and never will be.
    """

    is_certain = False


class TransactionalClient(DeliveryClient):
    """A producer of librdkafka after `init_transactions`: what an earlier one of its id has left open was ended.

    Args:
        hosts, options, produced: see `DeliveryClient`.
        transactional_id: names the producer over restarts.
        timeouts: how long things may take.

    Raises:
        RetryableError: no broker answers.
        ConfigurationError: an option cannot be had.
    """

    def __init__(
        self,
        hosts: Sequence[str],
        options: Mapping[str, Any],
        produced: ProducerSettings,
        transactional_id: str,
        timeouts: Timeouts,
    ) -> None:
        events = ClientEvents(hosts)
        self._id = transactional_id
        self._call_s = timeouts.call_s
        self._fenced: TransactionError | None = None
        self._log = DoubtLog(events)
        super().__init__(
            hosts,
            options,
            produced,
            events,
            {
                **doubt.SETTINGS,
                "transactional.id": transactional_id,
                "transaction.timeout.ms": timeouts.transaction_ms,
                "socket.timeout.ms": timeouts.request_ms,
                "message.timeout.ms": min(timeouts.transaction_ms, int(delivery_s(produced) * 1000)),
                "logger": self._log,
            },
        )
        try:
            self.client.init_transactions(self._call_s)
        except KafkaException as error:
            found = self._error("begin to use the transactional id", error)
            # It would go on with that, and fence the next one.
            DeliveryClient.close(self)
            raise found from error

    @property
    def doubt(self) -> str:
        """Why another client has to begin the next transaction; empty where this one can."""
        self.serve()
        return self._log.reason

    def begin(self) -> None:
        """Begin a transaction.

        Raises:
            RetryableError: this producer is of no further use.
        """
        try:
            self.client.begin_transaction()
        except KafkaException as error:
            raise self._error("begin a transaction", error) from error

    def send_offsets(self, positions: Mapping[TopicPartition, int], group: GroupMetadata) -> None:
        """Add offsets to the transaction.

        Args:
            positions: partition → the offset to read next.
            group: of the consumer that has polled what is before them.

        Raises:
            RetryableError: the transaction can only be aborted.
        """
        if self._fenced is not None:
            # librdkafka has nothing to say where there is nothing to add.
            raise self._fenced
        wanted = [ClientPartition(*one, offset) for one, offset in positions.items()]
        try:
            self.client.send_offsets_to_transaction(wanted, group, self._call_s)
        except KafkaException as error:
            raise self._error("commit offsets in a transaction", error) from error

    def commit(self) -> None:
        """Commit the transaction.

        Raises:
            TransactionError: it is not committed, or that is not known.
            RetryableError: it is not known.
        """
        try:
            self.client.commit_transaction(self._call_s)
        except KafkaException as error:
            raise self._error("commit a transaction", error) from error

    def abort(self, within_s: float | None = None) -> None:
        """Abort the transaction.

        Raises:
            RetryableError: this producer is of no further use.
        """
        try:
            self.client.abort_transaction(self._call_s if within_s is None else within_s)
        except KafkaException as error:
            raise self._error("abort a transaction", error) from error

    def _error(self, operation: str, raised: KafkaException) -> Exception:
        error: KafkaError = raised.args[0]
        code = error.code()
        if code in _FENCED:
            found = TransactionError(
                f"Kafka: {operation}: this producer is fenced: a newer one has its transactional id {self._id}, or the"
                " brokers have aborted its transaction because that was open for too long"
            )
            self._fenced = found
        elif code in _GROUP_MOVED_ON:
            found = TransactionError(f"Kafka: {operation}: the group has moved on ({error.name()})")
        elif code in _ABORTED:
            found = TransactionError(f"Kafka: {operation}: the brokers have aborted it ({error.name()})")
        elif code > 0 and code != KafkaError.REQUEST_TIMED_OUT and error.txn_requires_abort():
            found = TransactionError(f"Kafka: {operation}: {error.str()} ({error.name()})")
        else:
            return translated(error, operation, self.events)
        found.is_certain = not self.doubt
        return found

    def _flush(self, deadline: float) -> None:
        # A refusal ends the transaction, and what else there is would wait for its time to be up.
        while self.client.flush(_SLICE_S):
            if self._failures:
                self.client.purge(in_flight=False)
            if time.monotonic() > deadline:
                self.client.purge()
                self.client.flush(PURGE_S)
                return

    def close(self) -> None:
        """Abort what is open, and drop the connections; never raises."""
        with contextlib.suppress(KafkaException, RetryableError):
            self.client.purge()
            self.abort(_CLOSING_S)
        super().close()
