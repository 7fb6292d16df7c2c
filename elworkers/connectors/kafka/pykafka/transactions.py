# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Finds out whether a transactional producer has written to partitions.

pykafka reads what is aborted or still open like anything else, and markers at a transaction's end are nothing to it but
offsets without a message. Three answers of a broker tell: the producers that it knows of, a last stable offset before
the end, and the attributes of the batch at an offset that no message has (KIP-98, KIP-664).
"""

from __future__ import annotations

import struct
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from elworkers.connectors.kafka.pykafka import quota_channels
from elworkers.connectors.kafka.pykafka.protocol import NO_TAGS, RawRequest, ResponseReader, array, ask, compact, short
from elworkers.core.errors import RetryableError

EXPLANATION = (
    "a transactional producer has written to it, and this client cannot tell aborted messages from committed ones:"
    " it needs another driver; transactions=read_uncommitted in the URI reads all of them"
)

_FETCH, _LIST_OFFSETS, _DESCRIBE_PRODUCERS = 1, 2, 61
_LATEST = -1
_UNCOMMITTED, _COMMITTED = 0, 1
_HEAD = struct.Struct(">qiibIhi30xi")
"""The beginning of a batch of magic 2: its first offset, its size from here on, the leader's epoch, magic, CRC,
attributes, how far its last offset is from the first, times and producer, and how many records it has."""

_SIZE_COUNTS_FROM = 12
_TRANSACTIONAL, _CONTROL = 0x10, 0x20
_NEWEST_MAGIC = 2
_THROTTLED_FOR_S = 12.0
"""Seconds after which a quota will not let a batch through: brokers measure over eleven seconds, by default."""


class ThrottledError(RetryableError):
    """A quota will never let through the batch at an offset."""


class Batch(NamedTuple):
    """A record batch.

    Attributes:
        next: the offset behind it.
        transactional: it is of a transaction, or its marker.
        empty: it has no message: a marker, or all have been compacted away.
    """

    next: int
    transactional: bool
    empty: bool


def batches_at(
    leader: Any, topic: str, partition: int, offset: int, size: int = 1, cancelled: threading.Event | None = None
) -> list[Batch]:
    """Return the batches from the one that holds an offset on, or from the next one where none does.

    Args:
        leader: pykafka's broker.
        size: bytes of them; the first one is whole, whatever this says.
        cancelled: set where nobody waits for this any longer.

    Raises:
        ThrottledError: the broker's quota does not let through the first one.
        KafkaException, OSError, RetryableError: the broker is away; the caller translates.
    """
    # At once, also where there is nothing.
    body = struct.pack(">iiiib", -1, 0, 0, size, _UNCOMMITTED)
    partitions = array([struct.pack(">iqi", partition, offset, size)])
    request = RawRequest(_FETCH, 4, body + array([short(topic) + partitions]))
    if leader.handler is None:
        leader.connect()
    channel = quota_channels.channel_to(leader)
    deadline = time.monotonic() + _THROTTLED_FOR_S
    # An answer that is throttled is about no topic at all.
    while not (topics := _fetch(channel, request)) and channel.fetches.remaining_s:
        if time.monotonic() > deadline or not channel.fetches.wait(cancelled or threading.Event()):
            raise ThrottledError(f"Kafka: {topic}, partition {partition}: {channel.fetches.reason}")
    return [batch for records in topics for batch in _batches(records)]


def _fetch(channel: quota_channels.Channel, request: RawRequest) -> list[bytes]:
    response = ResponseReader(bytes(channel.request(request).get()))
    throttle_ms = response.number(4)
    found = list(response.items(lambda: _records(response)))
    channel.fetches.fetched(throttle_ms, empty=not found)
    return found


def first_missing_offset(begin: int, offsets: Iterable[int]) -> int:
    """Return the first offset from `begin` on that no message has.

    Args:
        begin: where to look from.
        offsets: those of messages, in order; some may be before `begin`, or come twice.
    """
    for offset in offsets:
        if offset > begin:
            break
        begin = max(begin, offset + 1)
    return begin


def _records(response: ResponseReader) -> bytes:
    response.short()
    found = b""
    for _ in response.items(lambda: response.take(22)):
        list(response.items(lambda: response.take(16)))
        found = response.take(max(0, response.number(4)))
    return found


def _batches(records: bytes) -> Iterator[Batch]:
    at = 0
    while at + _HEAD.size <= len(records):
        first, size, _, magic, _, attributes, length, count = _HEAD.unpack_from(records, at)
        if magic != _NEWEST_MAGIC or size <= 0:
            # Messages of before Kafka 0.11, which had no transactions.
            return
        is_control = bool(attributes & _CONTROL)
        yield Batch(first + length + 1, is_control or bool(attributes & _TRANSACTIONAL), is_control or not count)
        at += _SIZE_COUNTS_FROM + size


def with_transactions(cluster: Any, leaders: Mapping[tuple[str, int], Any]) -> set[tuple[str, int]]:
    """Return those of some partitions that have, or lately had, a transactional producer.

    Args:
        cluster: of `client.connect`.
        leaders: topic and partition → pykafka's broker that leads it.

    Raises:
        KafkaException, OSError, RetryableError: a broker is away; the caller translates.
    """
    found: set[tuple[str, int]] = set()
    for broker in {id(leader): leader for leader in leaders.values()}.values():
        led_partitions = sorted(partition for partition, leader in leaders.items() if leader is broker)
        if _DESCRIBE_PRODUCERS in cluster._api_versions:
            found |= _with_producers(broker, led_partitions)
        if tells_stable_ends(cluster):
            # In this order: a last stable offset only grows.
            ends = _ends(broker, led_partitions, _UNCOMMITTED)
            found |= {
                partition
                for partition, stable_end in _ends(broker, led_partitions, _COMMITTED).items()
                if stable_end < ends.get(partition, 0)
            }
    return found


def tells_stable_ends(cluster: Any) -> bool:
    """Return whether the brokers tell how far committed records go, as they do since Kafka 0.11."""
    return bool(cluster._api_versions[_LIST_OFFSETS].max >= 2)


def stable_ends(leader: Any, partitions: Iterable[tuple[str, int]]) -> dict[tuple[str, int], int]:
    """Return the last stable offset of partitions of one leader, without those that it does not lead.

    Raises:
        KafkaException, OSError, RetryableError: the broker is away; the caller translates.
    """
    return _ends(leader, partitions, _COMMITTED)


def _by_topic(partitions: Iterable[tuple[str, int]]) -> dict[str, list[int]]:
    numbers: dict[str, list[int]] = {}
    for topic, number in partitions:
        numbers.setdefault(topic, []).append(number)
    return numbers


def _ends(broker: Any, partitions: Iterable[tuple[str, int]], isolation: int) -> dict[tuple[str, int], int]:
    topics = [
        short(topic) + array([struct.pack(">iq", number, _LATEST) for number in numbers])
        for topic, numbers in _by_topic(partitions).items()
    ]
    response = ask(broker, RawRequest(_LIST_OFFSETS, 2, struct.pack(">ib", -1, isolation) + array(topics)))
    response.take(4)
    ends: dict[tuple[str, int], int] = {}

    def one() -> None:
        topic = response.short()
        for number, code, _, offset in response.items(lambda: struct.unpack(">ihqq", response.take(22))):
            if not code:
                ends[topic, number] = offset

    list(response.items(one))
    return ends


def _with_producers(broker: Any, partitions: Iterable[tuple[str, int]]) -> set[tuple[str, int]]:
    topics = [
        compact(topic) + array([struct.pack(">i", number) for number in numbers], flexible=True) + NO_TAGS
        for topic, numbers in _by_topic(partitions).items()
    ]
    request = RawRequest(_DESCRIBE_PRODUCERS, 0, array(topics, flexible=True) + NO_TAGS, flexible=True)
    response = ask(broker, request)
    response.tags()
    response.take(4)
    found: set[tuple[str, int]] = set()

    def one() -> None:
        topic = response.compact()
        for number, transactional in response.structures(lambda: _producers(response)):
            if transactional:
                found.add((topic, number))

    list(response.structures(one))
    return found


def _producers(response: ResponseReader) -> tuple[int, bool]:
    number = response.number(4)
    response.take(2)
    response.compact()
    # Only a transaction has a coordinator, and an offset where it began; an idempotent producer has neither.
    states = [struct.unpack(">qiiqiq", state) for state in response.structures(lambda: response.take(36))]
    return number, any(coordinator >= 0 or started_at >= 0 for *_, coordinator, started_at in states)
