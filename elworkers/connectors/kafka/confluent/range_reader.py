# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Reads ranges of offsets by librdkafka: a few partitions at a time, each to the end of its range."""

from __future__ import annotations

import time
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from typing import Any

from confluent_kafka import Consumer, KafkaError, Message
from confluent_kafka import TopicPartition as ClientPartition

from elworkers.connectors.kafka.confluent.client import ClientEvents, settings
from elworkers.connectors.kafka.confluent.errors import configuration_errors, translate_errors, translated
from elworkers.connectors.kafka.confluent.membership import PASSING, REFUSED
from elworkers.connectors.kafka.driver import Fetched, Range, RawMessage
from elworkers.connectors.kafka.errors import OutageError
from elworkers.core.contracts import TopicPartition
from elworkers.core.errors import RetryableError

_AT_ONCE = 8
"""Partitions that are fetched at a time."""
_CHUNK = 2_000
"""Messages that are taken from librdkafka at a time."""
_FETCH_BYTES = 8 * 1024 * 1024
_SLICE_S, _SILENT_S, _ALL_DOWN_S = 0.2, 30.0, 3.0


class RangeReader:
    """Reads ranges of offsets.

    Args:
        hosts: the brokers, each `host:port`.
        options: of a URI, typed: those that say how to connect.
        partition_bytes: how much of one partition one answer holds; a larger message is answered all the same.
        reads_uncommitted: whether messages of open and aborted transactions are read as well.

    Attributes:
        unreadable: partition → why it could not be read further in the last `read`.
    """

    def __init__(
        self, hosts: Sequence[str], options: Mapping[str, Any], partition_bytes: int, *, reads_uncommitted: bool
    ) -> None:
        self._hosts = hosts
        self._options = options
        self._own = {
            # Needed by every consumer; nobody joins a group here, and nothing is committed.
            "group.id": "elworkers-reader",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "error",
            "isolation.level": "read_uncommitted" if reads_uncommitted else "read_committed",
            "enable.partition.eof": True,
            "check.crcs": True,
            "allow.auto.create.topics": False,
            "fetch.queue.backoff.ms": 5,
            "fetch.wait.max.ms": 100,
            "queued.max.messages.kbytes": _FETCH_BYTES // 1024,
            "max.partition.fetch.bytes": partition_bytes,
            "fetch.max.bytes": max(_FETCH_BYTES, partition_bytes),
        }
        self._consumer: Consumer | None = None
        self._events = ClientEvents(hosts)
        self.unreadable: dict[TopicPartition, str] = {}

    def read(self, wanted: Mapping[TopicPartition, Range]) -> Generator[Fetched, None, None]:
        """Yield every message in these ranges, none of which is empty; see `driver.Reader.read`."""
        self.unreadable.clear()
        if not wanted:
            return
        client = self._client()
        reading = _Reading(client, self._events, wanted, self.unreadable)
        try:
            yield from reading.chunks()
        finally:
            if self._consumer is client:
                client.unassign()

    def _client(self) -> Consumer:
        if self._consumer is None:
            with configuration_errors("make a reader"):
                self._consumer = Consumer(settings(self._hosts, self._options, self._events, **self._own))
        return self._consumer

    def close(self) -> None:
        """Let go of the connections; never raises."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            consumer.close()


class _Reading:
    """One pass over ranges."""

    def __init__(
        self,
        client: Consumer,
        events: ClientEvents,
        wanted: Mapping[TopicPartition, Range],
        unreadable: dict[TopicPartition, str],
    ) -> None:
        self._client = client
        self._events = events
        self._waiting = list(wanted.items())[::-1]
        self._left: dict[TopicPartition, Range] = {}
        self._unreadable = unreadable
        self._heard_s = time.monotonic()

    def chunks(self) -> Iterator[Fetched]:
        """Yield what is read, until nothing is left."""
        self._begin_more()
        while self._left:
            with translate_errors("read topics", self._events):
                messages = self._client.consume(_CHUNK, timeout=0) or self._client.consume(1, timeout=_SLICE_S)
            if messages:
                self._heard_s = time.monotonic()
            else:
                self._check_silence()
            yield from self._fetched(messages)
            self._begin_more()

    def _begin_more(self) -> None:
        begun: dict[TopicPartition, Range] = {}
        while self._waiting and len(self._left) + len(begun) < _AT_ONCE:
            partition, offset_range = self._waiting.pop()
            begun[partition] = offset_range
        if begun:
            self._left |= begun
            with translate_errors("read topics", self._events):
                self._client.incremental_assign([ClientPartition(*one, at.begin) for one, at in begun.items()])

    def _check_silence(self) -> None:
        silent_s = time.monotonic() - self._heard_s
        if silent_s > _SILENT_S or (silent_s > _ALL_DOWN_S and self._events.all_down):
            first = next(iter(self._left))
            failure = self._events.failure
            if failure is not None:
                raise translated(failure, "read topics", self._events)
            raise OutageError(
                f"Kafka: nothing has come of topic {first.topic}[{first.partition}] for {silent_s:.0f} s, whose range"
                " has not ended"
            )

    def _fetched(self, messages: Sequence[Message]) -> list[Fetched]:
        found: dict[TopicPartition, list[RawMessage]] = {}
        ends: dict[TopicPartition, int] = {}
        done: set[TopicPartition] = set()
        for message in messages:
            partition = TopicPartition(message.topic() or "", message.partition() or 0)
            offset_range = self._left.get(partition)
            if message.error() is not None:
                # An end behind something that cannot be read does not mean that all before it was read.
                if partition not in self._unreadable and self._has_ended(partition, message):
                    # A leader that knows less than the one before it has no more; what is missing is not passed over.
                    ends[partition] = max(ends.get(partition, 0), message.offset() or 0)
                    done.add(partition)
                continue
            offset = message.offset() or 0
            if offset_range is None or partition in self._unreadable or offset < offset_range.begin:
                continue
            ends[partition] = offset + 1
            if offset < offset_range.end:
                kind, timestamp_ms = message.timestamp()
                found.setdefault(partition, []).append(
                    (offset, timestamp_ms if kind else -1, message.key(), message.value())
                )
        return self._chunks_of(found, ends, done | self._unreadable.keys())

    def _chunks_of(
        self,
        found: Mapping[TopicPartition, list[RawMessage]],
        ends: Mapping[TopicPartition, int],
        done: Collection[TopicPartition],
    ) -> list[Fetched]:
        chunks: list[Fetched] = []
        for partition, end in ends.items():
            begin, last = self._left[partition]
            after = min(end, last)
            if after > begin:
                chunks.append(Fetched(partition, found.get(partition, []), begin, after))
                self._left[partition] = Range(after, last)
        finished = [one for one, (begin, end) in self._left.items() if begin >= end or one in done]
        if finished:
            with translate_errors("read topics", self._events):
                self._client.incremental_unassign([ClientPartition(*one) for one in finished])
            for partition in finished:
                del self._left[partition]
        return chunks

    def _has_ended(self, partition: TopicPartition, message: Message) -> bool:
        """Return whether an error says that a partition has no more now; raises others, or takes note of them."""
        error: Any = message.error()
        code = error.code()
        offset_range = self._left.get(partition)
        if code == KafkaError._PARTITION_EOF:
            return offset_range is not None
        if code in PASSING:
            return False
        if offset_range is None or code in REFUSED:
            raise translated(error, "read topics", self._events)
        if code in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):
            raise RetryableError(
                f"Kafka: offset {offset_range.begin} of topic {partition.topic}[{partition.partition}] is gone"
            )
        if code in (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION):
            raise RetryableError(f"Kafka: topic {partition.topic}[{partition.partition}] is gone")
        self._unreadable[partition] = f"it cannot be read: {error.str()}"
        return False
