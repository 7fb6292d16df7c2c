# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Produces records to many topics by librdkafka, and waits until the brokers have acknowledged all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import structlog

from elworkers.config.topic_plan import TopicPlan
from elworkers.connectors.kafka.confluent.delivery_client import DeliveryClient
from elworkers.connectors.kafka.confluent.delivery_sender import DeliverySender, new_encoding
from elworkers.connectors.kafka.confluent.topic_lookup import TopicLookup
from elworkers.connectors.kafka.driver import Reader
from elworkers.connectors.kafka.leaderless import LeaderlessPartitions
from elworkers.connectors.kafka.producer_protocol import ProducerSettings
from elworkers.connectors.kafka.topics_producer import TopicsProducer
from elworkers.core.contracts import Metrics
from elworkers.core.deliveries import Deliveries

_LEADER_ONLY = 1

log = structlog.get_logger(__name__)

_told_of_acks: set[str] = set()
"""Brokers of outputs that were said to wait for all replicas all the same."""


class ConfluentProducer(TopicsProducer):
    """Produces to any number of topics; implements `producer_protocol.Producer`.

    Args:
        hosts: the brokers, each `host:port`.
        settings: how messages are produced.
        options: of a URI, typed: those that say how to connect.
        reader: see `topic_owners.TopicOwners`.
        metrics, delivered, known_topics, has_schema, leaderless, plan: see `TopicsProducer`.

    Raises:
        RetryableError: no broker answers.
        ConfigurationError: an option cannot be had.
    """

    def __init__(  # noqa: PLR0913 - what all producers of a process share
        self,
        hosts: Sequence[str],
        settings: ProducerSettings,
        options: Mapping[str, Any],
        reader: Callable[[int], Reader],
        *,
        metrics: Metrics | None = None,
        delivered: Deliveries | None = None,
        known_topics: set[str] | None = None,
        has_schema: Callable[[str], bool] = lambda _: False,
        leaderless: LeaderlessPartitions | None = None,
        plan: TopicPlan | None = None,
    ) -> None:
        say_acks(hosts, settings)
        self._client = DeliveryClient(hosts, options, settings)
        encoding = new_encoding()
        super().__init__(
            hosts,
            settings,
            topics=TopicLookup(lambda: self._client, hosts, options, settings.metadata_max_age_ms),
            reader=reader,
            sender=lambda: DeliverySender(self._client, encoding),
            claim_sender=lambda: DeliverySender(self._client, encoding),
            metrics=metrics,
            delivered=delivered,
            known_topics=known_topics,
            has_schema=has_schema,
            leaderless=leaderless,
            plan=plan,
        )

    def close(self) -> None:
        """See `producer_protocol.Producer.close`."""
        super().close()
        self._client.close()


def say_acks(hosts: Sequence[str], settings: ProducerSettings) -> None:
    """Say once that all replicas are waited for where the leader alone was asked for."""
    brokers = ",".join(hosts)
    if settings.acks == _LEADER_ONLY and brokers not in _told_of_acks:
        _told_of_acks.add(brokers)
        log.info(
            "an idempotent producer waits for all replicas; required_acks=1 is taken as required_acks=all",
            code="kafka_acks_all",
            brokers=brokers,
        )
