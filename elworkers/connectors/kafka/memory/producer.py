# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Writes records to the logs of the memory's Kafka, and rejects what a broker would reject."""

from __future__ import annotations

import re
from collections.abc import Sequence

from elworkers.config.topic_plan import TopicPlan
from elworkers.connectors.kafka.batching_producer import BatchingProducer, partition_of
from elworkers.connectors.kafka.errors import OutageError
from elworkers.connectors.kafka.memory.broker import MemoryBroker
from elworkers.connectors.kafka.memory.logs import Topic
from elworkers.connectors.kafka.producer_protocol import ProducerContext, ProducerSettings, TopicName
from elworkers.connectors.kafka.records_by_topic import RecordsByTopic, topic_of
from elworkers.core.contracts import Record, RejectedRecord
from elworkers.core.errors import ConfigurationError, RetryableError

_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")

_Keyed = list[tuple[bytes | None, Record]]


class MemoryProducer(BatchingProducer):
    """Implements `producer_protocol.Producer`.

    Args:
        broker: the Kafka.
        hosts, settings, context: see `driver.Driver.producer`.
    """

    def __init__(
        self,
        broker: MemoryBroker,
        hosts: Sequence[str],
        settings: ProducerSettings,
        context: ProducerContext | None = None,
    ) -> None:
        context = context or ProducerContext()
        super().__init__(hosts, context)
        self._broker = broker
        self._plan = context.plan or TopicPlan(None, hosts, (settings.partitions, settings.replication))
        self._turn = 0
        self._transaction: int | None = None

    def _send_records(self, configured: RecordsByTopic, derived: RecordsByTopic, last: bool) -> None:
        acked: list[tuple[str, list[Record]]] = []
        is_whole = False
        try:
            for batch, from_events in ((configured, False), (derived, True)):
                for name, records in batch.unkeyed.items():
                    acked.append(self._write(name, [(None, record) for record in records], from_events))
                for name, keyed in batch.keyed.items():
                    acked.append(self._write(name, [*keyed], from_events))
            is_whole = True
        finally:
            if self._delivered is not None and not (is_whole and last):
                for topic, stored in acked:
                    self._delivered.add(self._store_name(topic), stored)

    def _write(self, name: TopicName, keyed: _Keyed, from_events: bool) -> tuple[str, list[Record]]:
        """Return the topic, and the records that were stored in it."""
        topic = topic_of(name)
        if not _TOPIC.fullmatch(topic):
            why = f"Kafka takes no topic of the name {topic}"
            if not from_events:
                raise ConfigurationError(why)
            self._rejected += [RejectedRecord(record, why) for _, record in keyed]
            return topic, []
        stored: list[Record] = []
        try:
            with self._broker.operation("produce"):
                stored = self._store(name, keyed)
        except RetryableError:
            if self._delivered is not None and stored:
                # Only the answer was lost.
                self._delivered.add(self._store_name(topic), stored, acknowledged=False)
            raise
        return topic, stored

    def _store(self, name: TopicName, keyed: _Keyed) -> list[Record]:
        settings = self._plan.of([topic_of(name)])[topic_of(name)]
        topic = self._broker.get_or_create(topic_of(name), settings.partitions, settings.replication)
        if not isinstance(name, str):
            topic.owner = topic.owner or name.schema
            if topic.owner != name.schema:
                why = f"schema {name.schema} has no topic of its own: {name.topic} is that of schema {topic.owner}"
                self._rejected += [RejectedRecord(record, why) for _, record in keyed]
                return []
        turn, count = self._next_turn(topic), len(topic.logs)
        logs = [topic.logs[turn if key is None else partition_of(key, count)] for key, _ in keyed]
        if not all(log.has_leader for log in logs):
            raise OutageError(f"Kafka: a partition of topic {topic_of(name)} has no leader")
        stored = []
        for log, (key, record) in zip(logs, keyed, strict=True):
            if len(record.value) > self._broker.max_message_bytes:
                why = "Kafka: larger than the topic's max.message.bytes"
                self._rejected.append(RejectedRecord(record, why, too_large=True))
                continue
            log.append(record.timestamp_ms or self._broker.now_ms(), key, record.value, self._transaction)
            stored.append(record)
        return stored

    def _next_turn(self, topic: Topic) -> int:
        """Return the partition for the records of this flush: the next one that has a leader."""
        with_leader = [number for number, log in enumerate(topic.logs) if log.has_leader] or [0]
        self._turn += 1
        return with_leader[self._turn % len(with_leader)]

    def close(self) -> None:
        """See `producer_protocol.Producer.close`."""
        self._clear()
