# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Sends record batches in a transaction, and finds those that a broker refuses without losing the others.

Where a broker refuses a batch its transaction can only be aborted. So the refused ones are looked for in transactions
that are aborted again, and then everything else is sent once more.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from confluent_kafka import KafkaError

from elworkers.connectors.kafka.batch_sender import BatchSender
from elworkers.connectors.kafka.batches import RecordBatch
from elworkers.connectors.kafka.confluent.client import ClientEvents
from elworkers.connectors.kafka.confluent.delivery_sender import Refused, rounds
from elworkers.connectors.kafka.confluent.errors import translated
from elworkers.connectors.kafka.confluent.failures import Failure, Failures
from elworkers.connectors.kafka.error_codes import OUTAGES
from elworkers.core.errors import RetryableError

_MAX_ATTEMPTS = 20
"""Refused sends of a flush after which it counts as an outage: each finds at least one record that is refused."""

_MAX_RESTARTS = 3
"""Times that what was not sent is sent before that counts as an outage."""

_NO_CODE = -1
"""Kafka's code for an error that has none."""

_UNSENT = frozenset((KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT, KafkaError._STATE))
"""Codes of what was not sent, or no longer counts, because something else was refused."""


_Unsent = tuple[RecordBatch, Failure]
"""A batch of which something was not sent, and why."""


class OpenTransaction(Protocol):
    """A transaction that batches are sent in.

    Attributes:
        sent: what it has, in portions that are sent apart from each other.
    """

    sent: list[list[RecordBatch]]

    @property
    def events(self) -> ClientEvents:
        """What the client says beside its answers."""

    def deliver(self, batches: Sequence[RecordBatch]) -> Failures:
        """See `DeliveryClient.deliver`."""

    def restart(self) -> None:
        """Abort the transaction, and begin another one.

        Raises:
            RetryableError: that is not possible now.
        """

    def resend_offsets(self) -> None:
        """Add the offsets again that the transaction had before it was restarted.

        Raises:
            RetryableError: that is not possible now.
        """


class TransactionalSender(BatchSender):
    """Sends the record batches of one flush.

    Args:
        transaction: what they are sent in.
    """

    def __init__(self, transaction: OpenTransaction) -> None:
        super().__init__()
        self._transaction = transaction

    def send(self, batches: Iterable[RecordBatch]) -> None:
        """See `BatchSender.send`."""
        whole: list[RecordBatch] = []
        for one in batches:
            (whole if one.leader else self.leaderless).append(one)
        try:
            self._send(whole)
        except RetryableError as error:
            self.outage = self.outage or error

    def _send(self, whole: list[RecordBatch]) -> None:
        before = self._transaction.sent
        parts: list[RecordBatch] = []
        portions, earlier = [whole], before
        for attempt in range(_MAX_ATTEMPTS):
            refused = self._deliver(portions, earlier)
            if not refused:
                self._transaction.sent = [*before, whole, *rounds(parts)]
                if attempt:
                    self._transaction.resend_offsets()
                for one in (*whole, *parts):
                    self._answered(one, 0)
                return
            found = {id(one) for one, _ in refused}
            before = [[one for one in portion if id(one) not in found] for portion in before]
            whole = [one for one in whole if id(one) not in found]
            parts = [*(one for one in parts if id(one) not in found), *self._accepted_parts(refused)]
            self._transaction.restart()
            portions, earlier = [*before, whole, *rounds(parts)], []
        self.fail("Kafka: the brokers refuse again and again what they have taken before")

    def _accepted_parts(self, refused: Refused) -> Iterator[RecordBatch]:
        """Yield what is accepted of batches, in parts; the rest is added to `rejected`."""
        # At first as they are: librdkafka may have made one batch of several.
        parts = [one for one, _ in refused]
        is_broken = True
        while parts:
            found: Refused = []
            for one in parts:
                if is_broken:
                    self._transaction.restart()
                again = self._deliver([[one]])
                is_broken = bool(again)
                found += again
                if not again:
                    yield one
            parts = [part for one, code in found for part in self._split(one, code)]

    def _deliver(self, portions: list[list[RecordBatch]], earlier: Sequence[list[RecordBatch]] = ()) -> Refused:
        """Send portions up to one of which something is refused, and return that, with Kafka's error code.

        Args:
            portions: what to send.
            earlier: what the transaction has, for when it has to be restarted.

        Raises:
            RetryableError: the brokers are away, or the transaction is no longer possible.
        """
        last: Exception = RuntimeError("nothing was sent")
        for _ in range(_MAX_RESTARTS):
            for portion in portions:
                failures = self._transaction.deliver(portion)
                refused, unsent = self._refused(portion, failures) if failures else ([], None)
                if refused:
                    return refused
                if unsent is not None:
                    last = self._outage(*unsent)
                    break
            else:
                return []
            # A gap in its sequence numbers, which the refused ones had: librdkafka needs another epoch.
            self._transaction.restart()
            portions, earlier = [*earlier, *portions], ()
        raise last

    def _refused(self, portion: Sequence[RecordBatch], failures: Failures) -> tuple[Refused, _Unsent | None]:
        """Return the batches that are refused, whole, and one that was not sent if any.

        Raises:
            RetryableError: the brokers are away, or the transaction is no longer possible.
        """
        refused: dict[int, tuple[RecordBatch, int]] = {}
        unsent: _Unsent | None = None
        for one in portion:
            for _, failure in failures.outcomes([one]):
                if failure is None:
                    continue
                code = _NO_CODE if failure.cause is not None else failure.broker_code
                if code is not None and code not in OUTAGES:
                    refused.setdefault(id(one), (one, code))
                elif failure.error.code() in _UNSENT:
                    unsent = one, failure
                else:
                    raise self._outage(one, failure)
        return list(refused.values()), unsent

    def _outage(self, one: RecordBatch, failure: Failure) -> Exception:
        operation = f"produce to {one.partition.topic}[{one.partition.partition}] in a transaction"
        return translated(failure.error, operation, self._transaction.events)
