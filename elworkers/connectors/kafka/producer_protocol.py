# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Defines what this program needs of a Kafka client's producer; see `driver`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple, Protocol

from elworkers.core.contracts import Destination, OwnTopic, Record, RejectedRecord

TopicName = str | OwnTopic
"""Of a topic that takes what comes, or of one that is a schema's own."""

Route = Callable[[Record], tuple[TopicName, bytes | None] | None]
"""Topic and key of a record, or None where it goes nowhere."""


class ProducerSettings(NamedTuple):
    """How messages are produced.

    Attributes:
        acks: -1 for all replicas, 1 for the leader.
        ack_timeout_ms: longest wait of the broker for its replicas.
        compression: none, gzip or snappy.
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


class Producer(Protocol):
    """Produces batches to any number of topics."""

    def produce(self, records: Iterable[Record], route: Route, *, derived: bool = False) -> None:
        """Take records for their topics; sends at once what has become much.

        Args:
            derived: the topics' names are made from events, so that one that will not do is the event's fault.

        Raises:
            RetryableError: as `send` does.
        """

    def wants_more(self) -> bool:
        """Return whether what is pending is too little to be sent well."""

    def send(self) -> None:
        """Send what is pending, and wait until it is stored or refused.

        Raises:
            RetryableError: one of the errors above; what was acknowledged all the same is remembered (`Deliveries`).
        """

    def flush(self) -> list[RejectedRecord]:
        """Block until everything taken is stored; returns what the brokers will never take.

        Raises:
            RetryableError: as `send` does.
        """

    def destination(self, name: TopicName, record: Record) -> Destination:
        """Return where a record that is written again counts as such."""

    def close(self) -> None:
        """Forget what is pending, and the connections; never raises."""
