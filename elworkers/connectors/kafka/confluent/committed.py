# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Reads the committed offsets of groups by librdkafka.

By a consumer that does not join, because the admin client's own call ends the process with a segmentation fault where
the group's coordinator is not ready (librdkafka issue 5040).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException
from confluent_kafka import TopicPartition as ClientPartition

from elworkers.connectors.kafka.confluent.client import ClientEvents, settings
from elworkers.connectors.kafka.confluent.errors import configuration_errors, translated
from elworkers.core.contracts import TopicPartition

_TIMEOUT_S = 20.0
_TOGETHER_S, _ALONE_S = 5.0, 1.0
"""How long is waited for the offsets of several partitions, and then for those of each."""
_COORDINATOR_WITHIN_S, _PAUSE_S = 10.0, 0.05
_NO_COORDINATOR = frozenset(
    (
        KafkaError.NOT_COORDINATOR,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError._WAIT_COORD,
    )
)


class Committed(NamedTuple):
    """What a group has committed for a partition.

    Attributes:
        offset: to read next.
        metadata: that the commit carries; what is behind it may be anything, because librdkafka does not end it.
    """

    offset: int
    metadata: bytes


class CommittedOffsets:
    """Reads what groups have committed; one connection serves the group that was asked for last.

    Args:
        hosts: the brokers, each `host:port`.
        options: of a URI, typed: those that say how to connect.
    """

    def __init__(self, hosts: Sequence[str], options: Mapping[str, Any]) -> None:
        self._hosts = hosts
        self._options = options
        self._group = ""
        self._consumer: Consumer | None = None
        self._events = ClientEvents(hosts)

    def of(self, group: str, partitions: Collection[TopicPartition]) -> dict[TopicPartition, Committed]:
        """Return what a group has committed; without partitions of which it has nothing.

        Raises:
            RetryableError: the group's coordinator does not answer.
        """
        if not partitions:
            return {}
        if self._consumer is None or self._group != group:
            self.close()
            with configuration_errors("make a client"):
                # What a transaction that is open will commit is not waited for: librdkafka would fail.
                own = {"group_id": group, "enable_auto_commit": False, "isolation_level": "read_uncommitted"}
                self._consumer = Consumer(settings(self._hosts, self._options, self._events, **own))
            self._group = group
        try:
            return read(self._consumer, partitions)
        except KafkaException as error:
            self._consumer.poll(0)
            raise translated(error.args[0], f"ask for the offsets of group {group}", self._events) from error

    def close(self) -> None:
        """Let go of the connection."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            consumer.close()


class Settled(NamedTuple):
    """What a group has committed once no open transaction can change it.

    Attributes:
        found: without partitions of which it has nothing.
        pending: partitions of which an open transaction has offsets.
    """

    found: dict[TopicPartition, Committed]
    pending: frozenset[TopicPartition]


def read_settled(consumer: Consumer, partitions: Collection[TopicPartition], check: Callable[[], object]) -> Settled:
    """Return what a client's group has committed; the client reads committed messages.

    librdkafka waits for the end of transactions that have offsets of any of the partitions, and does not say of which.
    So each is asked for by itself where that takes long: one transaction is not to hold up the others' partitions.

    Args:
        consumer: the client.
        partitions: those that nobody reads now.
        check: called where it takes long; raises where the group's coordinator does not answer at all.

    Raises:
        KafkaException: the group's coordinator refuses to answer.
    """
    try:
        return Settled(read(consumer, partitions, _TOGETHER_S), frozenset())
    except KafkaException as error:
        if error.args[0].code() != KafkaError._TIMED_OUT:
            raise
    check()
    found: dict[TopicPartition, Committed] = {}
    pending: set[TopicPartition] = set()
    for partition in partitions:
        try:
            found |= read(consumer, [partition], _ALONE_S)
        except KafkaException as error:
            if error.args[0].code() != KafkaError._TIMED_OUT:
                raise
            pending.add(partition)
    return Settled(found, frozenset(pending))


def read(
    consumer: Consumer, partitions: Iterable[TopicPartition], timeout_s: float = _TIMEOUT_S
) -> dict[TopicPartition, Committed]:
    """Return what a client's group has committed; without partitions of which it has nothing.

    Waits a little for a coordinator that is not ready: that of a new group never is at once.

    Raises:
        KafkaException: the group's coordinator does not answer.
    """
    wanted = [ClientPartition(*partition) for partition in partitions]
    deadline = time.monotonic() + _COORDINATOR_WITHIN_S
    while True:
        try:
            return _read(consumer, wanted, timeout_s)
        except KafkaException as error:
            if error.args[0].code() not in _NO_COORDINATOR or time.monotonic() > deadline:
                raise
        time.sleep(_PAUSE_S)


def _read(consumer: Consumer, wanted: list[ClientPartition], timeout_s: float) -> dict[TopicPartition, Committed]:
    found: dict[TopicPartition, Committed] = {}
    for one in consumer.committed(wanted, timeout=timeout_s):
        if one.error is not None:
            raise KafkaException(one.error)
        if one.offset >= 0:
            found[TopicPartition(one.topic, one.partition)] = Committed(one.offset, _metadata(one))
    return found


def _metadata(one: ClientPartition) -> bytes:
    try:
        return (one.metadata or "").encode()
    except UnicodeDecodeError as error:
        # What is behind the metadata is no text.
        return bytes(error.object)
