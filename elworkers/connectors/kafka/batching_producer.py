# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Collects records by topic until they are sent, without those that a topic has already.

The part of a producer that is the same whatever client sends.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence

from elworkers.connectors.kafka.producer_protocol import ProducerContext, Route, TopicName
from elworkers.connectors.kafka.records_by_topic import RecordsByTopic, topic_of
from elworkers.core.contracts import Destination, Record, RejectedRecord
from elworkers.core.last_resort import LastResort, good_record

_MAX_BYTES = 32 * 1024 * 1024
"""Bytes of values after which records are sent; values that several outputs take are in memory once."""

_FULL_TOPIC_MESSAGES = 40
"""Average number of messages of a topic from which a batch is full: each message set costs as much as seven messages,
and the broker has a log for each topic."""

_NO_RECORD = Record(b"")


def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition of a record with a key, for every driver: that of librdkafka's `consistent_random`."""
    return zlib.crc32(key) % partitions


class BatchingProducer:
    """Collects records until they are sent; the class of a driver sends them.

    Args:
        hosts: the brokers, each `host:port`.
        context: its `metrics` and `delivered`.
    """

    def __init__(self, hosts: Sequence[str], context: ProducerContext) -> None:
        self._metrics = context.metrics
        self._delivered = context.delivered
        # Each output gives a record once, so that one that was delivered already is of an earlier producer.
        self._is_repeated = bool(context.delivered)
        self._cluster_name = ",".join(sorted(hosts))
        self._failed_route: Route = lambda _: None
        self._route_errors = LastResort("route", lambda: self._failed_route(good_record()))
        self._rejected: list[RejectedRecord] = []
        self._clear()

    def _clear(self) -> None:
        self._configured, self._derived = RecordsByTopic(), RecordsByTopic()
        self._messages = self._bytes = 0

    def wants_more(self) -> bool:
        """Return whether the message sets of what is taken so far would be small."""
        return self._messages < _FULL_TOPIC_MESSAGES * (len(self._configured) + len(self._derived))

    def produce(self, records: Iterable[Record], route: Route, *, derived: bool = False) -> None:
        """Take records for their topics.

        Args:
            derived: the topics' names are made from events, so that one that will not do is the event's fault.

        Raises:
            RetryableError: as `send` does.
        """
        if self._is_repeated:
            route = self._only_undelivered(route)
        target = self._derived if derived else self._configured
        unkeyed, keyed = target.unkeyed, target.keyed
        messages = size = 0
        rest = iter(records)
        # What `rest` gave last.
        record = _NO_RECORD
        while True:
            try:
                for record in rest:
                    routed = route(record)
                    if routed is None:
                        continue
                    name, key = routed
                    size += len(record.value)
                    if key is None:
                        unkeyed[name].append(record)
                    else:
                        keyed[name].append((key, record))
                    messages += 1
                break
            except Exception as error:  # noqa: BLE001 - whose fault it is, is seen there
                self._failed_route = route
                self._rejected.append(self._route_errors.rejected(record, error))
        self._messages += messages
        self._bytes += size
        if self._bytes > _MAX_BYTES:
            self.send()

    def _only_undelivered(self, route: Route) -> Route:
        delivered = self._delivered
        if not delivered:
            self._is_repeated = False
            return route

        def undelivered(record: Record) -> tuple[TopicName, bytes | None] | None:
            routed = route(record)
            if routed is None or delivered.has(store := self._store_name(topic_of(routed[0])), record):
                return None
            if delivered.may_have(store, record):
                delivered.repeated(self.destination(routed[0], record))
                if self._metrics is not None:
                    self._metrics.count("records_repeated")
            return routed

        return undelivered

    def _store_name(self, topic: str) -> str:
        return f"{self._cluster_name}/{topic}"

    def destination(self, name: TopicName, record: Record) -> Destination:
        """Return the destination under which a record that is written again is counted."""
        event = record.event.get("event") if record.event is not None and not record.valid else None
        schema = event.get("schema") if isinstance(event, dict) else None
        return Destination(self._store_name(topic_of(name)), str(schema or ""))

    def flush(self) -> list[RejectedRecord]:
        """Block until everything taken is acknowledged; returns what the brokers will never take.

        Raises:
            RetryableError: as `send` does.
        """
        self.send(last=True)
        rejected, self._rejected = self._rejected, []
        return rejected

    def send(self, *, last: bool = False) -> None:
        """Send what was taken, and wait for the answers.

        Args:
            last: nothing else of the batch was sent before, or is remembered.

        Raises:
            RetryableError: a broker is away or refuses for now, or a topic cannot be looked up or made; what was
                acknowledged all the same is remembered.
            ConfigurationError: a topic that the operator wrote cannot be created as the operator wants it.
        """
        if not self._messages:
            return
        if self._delivered is not None:
            self._delivered.writing()
        configured, derived = self._configured, self._derived
        self._clear()
        self._send_records(configured, derived, last)

    def _send_records(self, configured: RecordsByTopic, derived: RecordsByTopic, last: bool) -> None:
        """Send these; see `send`. What the brokers will never take is added to `_rejected`."""
        raise NotImplementedError
