# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Collects records by topic until they are sent, without those that a topic has already.

The part of a producer that is the same whatever client sends.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence

from elworkers.connectors.kafka.driver import Name, Route
from elworkers.connectors.kafka.records_by_topic import RecordsByTopic, topic_of
from elworkers.core.contracts import Deliveries, Destination, Metrics, Record, RejectedRecord
from elworkers.core.last_resort import LastResort, good_record

_MOST_BYTES = 32 * 1024 * 1024
"""Of values that are taken before they are sent; what several outputs take is in memory once."""

_WORTH_MESSAGES = 40
"""Of a topic, on average: a message set costs as much as seven messages do, and the broker has a log for each topic."""

_NOTHING = Record(b"")


def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition of a record with a key, for every driver: that of librdkafka's `consistent_random`."""
    return zlib.crc32(key) % partitions


class BatchingProducer:
    """Takes records; a driver's class says how they are sent.

    Args:
        hosts: the brokers, each `host:port`.
        metrics: counts `records_repeated`.
        delivered: what was acknowledged of a batch that is written again.
    """

    def __init__(self, hosts: Sequence[str], metrics: Metrics | None, delivered: Deliveries | None) -> None:
        self._metrics = metrics
        self._delivered = delivered
        # This producer is given a record once for each output: what comes again was there before it was made.
        self._again = bool(delivered)
        self._where = ",".join(sorted(hosts))
        self._at_fault: Route = lambda _: None
        self._routing = LastResort("route", lambda: self._at_fault(good_record()))
        self._refused: list[RejectedRecord] = []
        self._nothing_taken()

    def _nothing_taken(self) -> None:
        self._plain, self._made = RecordsByTopic(), RecordsByTopic()
        self._messages = self._bytes = 0

    def wants_more(self) -> bool:
        """Return whether the message sets of what is taken so far would be small."""
        return self._messages < _WORTH_MESSAGES * (len(self._plain) + len(self._made))

    def take(self, records: Iterable[Record], route: Route, *, made: bool = False) -> None:
        """Take records for their topics.

        Args:
            made: the topics' names are made from events, so that one that will not do is the event's fault.

        Raises:
            RetryableError: as `send` does.
        """
        if self._again:
            route = self._missing_by(route)
        into = self._made if made else self._plain
        taken, keyed = into.plain, into.keyed
        messages = size = 0
        rest = iter(records)
        # What `rest` gave last.
        record = _NOTHING
        while True:
            try:
                for record in rest:
                    routed = route(record)
                    if routed is None:
                        continue
                    name, key = routed
                    size += len(record.value)
                    if key is None:
                        taken[name].append(record)
                    else:
                        keyed[name].append((key, record))
                    messages += 1
                break
            except Exception as error:  # noqa: BLE001 - whose fault it is, is seen there
                self._at_fault = route
                self._refused.append(self._routing.rejected(record, error))
        self._messages += messages
        self._bytes += size
        if self._bytes > _MOST_BYTES:
            self.send()

    def _missing_by(self, route: Route) -> Route:
        delivered = self._delivered
        if not delivered:
            self._again = False
            return route

        def missing(record: Record) -> tuple[Name, bytes | None] | None:
            routed = route(record)
            if routed is None or delivered.has(place := self._place(topic_of(routed[0])), record):
                return None
            if delivered.may_have(place, record):
                delivered.repeated(self.place(routed[0], record))
                if self._metrics is not None:
                    self._metrics.count("records_repeated")
            return routed

        return missing

    def _place(self, topic: str) -> str:
        return f"{self._where}/{topic}"

    def place(self, name: Name, record: Record) -> Destination:
        """Return where a record that is written again counts as such."""
        event = record.event.get("event") if record.event is not None and not record.valid else None
        schema = event.get("schema") if isinstance(event, dict) else None
        return Destination(self._place(topic_of(name)), str(schema or ""))

    def flush(self) -> list[RejectedRecord]:
        """Block until everything taken is acknowledged; returns what the brokers will never take.

        Raises:
            RetryableError: as `send` does.
        """
        self.send(last=True)
        refused, self._refused = self._refused, []
        return refused

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
        plain, made = self._plain, self._made
        self._nothing_taken()
        self._produce(plain, made, last)

    def _produce(self, plain: RecordsByTopic, made: RecordsByTopic, last: bool) -> None:
        """Send these; see `send`. What the brokers will never take is added to `_refused`."""
        raise NotImplementedError
