"""Records come in; produce requests whose every message set the broker has acknowledged go out.

pykafka's Producer has a thread for each broker and topic, and those threads die with a broker without a word about
the messages they held. This sink uses pykafka's requests and connections without that class: it sends whole message
sets itself and waits for the answer, so that a message is stored exactly when the broker has said so.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pykafka.common import CompressionType
from pykafka.exceptions import ERROR_CODES, InvalidMessageSize, MessageSizeTooLarge
from pykafka.protocol import Message, ProduceRequest

from elworkers.contracts import Positions, Record, Refusal
from elworkers.errors import RetryableError
from elworkers.kafka import client, topics

Route = Callable[[Record], tuple[str, bytes | None] | None]
"""Topic and key of a record, or None where this sink does not take it."""

_COMPRESSION = {"none": CompressionType.NONE, "gzip": CompressionType.GZIP, "snappy": CompressionType.SNAPPY}
_TOO_LARGE = {MessageSizeTooLarge.ERROR_CODE, InvalidMessageSize.ERROR_CODE}
_MESSAGE_OVERHEAD = 34


class KafkaSink:
    """Produces to the topics that `route` names; implements `contracts.Sink`.

    Args:
        hosts: the brokers, each `host:port`.
        options: of `schemes.KAFKA_SINK`, typed.
        route: topic and key of a record.
        partitions: for topics that have to be created and a URI that does not say.

    Raises:
        RetryableError: no broker answers.
        ConfigurationError: the broker is too new.
    """

    def __init__(
        self, hosts: Sequence[str], options: Mapping[str, Any], route: Route, partitions: int | None = None
    ) -> None:
        self._route = route
        self._acks = -1 if options["required_acks"] in ("-1", "all") else 1
        self._ack_timeout_ms: int = options["ack_timeout_ms"]
        self._compression = _COMPRESSION[options["compression"]]
        self._max_bytes: int = options["max_request_size"]
        self._each = not options["async"]
        self._partitions = options["partitions"] or partitions
        self._replication = options["replication"]
        self._cluster = client.connect(hosts)
        self._freshness = topics.Freshness(self._cluster, options["metadata_max_age_ms"])
        self._topics: dict[str, Any] = {}
        self._turns: dict[str, int] = {}
        self._pending: dict[tuple[str, int], list[tuple[Message, Record]]] = {}
        self._pending_bytes = 0
        self._refused: list[Refusal] = []

    def write(self, records: Sequence[Record]) -> None:
        """See `contracts.Sink.write`; sends at once where `max_request_size` is reached or `async=False`."""
        self._freshness.renewed()
        chosen: dict[str, int] = {}
        now_ms = int(time.time() * 1000)
        for record in records:
            routed = self._route(record)
            if routed is None:
                continue
            name, key = routed
            partition = self._partition(name, key, chosen)
            message = Message(
                record.value,
                partition_key=key,
                protocol_version=1,
                timestamp=record.timestamp_ms or now_ms,
            )
            size = len(record.value) + _MESSAGE_OVERHEAD
            if self._pending_bytes + size > self._max_bytes and self._pending:
                self._send()
            self._pending.setdefault((name, partition), []).append((message, record))
            self._pending_bytes += size
            if self._each:
                self._send()

    def _partition(self, name: str, key: bytes | None, chosen: dict[str, int]) -> int:
        topic = self._topics.get(name)
        if topic is None:
            topic = topics.ensure(self._cluster, name, self._partitions, self._replication)
            self._topics[name] = topic
        count = len(topic.partitions)
        if key is not None:
            return zlib.crc32(key) % count
        if name not in chosen:
            # One partition for a whole batch, the next one for the next: large message sets, and even shares.
            self._turns[name] = self._turns.get(name, zlib.crc32(name.encode()) ^ id(self)) + 1
            chosen[name] = self._turns[name] % count
        return chosen[name]

    def flush(self) -> list[Refusal]:
        """See `contracts.Sink.flush`."""
        if self._pending:
            self._send()
        refused, self._refused = self._refused, []
        return refused

    def _send(self) -> None:
        pending, self._pending, self._pending_bytes = self._pending, {}, 0
        by_leader: dict[Any, dict[tuple[str, int], list[tuple[Message, Record]]]] = {}
        with client.translated("produce"):
            for (name, partition), entries in pending.items():
                leader = self._topics[name].partitions[partition].leader
                by_leader.setdefault(leader, {})[name, partition] = entries
            for leader, sets in by_leader.items():
                self._produce(leader, sets)

    def _produce(self, leader: Any, sets: dict[tuple[str, int], list[tuple[Message, Record]]]) -> None:
        request = ProduceRequest(
            compression_type=self._compression,
            required_acks=self._acks,
            timeout=self._ack_timeout_ms,
            broker_version=client.BROKER_VERSION,
        )
        for (name, partition), entries in sets.items():
            for message, _ in entries:
                request.add_message(message, name.encode(), partition)
        answer = leader.produce_messages(request)
        for (name, partition), entries in sets.items():
            code = answer.topics[name.encode()][partition].err
            if code in _TOO_LARGE:
                self._split(leader, (name, partition), entries)
            elif code:
                error = ERROR_CODES.get(code)
                reason = error.__name__ if error else f"error code {code}"
                raise RetryableError(f"Kafka: produce to {name}[{partition}]: {reason}")

    def _split(self, leader: Any, place: tuple[str, int], entries: list[tuple[Message, Record]]) -> None:
        # The broker refuses a message set as a whole; halves of it find the message that is too large.
        if len(entries) == 1:
            record = entries[0][1]
            size = len(record.value)
            self._refused.append(Refusal(record, f"the broker of topic {place[0]} refuses a message of {size} bytes"))
            return
        middle = len(entries) // 2
        for half in (entries[:middle], entries[middle:]):
            self._produce(leader, {place: half})

    def settle(self, positions: Positions) -> None:
        """Nothing: what was flushed is final."""

    def close(self) -> None:
        """Forget what was not flushed, and the connections."""
        self._pending, self._topics = {}, {}
        self._cluster = None
