# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Defines what this program needs of a Kafka client's producer; see `driver`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from elworkers.config.topic_plan import TopicPlan
from elworkers.connectors.kafka.leaderless import LeaderlessPartitions
from elworkers.core.contracts import Destination, Metrics, OwnTopic, Record, RejectedRecord
from elworkers.core.deliveries import Deliveries

TopicName = str | OwnTopic
"""The name of a topic, or an `OwnTopic` where a schema wants a topic for itself."""

Route = Callable[[Record], tuple[TopicName, bytes | None] | None]
"""Topic and key of a record, or None where it goes nowhere."""


class ProducerSettings(NamedTuple):
    """How messages are produced.

    Attributes:
        acks: -1 for all replicas, 1 for the leader.
        ack_timeout_ms: longest wait of the broker for its replicas.
        compression: none, gzip, snappy, lz4 or zstd; pykafka has no lz4 and no zstd.
        max_set_bytes: of a message set, unless a single message is larger.
        partitions, replication: of topics that have to be created; None: the broker's default.
        metadata_max_age_ms: how old metadata may become.
    """

    acks: int
    ack_timeout_ms: int
    compression: str
    max_set_bytes: int
    partitions: int | None
    replication: int | None
    metadata_max_age_ms: int


def _no_schema(_: str) -> bool:
    return False


@dataclass(frozen=True)
class ProducerContext:
    """What a producer shares with others of its process, and with those before and after it.

    Attributes:
        metrics: is told of topics that are set aside, and counts `records_repeated`.
        delivered: what was acknowledged of a batch that is written again; of no use in transactions.
        known_topics: the operator's topics that this process has written to.
        has_schema: whether a schema of a name is known to exist.
        leaderless: what is known of partitions without a leader; None: nothing yet.
        plan: how topics have to be made; None: as the settings say.
    """

    metrics: Metrics | None = None
    delivered: Deliveries | None = None
    known_topics: set[str] = field(default_factory=set)
    has_schema: Callable[[str], bool] = _no_schema
    leaderless: LeaderlessPartitions | None = None
    plan: TopicPlan | None = None


class Producer(Protocol):
    """Produces batches to any number of topics."""

    def produce(self, records: Iterable[Record], route: Route, *, derived: bool = False) -> None:
        """Add records to the batch; sends it at once when it has grown large.

        Args:
            derived: the topics' names are made from events, so that an invalid name is the event's fault.

        Raises:
            RetryableError: as `send` does.
        """

    def wants_more(self) -> bool:
        """Return whether the pending batch is too small to be sent efficiently."""

    def send(self) -> None:
        """Send the pending batch, and wait until its records are stored or rejected.

        Raises:
            RetryableError: one of the errors above; what was acknowledged all the same is remembered (`Deliveries`).
        """

    def flush(self) -> list[RejectedRecord]:
        """Block until everything taken is stored; returns what the brokers will never take.

        Raises:
            RetryableError: as `send` does.
        """

    def destination(self, name: TopicName, record: Record) -> Destination:
        """Return the destination under which a record that is written again is counted."""

    def close(self) -> None:
        """Drop the pending batch and close the connections; never raises."""
