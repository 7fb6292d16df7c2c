# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Produces records to many topics by pykafka's connections, and waits until the brokers have acknowledged all of them.

pykafka's Producer has a thread for each broker and topic, and those threads die with a broker without a word about
the messages they held. This one uses pykafka's connections without that class: it sends whole message sets itself and
waits for the answer, so that a message is stored exactly when the broker has said so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from elworkers.connectors.kafka.producer_protocol import ProducerContext, ProducerSettings
from elworkers.connectors.kafka.pykafka import client
from elworkers.connectors.kafka.pykafka.message_sets import message_set
from elworkers.connectors.kafka.pykafka.produce_requests import ProduceRequests
from elworkers.connectors.kafka.pykafka.reader import TopicsReader
from elworkers.connectors.kafka.pykafka.topic_lookup import TopicLookup
from elworkers.connectors.kafka.topics_producer import TopicsProducer
from elworkers.core.last_resort import LastResort, good_record

_ALL_REPLICAS = -1


class Producer(TopicsProducer):
    """Produces to any number of topics; implements `producer_protocol.Producer`.

    Args:
        hosts: the brokers, each `host:port`.
        settings, context: see `TopicsProducer`.
        options: of a URI, typed: whether by TLS.

    Raises:
        RetryableError: no broker answers.
        ConfigurationError: the broker is too new.
    """

    def __init__(
        self,
        hosts: Sequence[str],
        settings: ProducerSettings,
        context: ProducerContext | None = None,
        *,
        options: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        encoding = LastResort("encode", lambda: message_set([good_record()], [], 1, settings.compression))
        super().__init__(
            hosts,
            settings,
            context,
            topics=TopicLookup(client.connect(hosts, options), settings.metadata_max_age_ms),
            reader=lambda partition_bytes: TopicsReader(
                hosts, partition_bytes, reads_uncommitted=True, options=options
            ),
            sender=lambda: ProduceRequests(settings.acks, settings.ack_timeout_ms, settings.compression, encoding),
            claim_sender=lambda: ProduceRequests(
                _ALL_REPLICAS, settings.ack_timeout_ms, "none", LastResort("encode", lambda: None)
            ),
        )
