# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Writes records and offsets to the memory's Kafka in transactions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from elworkers.connectors.kafka.memory.broker import MemoryBroker
from elworkers.connectors.kafka.memory.group import Committed, GroupMember
from elworkers.connectors.kafka.memory.producer import MemoryProducer
from elworkers.connectors.kafka.producer_protocol import ProducerContext, ProducerSettings
from elworkers.connectors.kafka.records_by_topic import RecordsByTopic
from elworkers.connectors.kafka.transactional import GroupMetadata
from elworkers.core.contracts import TopicPartition
from elworkers.core.errors import RetryableError


class MemoryTransactionalProducer(MemoryProducer):
    """Implements `transactional.TransactionalProducer`.

    Args:
        broker: the Kafka.
        hosts, settings, transactional_id, context: see `transactional.TransactionalDriver`.

    Attributes:
        in_doubt: see `transactional.TransactionalProducer`.
    """

    def __init__(
        self,
        broker: MemoryBroker,
        hosts: Sequence[str],
        settings: ProducerSettings,
        transactional_id: str,
        context: ProducerContext | None = None,
    ) -> None:
        super().__init__(broker, hosts, settings, context)
        self.in_doubt = False
        with broker.operation("begin"):
            self._producer = broker.transactions.register(transactional_id, broker.logs())

    def begin(self) -> None:
        """See `transactional.TransactionalProducer.begin`."""
        if self._transaction is not None:
            raise RuntimeError("a transaction is open already")
        with self._broker.operation("begin"):
            self._transaction = self._broker.transactions.begin(self._producer, self._broker.clock.now_s())

    def _number(self) -> int:
        if self._transaction is None:
            raise RuntimeError("no transaction was begun")
        return self._transaction

    def _send_records(self, configured: RecordsByTopic, derived: RecordsByTopic, last: bool) -> None:
        self._broker.transactions.transaction(self._producer, self._number())
        super()._send_records(configured, derived, last)

    def send_offsets(self, positions: Mapping[TopicPartition, int], group: GroupMetadata) -> None:
        """See `transactional.TransactionalProducer.send_offsets`."""
        if not isinstance(group, GroupMember):
            raise TypeError(f"{group!r} is of no consumer of this driver")
        with self._broker.operation("send_offsets"):
            transaction = self._broker.transactions.transaction(self._producer, self._number())
            member = self._broker.groups[group.group].members.get(group.member_id)
            if member is None or not member.held.issuperset(positions):
                raise RetryableError(f"Kafka: the group {group.group} has moved on; offsets are not committed")
            transaction.offsets.setdefault(group.group, {}).update(
                {
                    partition: Committed(offset, self._broker.topics[partition.topic].topic_id)
                    for partition, offset in positions.items()
                }
            )

    def commit(self) -> None:
        """See `transactional.TransactionalProducer.commit`."""
        number = self._number()
        self.send(last=True)
        self.in_doubt = True
        with self._broker.operation("commit_transaction"):
            try:
                committed = self._broker.transactions.commit(self._producer, number, self._broker.logs())
            except RetryableError:
                self.in_doubt = False
                raise
            for group, offsets in committed.items():
                self._broker.groups[group].offsets |= offsets
        self.in_doubt, self._transaction = False, None

    def abort(self) -> None:
        """See `transactional.TransactionalProducer.abort`."""
        if self.in_doubt:
            raise RetryableError("Kafka: whether the transaction is committed is in doubt")
        self._clear()
        if self._transaction is None:
            return
        with self._broker.operation("abort"):
            self._broker.transactions.abort(self._producer, self._broker.logs())
        self._transaction = None
