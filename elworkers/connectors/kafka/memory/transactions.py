# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Coordinates the transactions of the memory's Kafka."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from elworkers.connectors.kafka.memory.group import Committed
from elworkers.connectors.kafka.memory.logs import Log
from elworkers.core.contracts import TopicPartition
from elworkers.core.errors import RetryableError

TIMEOUT_S = 60.0
"""How long a transaction may be open."""


class ProducerEpoch(NamedTuple):
    """Which of the producers with the same transactional id one is."""

    transactional_id: str
    epoch: int


@dataclass
class Transaction:
    """An open transaction.

    Attributes:
        number: of all transactions of the broker.
        begun_s: when it was begun.
        offsets: by group, what is to be committed with it.
    """

    number: int
    begun_s: float
    offsets: dict[str, dict[TopicPartition, Committed]] = field(default_factory=dict)


class TransactionCoordinator:
    """Has at most one open transaction of each transactional id, and fences all but the newest producer of it."""

    def __init__(self) -> None:
        self._epochs: dict[str, int] = {}
        self._open: dict[str, Transaction] = {}
        self._committed: dict[str, int] = {}
        self._count = 0

    def register(self, transactional_id: str, logs: Iterable[Log]) -> ProducerEpoch:
        """Take a new producer in; aborts what an earlier one of its id has left open."""
        self._end(transactional_id, logs, commit=False)
        self._epochs[transactional_id] = self._epochs.get(transactional_id, 0) + 1
        return ProducerEpoch(transactional_id, self._epochs[transactional_id])

    def begin(self, producer: ProducerEpoch, now_s: float) -> int:
        """Begin a transaction; gives its number."""
        self._check(producer)
        self._count += 1
        self._open[producer.transactional_id] = Transaction(self._count, now_s)
        return self._count

    def transaction(self, producer: ProducerEpoch, number: int) -> Transaction:
        """Return a producer's open transaction.

        Raises:
            RetryableError: it is none any longer.
        """
        self._check(producer)
        found = self._open.get(producer.transactional_id)
        if found is None or found.number != number:
            raise RetryableError(f"Kafka: the transaction of {producer.transactional_id} was aborted")
        return found

    def commit(
        self, producer: ProducerEpoch, number: int, logs: Iterable[Log]
    ) -> Mapping[str, Mapping[TopicPartition, Committed]]:
        """Make a transaction's messages visible; gives the offsets to commit by group. A second time it does nothing.

        Raises:
            RetryableError: it was aborted meanwhile.
        """
        self._check(producer)
        if self._committed.get(producer.transactional_id) == number:
            return {}
        offsets = self.transaction(producer, number).offsets
        self._end(producer.transactional_id, logs, commit=True)
        return offsets

    def abort(self, producer: ProducerEpoch, logs: Iterable[Log]) -> None:
        """Abort what a producer has open."""
        self._check(producer)
        self._end(producer.transactional_id, logs, commit=False)

    def expire(self, now_s: float, logs: Iterable[Log]) -> None:
        """Abort transactions that are open for too long."""
        for transactional_id, one in list(self._open.items()):
            if now_s - one.begun_s > TIMEOUT_S:
                self._end(transactional_id, logs, commit=False)

    def undecided(self, group: str) -> Iterator[TopicPartition]:
        """Yield the partitions whose offsets of a group are in an open transaction."""
        for one in self._open.values():
            yield from one.offsets.get(group, ())

    def _check(self, producer: ProducerEpoch) -> None:
        if self._epochs[producer.transactional_id] != producer.epoch:
            raise RetryableError(
                f"Kafka: a newer producer has the transactional id {producer.transactional_id}; this one is fenced"
            )

    def _end(self, transactional_id: str, logs: Iterable[Log], *, commit: bool) -> None:
        found = self._open.pop(transactional_id, None)
        if found is not None:
            for log in logs:
                log.end_transaction(found.number, commit=commit)
            if commit:
                self._committed[transactional_id] = found.number
