# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Delivers record batches by a client of librdkafka, and tells which records it could not deliver.

librdkafka makes its own batches of what it is given, tries again what may succeed, and keeps the order: its producer is
idempotent. Only failures are reported, so that a record that is delivered costs one call.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from itertools import repeat
from types import MappingProxyType
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer

from elworkers.config.librdkafka import PREFIX
from elworkers.connectors.kafka.batches import RecordBatch
from elworkers.connectors.kafka.confluent.client import ClientEvents, settings
from elworkers.connectors.kafka.confluent.errors import configuration_errors, translate_errors, translated
from elworkers.connectors.kafka.confluent.failures import Failure, Failures
from elworkers.connectors.kafka.producer_protocol import ProducerSettings
from elworkers.core.errors import RetryableError

DELIVERY_S = 30.0
"""How long a batch may take, besides what the brokers may wait for their replicas; pykafka's driver waits as long."""

_QUEUE_KIB = 16_384
"""Size of the queue: what is in it is in memory twice."""

_MAX_MESSAGE_BYTES = 1_000_000_000
"""Size from which librdkafka refuses a message itself: the brokers are to decide."""

_CONNECT_TIMEOUT_S, _GIVE_UP_S, _SLICE_S = 10.0, 1.0, 0.2
_METADATA_TIMEOUT_S = 30.0
PURGE_S = 5.0
"""How long what was purged may take to be reported."""

_ACKS_ALL = -1


class DeliveryClient:
    """A connected producer of librdkafka; made after the fork, because its threads stay behind.

    Args:
        hosts: the brokers, each `host:port`.
        options: of a URI, typed: those that say how to connect.
        produced: how messages are produced; all replicas have to have them, whatever it says.
        events: hears of failures of connections; None: made here.
        own: more of librdkafka's settings.

    Attributes:
        client: librdkafka's.
        events: hears of failures of connections.
        delivery_s: how long a batch may take.

    Raises:
        RetryableError: no broker answers.
        ConfigurationError: an option cannot be had.
    """

    def __init__(
        self,
        hosts: Sequence[str],
        options: Mapping[str, Any],
        produced: ProducerSettings,
        events: ClientEvents | None = None,
        own: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        self.events = events or ClientEvents(hosts)
        self.delivery_s = delivery_s(produced)
        self._failures = Failures()
        with configuration_errors("make a producer"):
            wanted = {**producer_settings(options, produced), "on_delivery": self._on_delivery, **own}
            self.client = Producer({**settings(hosts, options, self.events), **wanted})
        try:
            self._connect(",".join(hosts))
        except RetryableError:
            self.close()
            raise

    def _connect(self, hosts: str) -> None:
        deadline, gives_up = time.monotonic() + _CONNECT_TIMEOUT_S, time.monotonic() + _GIVE_UP_S
        while True:
            try:
                self.client.list_topics("", timeout=_SLICE_S)
            except KafkaException as error:
                self.serve()
                now = time.monotonic()
                if now > deadline or (now > gives_up and self.events.all_down):
                    raise translated(error.args[0], f"connect to {hosts}", self.events) from error
            else:
                self.events.connected()
                return

    def _on_delivery(self, error: KafkaError, message: Any) -> None:
        self._failures.report(error, message)

    def serve(self) -> None:
        """Hear what librdkafka has to tell."""
        # It raises what makes a client useless, again and again; that is seen where the client is used.
        with contextlib.suppress(KafkaException):
            self.client.poll(0)

    def topics(self) -> dict[str, Any]:
        """Return librdkafka's metadata of all topics, by name; from now on it knows their leaders.

        Raises:
            RetryableError: no broker answers.
        """
        try:
            found: dict[str, Any] = self.client.list_topics(timeout=_METADATA_TIMEOUT_S).topics
        except KafkaException as error:
            self.serve()
            raise translated(error.args[0], "read metadata", self.events) from error
        return found

    def deliver(self, batches: Sequence[RecordBatch]) -> Failures:
        """Deliver the records of batches, and wait for that.

        Returns:
            What could not be delivered.

        Raises:
            RetryableError: this client is of no further use.
        """
        deadline = time.monotonic() + self.delivery_s + PURGE_S
        with translate_errors("produce", self.events):
            for one in batches:
                self._enqueue(one, deadline)
            self._flush(deadline)
        failures, self._failures = self._failures, Failures()
        return failures

    def _flush(self, deadline: float) -> None:
        """Wait until what is enqueued is delivered or has failed."""
        # A record fails when its time is up; this is for a client that does not tell.
        if self.client.flush(max(0.0, deadline - time.monotonic())):
            self.client.purge()
            self.client.flush(PURGE_S)

    def _enqueue(self, one: RecordBatch, deadline: float) -> None:
        topic, number = one.partition
        produce = self.client.produce
        for record, key in zip(one.records, one.keys or repeat(None), strict=False):
            while True:
                try:
                    # No time is librdkafka's 0 as well: it takes the present.
                    produce(topic, record.value, key, number, None, None, record.timestamp_ms)
                except BufferError:
                    if len(self.client) and time.monotonic() < deadline:
                        self.client.poll(_SLICE_S)
                        continue
                    # Alone it does not fit into the queue.
                    code = KafkaError._MSG_TIMED_OUT if len(self.client) else KafkaError.MSG_SIZE_TOO_LARGE
                    self._failures.add(one.partition, record, Failure(KafkaError(code)))
                except KafkaException as error:
                    self._failures.add(one.partition, record, Failure(error.args[0]))
                except Exception as error:  # noqa: BLE001 - whose fault it is, is seen where it is sent
                    self._failures.add(one.partition, record, Failure(KafkaError(KafkaError._FAIL), error))
                break

    def close(self) -> None:
        """Drop what is not delivered, and the connections; never raises."""
        # A client that nobody holds any longer goes on until it is collected, and would send what it has begun.
        with contextlib.suppress(KafkaException, RuntimeError):
            self.client.purge()
            if not self.client.flush(PURGE_S):
                self.client.close()


def delivery_s(produced: ProducerSettings) -> float:
    """Return how long a batch may take."""
    return DELIVERY_S + produced.ack_timeout_ms / 1000


def producer_settings(options: Mapping[str, Any], produced: ProducerSettings) -> dict[str, Any]:
    """Return librdkafka's settings of a producer.

    Args:
        options: of a URI, typed; what it sets of librdkafka counts before what is only tuned here.
        produced: how messages are produced.
    """
    return {
        "acks": _ACKS_ALL,
        "enable.idempotence": True,
        "request.timeout.ms": produced.ack_timeout_ms,
        "message.timeout.ms": int(delivery_s(produced) * 1000),
        "compression.type": produced.compression,
        "batch.size": produced.max_set_bytes,
        "message.max.bytes": _MAX_MESSAGE_BYTES,
        "queue.buffering.max.kbytes": _QUEUE_KIB,
        "delivery.report.only.error": True,
        "topic.metadata.refresh.interval.ms": produced.metadata_max_age_ms,
        # A topic is made as the operator wants it, or not at all.
        "allow.auto.create.topics": False,
        **dict(options.get(PREFIX, ())),
    }
