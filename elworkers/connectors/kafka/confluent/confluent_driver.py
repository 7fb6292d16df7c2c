# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Makes clients of confluent-kafka: for every broker since 2.1, Kafka 4 included."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from elworkers.config.topic_plan import TopicPlan
from elworkers.connectors.kafka.confluent import client
from elworkers.connectors.kafka.confluent.admin import Admin
from elworkers.connectors.kafka.confluent.consumer import GroupConsumer
from elworkers.connectors.kafka.confluent.consumer_settings import MAX_POLL_INTERVAL_MS
from elworkers.connectors.kafka.confluent.producer import ConfluentProducer
from elworkers.connectors.kafka.confluent.reader import TopicsReader
from elworkers.connectors.kafka.confluent.transactional_producer import ConfluentTransactionalProducer
from elworkers.connectors.kafka.driver import AssignmentListener, Reader
from elworkers.connectors.kafka.producer_protocol import ProducerContext, ProducerSettings
from elworkers.core.contracts import Metrics


class ConfluentDriver:
    """Makes clients by librdkafka; implements `transactional.TransactionalDriver`.

    Args:
        options: of a URI, typed: those that say how to connect.
        max_poll_interval_ms: longest time between two polls of a consumer; the group gives up one that is silent for
            longer.
    """

    has_transactions = True

    def __init__(
        self,
        options: Mapping[str, Any] = MappingProxyType({}),
        max_poll_interval_ms: int = MAX_POLL_INTERVAL_MS,
    ) -> None:
        self._options = options
        self._max_poll_interval_ms = max_poll_interval_ms

    def consumer(  # noqa: PLR0913, PLR0917 - a member, and who knows more of it
        self,
        hosts: Sequence[str],
        options: Mapping[str, Any],
        group: str,
        listener: AssignmentListener,
        metrics: Metrics,
        plan: TopicPlan | None = None,
        static_id: str | None = None,
    ) -> GroupConsumer:
        """See `transactional.TransactionalDriver.consumer`."""
        own = {**self._options, **options}
        return GroupConsumer(hosts, own, group, listener, metrics, plan, self._max_poll_interval_ms, static_id)

    def admin(self, hosts: Sequence[str]) -> Admin:
        """See `driver.Driver.admin`."""
        return Admin(hosts, self._options)

    def producer(
        self, hosts: Sequence[str], settings: ProducerSettings, context: ProducerContext | None = None
    ) -> ConfluentProducer:
        """See `driver.Driver.producer`."""
        return ConfluentProducer(hosts, settings, self._options, self._claims_reader(hosts), context)

    def transactional_producer(
        self,
        hosts: Sequence[str],
        settings: ProducerSettings,
        transactional_id: str,
        context: ProducerContext | None = None,
    ) -> ConfluentTransactionalProducer:
        """See `transactional.TransactionalDriver.transactional_producer`."""
        return ConfluentTransactionalProducer(
            hosts, settings, self._options, self._claims_reader(hosts), transactional_id, context
        )

    def _claims_reader(self, hosts: Sequence[str]) -> Callable[[int], Reader]:
        return lambda size: self.reader(hosts, size, reads_uncommitted=True)

    def reader(
        self, hosts: Sequence[str], partition_bytes: int = 1024 * 1024, *, reads_uncommitted: bool = False
    ) -> TopicsReader:
        """See `driver.Driver.reader`."""
        return TopicsReader(hosts, self._options, partition_bytes, reads_uncommitted=reads_uncommitted)

    def name_process(self, client_id: str) -> None:
        """See `driver.Driver.name_process`."""
        client.set_client_id(client_id)
