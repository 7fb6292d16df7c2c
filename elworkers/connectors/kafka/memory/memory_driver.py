# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Makes clients of a Kafka in memory, whatever addresses they are given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from elworkers.config.topic_plan import TopicPlan
from elworkers.connectors.kafka.driver import AssignmentListener
from elworkers.connectors.kafka.memory.broker import MemoryBroker
from elworkers.connectors.kafka.memory.consumer import MemoryConsumer
from elworkers.connectors.kafka.memory.lookups import MemoryAdmin, MemoryReader
from elworkers.connectors.kafka.memory.producer import MemoryProducer
from elworkers.connectors.kafka.memory.transactional_producer import MemoryTransactionalProducer
from elworkers.connectors.kafka.producer_protocol import ProducerContext, ProducerSettings
from elworkers.core.contracts import Metrics


class MemoryDriver:
    """Implements `transactional.TransactionalDriver`.

    Args:
        broker: what all its clients talk to.
    """

    has_transactions = True

    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker

    def _connect(self) -> None:
        with self._broker.operation("connect"):
            pass

    def consumer(  # noqa: PLR0913, PLR0917 - a member, and who knows more of it
        self,
        hosts: Sequence[str],
        options: Mapping[str, Any],
        group: str,
        listener: AssignmentListener,
        metrics: Metrics,
        plan: TopicPlan | None = None,
        static_id: str | None = None,  # noqa: ARG002 - nobody comes back here
    ) -> MemoryConsumer:
        """See `driver.Driver.consumer`."""
        self._connect()
        return MemoryConsumer(self._broker, hosts, options, group, listener, metrics, plan)

    def producer(
        self, hosts: Sequence[str], settings: ProducerSettings, context: ProducerContext | None = None
    ) -> MemoryProducer:
        """See `driver.Driver.producer`; whoever comes first has a topic here, and nobody waits for leaders."""
        self._connect()
        return MemoryProducer(self._broker, hosts, settings, context)

    def transactional_producer(
        self,
        hosts: Sequence[str],
        settings: ProducerSettings,
        transactional_id: str,
        context: ProducerContext | None = None,
    ) -> MemoryTransactionalProducer:
        """See `transactional.TransactionalDriver.transactional_producer`."""
        self._connect()
        return MemoryTransactionalProducer(self._broker, hosts, settings, transactional_id, context)

    def admin(self, hosts: Sequence[str]) -> MemoryAdmin:  # noqa: ARG002 - there is one cluster
        """See `driver.Driver.admin`."""
        self._connect()
        return MemoryAdmin(self._broker)

    def reader(
        self,
        hosts: Sequence[str],  # noqa: ARG002 - there is one cluster
        partition_bytes: int = 1024 * 1024,  # noqa: ARG002 - nothing is sent in parts
        *,
        reads_uncommitted: bool = False,
    ) -> MemoryReader:
        """See `driver.Driver.reader`."""
        self._connect()
        return MemoryReader(self._broker, uncommitted=reads_uncommitted)

    def name_process(self, client_id: str) -> None:
        """See `driver.Driver.name_process`."""
        self._broker.client_ids.append(client_id)
