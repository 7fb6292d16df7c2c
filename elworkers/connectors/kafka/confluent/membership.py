# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Makes the client of a group's member, by the protocol that the group's broker speaks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from confluent_kafka import Consumer, KafkaError

from elworkers.connectors.kafka.confluent import protocol_log
from elworkers.connectors.kafka.confluent.client import ClientEvents, settings
from elworkers.connectors.kafka.confluent.consumer_settings import consumer_settings, say_what_has_no_effect
from elworkers.connectors.kafka.confluent.errors import configuration_errors
from elworkers.connectors.kafka.confluent.protocol_log import ProtocolLog

PASSING = frozenset(
    (
        KafkaError._TRANSPORT,
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._RESOLVE,
        KafkaError._TIMED_OUT,
        KafkaError._WAIT_COORD,
        KafkaError.NOT_COORDINATOR,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.REBALANCE_IN_PROGRESS,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.NETWORK_EXCEPTION,
        KafkaError.UNKNOWN_MEMBER_ID,
        KafkaError.ILLEGAL_GENERATION,
        KafkaError.FENCED_MEMBER_EPOCH,
        KafkaError.STALE_MEMBER_EPOCH,
    )
)
"""Codes of what librdkafka mends by itself."""

REFUSED = frozenset(
    (KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.GROUP_AUTHORIZATION_FAILED, KafkaError._AUTHENTICATION)
)
"""Codes that concern the user, also where they are told of one partition."""

_UNSUPPORTED = frozenset((KafkaError.UNSUPPORTED_VERSION, KafkaError._UNSUPPORTED_FEATURE))

log = structlog.get_logger(__name__)

_classic: set[str] = set()
"""Clusters whose brokers have turned out not to speak the protocol of KIP-848."""


class Membership:
    """Makes clients of one member, one after the other.

    Args:
        hosts: the brokers, each `host:port`.
        options: of a `kafka:` URI as an input, typed.
        group: the consumer group.
        max_poll_interval_ms: longest time between two polls.
        events: hears of failures.
        static_id: name of a static member; None: it is none.
    """

    def __init__(
        self,
        hosts: Sequence[str],
        options: Mapping[str, Any],
        group: str,
        max_poll_interval_ms: int,
        events: ClientEvents,
        static_id: str | None = None,
    ) -> None:
        self._hosts = hosts
        self._cluster = ",".join(sorted(hosts))
        self._options = options
        self._group = group
        self._max_poll_interval_ms = max_poll_interval_ms
        self._events = events
        self._static_id = static_id
        self._protocol: ProtocolLog | None = None
        say_what_has_no_effect(options, group)

    @property
    def is_classic(self) -> bool:
        """Whether the members of the group share out its partitions, as before Kafka 4.0."""
        return self._cluster in _classic

    def client(self) -> Consumer:
        """Return a client that has not joined.

        Raises:
            ConfigurationError: librdkafka refuses a setting.
        """
        own = consumer_settings(self._options, self._group, self._max_poll_interval_ms, classic=self.is_classic)
        if self._static_id is not None:
            own["group.instance.id"] = self._static_id
        self._protocol = None
        if not self.is_classic:
            self._protocol = ProtocolLog(self._events)
            own |= {**protocol_log.SETTINGS, "logger": self._protocol}
        with configuration_errors(f"read topic {self._options['topic']}"):
            return Consumer(settings(self._hosts, self._options, self._events, **own))

    def falls_back(self, error: KafkaError | None = None) -> bool:
        """Return whether the broker turns out to be older than the protocol, so that another client has to join.

        Args:
            error: what a client was told; None: nothing, and its log is looked at.
        """
        if self._protocol is None:
            return False
        if error is not None and error.code() not in _UNSUPPORTED:
            return False
        reason = error.str() if error is not None else self._protocol.lacking
        if reason and not self.is_classic:
            _classic.add(self._cluster)
            log.debug(
                "the broker does not share out partitions itself; the members do",
                code="kafka_classic_group",
                group=self._group,
                reason=reason,
            )
        return bool(reason)
