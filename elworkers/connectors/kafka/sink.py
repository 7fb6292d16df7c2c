# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Writes records to the topics that their route names, by a producer that other sinks may share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from elworkers.connectors.kafka.drivers import driver
from elworkers.connectors.kafka.producer_protocol import Producer, ProducerSettings, Route
from elworkers.core.contracts import Destination, Positions, Record, RejectedRecord


def settings(options: Mapping[str, Any], partitions: int | None = None) -> ProducerSettings:
    """Return how an output's messages are produced.

    Args:
        options: of a `kafka:` URI as an output, typed.
        partitions: for topics that have to be created and a URI that does not say.
    """
    return ProducerSettings(
        acks=-1 if options["required_acks"] in ("-1", "all") else 1,
        ack_timeout_ms=options["ack_timeout_ms"],
        compression=options["compression"],
        max_set_bytes=options["max_request_size"],
        partitions=options["partitions"] or partitions,
        replication=options["replication"],
        metadata_max_age_ms=options["metadata_max_age_ms"],
    )


class KafkaSink:
    """Produces to the topics that `route` names; implements `contracts.Sink`.

    Args:
        hosts: the brokers, each `host:port`.
        options: of a `kafka:` URI as an output, typed.
        route: topic and key of a record.
        producer: made for the same brokers and settings; a flush sends what all of its sinks have written.
        derived: the route makes names of topics from events.

    Raises:
        RetryableError: no broker answers.
        ConfigurationError: the broker is too new.
    """

    def __init__(
        self,
        hosts: Sequence[str],
        options: Mapping[str, Any],
        route: Route,
        producer: Producer | None = None,
        *,
        derived: bool = False,
    ) -> None:
        self._producer = producer or driver(hosts, "", options).producer(hosts, settings(options))
        self._route = route
        self._derived = derived
        self._is_synchronous = not options["async"]

    def write(self, records: Sequence[Record]) -> None:
        """See `contracts.Sink.write`; sends at once what has become much, or each message where it has to be."""
        if not self._is_synchronous:
            self._producer.produce(records, self._route, derived=self._derived)
            return
        for record in records:
            self._producer.produce([record], self._route, derived=self._derived)
            self._producer.send()

    def flush(self) -> list[RejectedRecord]:
        """See `contracts.Sink.flush`."""
        return self._producer.flush()

    def destination(self, record: Record) -> Destination | None:
        """See `capabilities.Addressed.destination`."""
        try:
            routed = self._route(record)
        except Exception:  # noqa: BLE001 - whose fault it is, is seen where it is written
            return None
        return self._producer.destination(routed[0], record) if routed is not None else None

    def commit_transaction(self, positions: Positions) -> None:
        """Do nothing: what was flushed is final."""

    def close(self) -> None:
        """Drop what was not flushed, and close the connections."""
        self._producer.close()
