# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Produces records to many topics by librdkafka, and waits until the brokers have acknowledged all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import structlog

from elworkers.connectors.kafka.confluent.delivery_client import DeliveryClient
from elworkers.connectors.kafka.confluent.delivery_sender import DeliverySender, new_encoding
from elworkers.connectors.kafka.confluent.topic_lookup import TopicLookup
from elworkers.connectors.kafka.driver import Reader
from elworkers.connectors.kafka.producer_protocol import ProducerContext, ProducerSettings
from elworkers.connectors.kafka.topics_producer import TopicsProducer

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
        context: see `TopicsProducer`.

    Raises:
        RetryableError: no broker answers.
        ConfigurationError: an option cannot be had.
    """

    def __init__(
        self,
        hosts: Sequence[str],
        settings: ProducerSettings,
        options: Mapping[str, Any],
        reader: Callable[[int], Reader],
        context: ProducerContext | None = None,
    ) -> None:
        say_acks(hosts, settings)
        self._client = DeliveryClient(hosts, options, settings)
        encoding = new_encoding()
        super().__init__(
            hosts,
            settings,
            context,
            topics=TopicLookup(lambda: self._client, hosts, options, settings.metadata_max_age_ms),
            reader=reader,
            sender=lambda: DeliverySender(self._client, encoding),
            claim_sender=lambda: DeliverySender(self._client, encoding),
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
