# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Asks brokers about topics by librdkafka: their ids, their partitions, and how far these go."""

from __future__ import annotations

import base64
import time
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any, NamedTuple, TypeVar

from confluent_kafka import IsolationLevel, KafkaError, KafkaException, TopicCollection
from confluent_kafka import TopicPartition as ClientPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from elworkers.connectors.kafka.confluent.client import ClientEvents, settings
from elworkers.connectors.kafka.confluent.errors import configuration_errors, translate_errors, translated
from elworkers.connectors.kafka.errors import OutageError
from elworkers.core.contracts import TopicPartition

_CONNECT_TIMEOUT_S = 10.0
_ALL_DOWN_S = 1.0
"""Seconds after which brokers that are all away are not waited for; the address that answers may be the second."""
_REQUEST_TIMEOUT_S, _ANSWER_WITHIN_S, _SLICE_S = 20, 25.0, 0.2
_NO_ID = bytes(16).hex()
_UNKNOWN_TOPIC = frozenset((KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError.TOPIC_EXCEPTION))
"""Codes of a topic that does not exist; the last one: none of this name can."""

_Answer = TypeVar("_Answer")


class Offsets(NamedTuple):
    """What brokers say of partitions.

    Attributes:
        found: partition → offset; -1 where there is none (of a time).
        failed: those that could not be asked, with why.
    """

    found: dict[TopicPartition, int]
    failed: dict[TopicPartition, KafkaError]


