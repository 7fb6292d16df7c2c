"""Records come in by topic; produce requests whose every message set the broker has acknowledged go out.

pykafka's Producer has a thread for each broker and topic, and those threads die with a broker without a word about
the messages they held. This one uses pykafka's connections without that class: it sends whole message sets itself and
waits for the answer, so that a message is stored exactly when the broker has said so.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pykafka.exceptions import ERROR_CODES, InvalidMessageSize, MessageSizeTooLarge, SocketDisconnectedError

from elworkers.contracts import Record, Refusal
from elworkers.errors import RetryableError
from elworkers.kafka import client, topics
from elworkers.kafka.messagesets import MESSAGE_OVERHEAD, Place, ProduceSets, codes, message_set

_REQUEST_SETS = 8
_TOO_LARGE = {MessageSizeTooLarge.ERROR_CODE, InvalidMessageSize.ERROR_CODE}

Keyed = tuple[Record, bytes | None]
"""A record and the key of its message."""


class Settings(NamedTuple):
    """How messages are produced.

    Attributes:
        acks: -1 for all replicas, 1 for the leader.
        ack_timeout_ms: longest wait of the broker for its replicas.
        compression: none, gzip or snappy.
        max_set_bytes: of a message set, unless a single message is larger.
        partitions, replication: of topics that have to be created; None: the broker's default.
        metadata_max_age_ms: how old metadata may become.
    """

    acks: int
    ack_timeout_ms: int
    compression: str
    max_set_bytes: int
    partitions: int | None
    replication: int | None
    metadata_max_age_ms: int


class Producer:
    """Produces to any number of topics. Sinks of the same brokers share one: a batch is then one request a leader.

    Raises:
        RetryableError: no broker answers.
        ConfigurationError: the broker is too new.
    """

    def __init__(self, hosts: Sequence[str], settings: Settings) -> None:
        self._settings = settings
        self._cluster = client.connect(hosts)
        self._freshness = topics.Freshness(self._cluster, settings.metadata_max_age_ms)
        self._topics: dict[str, Any] = {}
        self._turns: dict[str, int] = {}
        self._chosen: dict[str, Place] = {}
        self._pending: dict[Place, list[Keyed]] = {}
        self._sizes: dict[Place, int] = {}
        self._bytes = 0
        self._refused: list[Refusal] = []

    def refresh(self) -> None:
        """Ask for metadata anew where it is old.

        Raises:
            RetryableError: no broker answers.
        """
        self._freshness.renewed()

    def add(self, name: str, records: Sequence[Record]) -> None:
        """Take records without keys for a topic.

        All of a flush go to one partition, those of the next to the next one: that makes large message sets, and even
        shares. Where a set is full the next partition has its turn earlier.

        Raises:
            RetryableError: the topic cannot be looked up or made; or as `send` does.
        """
        begin = 0
        while begin < len(records):
            place = self._chosen.get(name) or self._choose(name)
            room = self._settings.max_set_bytes - self._sizes.get(place, 0)
            end, size = _fitting(records, begin, room)
            if end == begin and place in self._pending:
                if self._choose(name) in self._pending:
                    self.send()
                continue
            if end == begin:
                end, size = begin + 1, len(records[begin].value) + MESSAGE_OVERHEAD
            self._put(place, [(record, None) for record in records[begin:end]], size)
            begin = end

    def add_keyed(self, name: str, key: bytes, record: Record) -> None:
        """Take a record with a key, which says the partition.

        Raises:
            RetryableError: as `add` does.
        """
        place = Place(name, zlib.crc32(key) % self._count(name))
        size = len(record.value) + len(key) + MESSAGE_OVERHEAD
        if self._sizes.get(place, 0) + size > self._settings.max_set_bytes:
            self.send()
        self._put(place, [(record, key)], size)

    def _put(self, place: Place, some: list[Keyed], size: int) -> None:
        if self._bytes + size > _REQUEST_SETS * self._settings.max_set_bytes:
            self.send()
        self._pending.setdefault(place, []).extend(some)
        self._sizes[place] = self._sizes.get(place, 0) + size
        self._bytes += size

    def _choose(self, name: str) -> Place:
        # Beginning anywhere, so that several workers do not all begin at the same partition.
        self._turns[name] = self._turns.get(name, zlib.crc32(name.encode()) ^ id(self)) + 1
        self._chosen[name] = Place(name, self._turns[name] % self._count(name))
        return self._chosen[name]

    def _count(self, name: str) -> int:
        topic = self._topics.get(name)
        if topic is None:
            settings = self._settings
            topic = topics.ensure(self._cluster, name, settings.partitions, settings.replication)
            self._topics[name] = topic
        return len(topic.partitions)

    def flush(self) -> list[Refusal]:
        """Block until everything taken is acknowledged; returns what the brokers will never take.

        Raises:
            RetryableError: a broker is away or refuses for now; what was taken may be stored.
        """
        self.send()
        refused, self._refused = self._refused, []
        return refused

    def send(self) -> None:
        """Send what was taken, to all leaders at once, and wait for their answers.

        Raises:
            RetryableError: as `flush` does.
        """
        pending = self._pending
        self._pending, self._sizes, self._chosen, self._bytes = {}, {}, {}, 0
        by_leader: dict[Any, dict[Place, list[Keyed]]] = {}
        with client.translated("produce"):
            for place, some in pending.items():
                leader = self._topics[place.topic].partitions[place.partition].leader
                by_leader.setdefault(leader, {})[place] = some
            answers = [(leader, sets, self._ask(leader, sets)) for leader, sets in by_leader.items()]
            for leader, sets, answer in answers:
                self._settle(leader, sets, codes(answer.get()))

    def _ask(self, leader: Any, sets: Mapping[Place, Sequence[Keyed]]) -> Any:
        settings, now_ms = self._settings, int(time.time() * 1000)
        encoded = {place: message_set(some, now_ms, settings.compression) for place, some in sets.items()}
        if leader.handler is None:
            raise SocketDisconnectedError
        return leader.handler.request(ProduceSets(encoded, settings.acks, settings.ack_timeout_ms))

    def _settle(self, leader: Any, sets: Mapping[Place, list[Keyed]], found: Mapping[Place, int]) -> None:
        for place, some in sets.items():
            code = found[place]
            if code in _TOO_LARGE:
                self._split(leader, place, some)
            elif code:
                error = ERROR_CODES.get(code)
                reason = error.__name__ if error else f"error code {code}"
                raise RetryableError(f"Kafka: produce to {place.topic}[{place.partition}]: {reason}")

    def _split(self, leader: Any, place: Place, some: list[Keyed]) -> None:
        # The broker refuses a message set as a whole; halves of it find the message that is too large.
        if len(some) == 1:
            record = some[0][0]
            size = len(record.value)
            self._refused.append(
                Refusal(record, f"the broker of topic {place.topic} refuses a message of {size} bytes")
            )
            return
        middle = len(some) // 2
        for half in ({place: some[:middle]}, {place: some[middle:]}):
            self._settle(leader, half, codes(self._ask(leader, half).get()))

    def close(self) -> None:
        """Forget what was not flushed, and the connections."""
        self._pending, self._topics = {}, {}
        self._cluster = None


def _fitting(records: Sequence[Record], begin: int, room: int) -> tuple[int, int]:
    """The end of the records from `begin` on that fit, and their bytes."""
    size = sum([len(record.value) for record in records]) + MESSAGE_OVERHEAD * len(records) if not begin else room + 1
    if size <= room:
        return len(records), size
    size = 0
    for number in range(begin, len(records)):
        more = len(records[number].value) + MESSAGE_OVERHEAD
        if size + more > room:
            return number, size
        size += more
    return len(records), size
