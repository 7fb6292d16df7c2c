# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Makes clients of pykafka: for brokers up to 3.9, without logins and transactions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from elworkers.config.topic_plan import TopicPlan
from elworkers.connectors.kafka.driver import AssignmentListener
from elworkers.connectors.kafka.producer_protocol import ProducerContext, ProducerSettings
from elworkers.connectors.kafka.pykafka import client
from elworkers.connectors.kafka.pykafka.admin import Admin
from elworkers.connectors.kafka.pykafka.group_consumer import GroupConsumer
from elworkers.connectors.kafka.pykafka.producer import Producer
from elworkers.connectors.kafka.pykafka.reader import TopicsReader
from elworkers.core.contracts import Metrics


class PykafkaDriver:
    """Implements `driver.Driver`.

    Args:
        options: of a URI, typed: whether by TLS.
    """

    has_transactions = False

    def __init__(self, options: Mapping[str, Any] = MappingProxyType({})) -> None:
        self._options = options

    def consumer(  # noqa: PLR0913, PLR0917 - a member, and who knows more of it
        self,
        hosts: Sequence[str],
        options: Mapping[str, Any],
        group: str,
        listener: AssignmentListener,
        metrics: Metrics,
        plan: TopicPlan | None = None,
        static_id: str | None = None,  # noqa: ARG002 - checked with the URI
    ) -> GroupConsumer:
        """See `driver.Driver.consumer`."""
        return GroupConsumer(hosts, options, group, listener, metrics, plan)

    def producer(
        self, hosts: Sequence[str], settings: ProducerSettings, context: ProducerContext | None = None
    ) -> Producer:
        """See `driver.Driver.producer`."""
        return Producer(hosts, settings, context, options=self._options)

    def admin(self, hosts: Sequence[str]) -> Admin:
        """See `driver.Driver.admin`."""
        return Admin(hosts, self._options)

    def reader(
        self, hosts: Sequence[str], partition_bytes: int = 1024 * 1024, *, reads_uncommitted: bool = False
    ) -> TopicsReader:
        """See `driver.Driver.reader`."""
        return TopicsReader(hosts, partition_bytes, reads_uncommitted=reads_uncommitted, options=self._options)

    def name_process(self, client_id: str) -> None:
        """See `driver.Driver.name_process`."""
        client.set_client_id(client_id)