class Lookups:
    """A connected client that asks; admins, consumers and readers ask with it.

    Args:
        hosts: the brokers, each `host:port`.
        options: of a URI, typed: those that say how to connect.

    Attributes:
        client: librdkafka's.
        events: what it says beside its answers.

    Raises:
        RetryableError: no broker answers.
        ConfigurationError: an option cannot be had.
    """

    def __init__(self, hosts: Sequence[str], options: Mapping[str, Any]) -> None:
        self.events = ClientEvents(hosts)
        with configuration_errors("make a client"):
            self.client = AdminClient(settings(hosts, options, self.events))
        self._connect(",".join(hosts))

    def _connect(self, hosts: str) -> None:
        operation = f"connect to {hosts}"
        deadline = time.monotonic() + _CONNECT_TIMEOUT_S
        gives_up = time.monotonic() + _ALL_DOWN_S
        while True:
            try:
                self.client.list_topics("", timeout=_SLICE_S)
            except KafkaException as error:
                self.client.poll(0)
                now = time.monotonic()
                if now > deadline or (now > gives_up and self.events.all_down):
                    raise translated(error.args[0], operation, self.events) from error
            else:
                return

    def metadata(self, topic: str | None = None, timeout_s: float = _REQUEST_TIMEOUT_S) -> Any:
        """Return what librdkafka calls `ClusterMetadata`, of all topics or of one.

        Args:
            topic: its name; None: all.
            timeout_s: longest wait.

        Raises:
            RetryableError: no broker answers.
        """
        with translate_errors("read metadata", self.events):
            try:
                found = self.client.list_topics(*([topic] if topic else []), timeout=timeout_s)
            finally:
                self.client.poll(0)
        self.events.connected()
        return found

    def topic(self, name: str) -> Any | None:
        """Return what librdkafka calls `TopicMetadata`; None where there is no such topic.

        Raises:
            NotAuthorizedError: this user may not see it.
            RetryableError: no broker answers.
        """
        found = self.metadata(name).topics.get(name)
        if found is None or (found.error is not None and found.error.code() in _UNKNOWN_TOPIC):
            return None
        if found.error is not None and found.error.code() != KafkaError.LEADER_NOT_AVAILABLE:
            raise translated(found.error, f"look up topic {name}", self.events)
        return found

    def wait(self, future: Future[_Answer]) -> _Answer:
        """Return an answer.

        Raises:
            KafkaException: what the broker says, or that it does not answer.
        """
        begun = time.monotonic()
        while True:
            try:
                answer = future.result(_SLICE_S)
            except FutureTimeoutError:
                self.client.poll(0)
                age_s = time.monotonic() - begun
                if age_s > _ANSWER_WITHIN_S or (age_s > _ALL_DOWN_S and self.events.all_down):
                    raise KafkaException(KafkaError(KafkaError._TIMED_OUT)) from None
            except KafkaException:
                self.client.poll(0)
                raise
            else:
                self.events.connected()
                return answer

    def topic_ids(self, names: Sequence[str]) -> dict[str, str]:
        """Return name → id as 32 hex digits; see `driver.Admin.topic_ids`."""
        found: dict[str, str] = {}
        if not names:
            return found
        futures = self.client.describe_topics(TopicCollection(list(names)), request_timeout=_REQUEST_TIMEOUT_S)
        for name, future in futures.items():
            try:
                described = self.wait(future)
            except KafkaException as error:
                if error.args[0].code() not in _UNKNOWN_TOPIC:
                    raise translated(error.args[0], f"ask for the id of topic {name}", self.events) from error
                continue
            topic_id = _hex(str(described.topic_id))
            if topic_id != _NO_ID:
                found[name] = topic_id
        return found

    def offsets(self, partitions: Collection[TopicPartition], spec: OffsetSpec, *, stable: bool = False) -> Offsets:
        """Return offsets of partitions that have leaders.

        Args:
            partitions: to ask for.
            spec: which offset.
            stable: the end is where the oldest open transaction begins.

        Raises:
            RetryableError: no broker answers.
        """
        if not partitions:
            return Offsets({}, {})
        futures = self.client.list_offsets(
            {ClientPartition(*one): spec for one in partitions},
            isolation_level=IsolationLevel.READ_COMMITTED if stable else IsolationLevel.READ_UNCOMMITTED,
            request_timeout=_REQUEST_TIMEOUT_S,
        )
        found: dict[TopicPartition, int] = {}
        failed: dict[TopicPartition, KafkaError] = {}
        for asked, future in futures.items():
            partition = TopicPartition(asked.topic, asked.partition)
            try:
                found[partition] = self.wait(future).offset
            except KafkaException as error:
                if error.args[0].code() < 0:
                    raise translated(error.args[0], "ask for the ends of topics", self.events) from error
                failed[partition] = error.args[0]
        return Offsets(found, failed)

    def all_offsets(self, topic: str, spec: OffsetSpec, *, stable: bool = False) -> dict[TopicPartition, int]:
        """Return an offset of each partition of a topic; empty where there is no such topic.

        Raises:
            RetryableError: no broker answers, or a partition has no leader.
        """
        found = self.topic(topic)
        if found is None:
            return {}
        led = led_partitions(found)
        if missing := sorted(found.partitions.keys() - {one.partition for one in led}):
            raise OutageError(f"Kafka: ask for the ends of {topic}: partitions {missing} have no leader")
        offsets = self.offsets(led, spec, stable=stable)
        for partition, error in offsets.failed.items():
            raise translated(error, f"ask for the ends of {topic}: partition {partition.partition}", self.events)
        return dict(sorted(offsets.found.items()))

    def close(self) -> None:
        """Let go of the connections."""
        # librdkafka's client ends when Python has forgotten it.
        del self.client


def led_partitions(topic: Any) -> list[TopicPartition]:
    """Return the partitions of a topic that have a leader, in order.

    Args:
        topic: of `Lookups.topic`.
    """
    return [TopicPartition(topic.topic, number) for number, one in sorted(topic.partitions.items()) if one.leader >= 0]


def _hex(text: str) -> str:
    """Return the 32 hex digits of an id that librdkafka writes in base 64."""
    return base64.urlsafe_b64decode(text.replace("+", "-").replace("/", "_") + "=" * (-len(text) % 4)).hex()
