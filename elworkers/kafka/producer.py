"""Records come in by topic; produce requests whose every message set the broker has acknowledged go out.

pykafka's Producer has a thread for each broker and topic, and those threads die with a broker without a word about
the messages they held. This one uses pykafka's connections without that class: it sends whole message sets itself and
waits for the answer, so that a message is stored exactly when the broker has said so.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any, NamedTuple

from pykafka.exceptions import ERROR_CODES, InvalidMessageSize, MessageSizeTooLarge, SocketDisconnectedError

from elworkers.contracts import Record, Refusal
from elworkers.errors import RetryableError
from elworkers.kafka import client, topics
from elworkers.kafka.messagesets import MESSAGE_OVERHEAD, Place, ProduceSets, codes, message_set

_TAKEN_SETS = 8
"""Full message sets that are taken before they are sent."""

_WORTH_BYTES = 8 * 1024
"""Of a message set, on average."""

_REQUEST_BYTES = 2 * 1024 * 1024
"""Of a request, unless a single set is larger: it is in memory beside what it is made of."""

_TOO_LARGE = {MessageSizeTooLarge.ERROR_CODE, InvalidMessageSize.ERROR_CODE}


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


class _Set:
    """Records for one partition; `keys` stays empty where none has one."""

    __slots__ = ("keys", "leader", "place", "records", "size")

    def __init__(self, place: Place, leader: Any) -> None:
        self.place = place
        self.leader = leader
        self.records: list[Record] = []
        self.keys: list[bytes] = []
        self.size = 0

    def part(self, begin: int, end: int | None) -> _Set:
        part = _Set(self.place, self.leader)
        part.records, part.keys = self.records[begin:end], self.keys[begin:end]
        return part


class _Topic:
    """A topic's partitions with their leaders, whose turn it is, and what was taken for them since the last request."""

    __slots__ = ("current", "leaders", "places", "sets", "turn")

    def __init__(self, name: str, leaders: Sequence[Any], turn: int) -> None:
        self.places = [Place(name, number) for number in range(len(leaders))]
        self.leaders = leaders
        self.turn = turn
        self.sets: dict[int, _Set] = {}
        self.current: _Set | None = None


def _requests(sets: Iterable[_Set]) -> Iterator[list[_Set]]:
    """The sets of one leader, as many at a time as go into a request."""
    some: list[_Set] = []
    size = 0
    for one in sets:
        if some and size + one.size > _REQUEST_BYTES:
            yield some
            some, size = [], 0
        some.append(one)
        size += one.size
    if some:
        yield some


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
        self._topics: dict[str, _Topic] = {}
        self._taken: list[tuple[_Topic, _Set]] = []
        self._bytes = 0
        self._refused: list[Refusal] = []

    def refresh(self) -> None:
        """Ask for metadata anew where it is old.

        Raises:
            RetryableError: no broker answers; or as `send` does.
        """
        if self._freshness.renewed():
            self.send()
            self._topics = {name: self._look_up(name, topic.turn) for name, topic in self._topics.items()}

    def wants_more(self) -> bool:
        """Whether the message sets taken so far are small: with many topics, a set costs more than its messages do."""
        return self._bytes < _WORTH_BYTES * len(self._taken)

    def prepare(self, names: Iterable[str]) -> None:
        """Create those of the topics that do not exist; `add` and `add_keyed` would do so one by one.

        Raises:
            RetryableError: they cannot be made now.
        """
        new = [name for name in names if name not in self._topics]
        if len(new) > 1:
            topics.create_missing(self._cluster, new, self._settings.partitions, self._settings.replication)

    def add(self, name: str, records: Sequence[Record]) -> None:
        """Take records without keys for a topic.

        All of a flush go to one partition, those of the next to the next one: that makes large message sets, and even
        shares. Where a set is full the next partition has its turn earlier.

        Raises:
            RetryableError: the topic cannot be looked up or made; or as `send` does.
        """
        topic = self._topics.get(name) or self._found(name)
        size = MESSAGE_OVERHEAD * len(records)
        for record in records:
            size += len(record.value)
        current = topic.current or self._next(topic)
        if current.size + size <= self._settings.max_set_bytes:
            current.records += records
            self._count(current, size)
            return
        for record in records:
            size = len(record.value) + MESSAGE_OVERHEAD
            current = topic.current or self._next(topic)
            if current.records and current.size + size > self._settings.max_set_bytes:
                current = self._next(topic)
            current.records.append(record)
            self._count(current, size)

    def add_keyed(self, name: str, key: bytes, record: Record) -> None:
        """Take a record with a key, which says the partition.

        Raises:
            RetryableError: as `add` does.
        """
        topic = self._topics.get(name) or self._found(name)
        partition = zlib.crc32(key) % len(topic.places)
        size = len(record.value) + len(key) + MESSAGE_OVERHEAD
        keyed = topic.sets.get(partition) or self._begun(topic, partition)
        if keyed.records and (keyed.size + size > self._settings.max_set_bytes or not keyed.keys):
            self.send(topic)
            keyed = self._begun(topic, partition)
        keyed.records.append(record)
        keyed.keys.append(key)
        self._count(keyed, size)

    def _count(self, grown: _Set, size: int) -> None:
        grown.size += size
        self._bytes += size
        if self._bytes > _TAKEN_SETS * self._settings.max_set_bytes:
            self.send()

    def _next(self, topic: _Topic) -> _Set:
        topic.turn = (topic.turn + 1) % len(topic.places)
        if topic.turn in topic.sets:
            # Not what other topics have: their sets would be as many more, and as much smaller.
            self.send(topic)
        topic.current = self._begun(topic, topic.turn)
        return topic.current

    def _begun(self, topic: _Topic, partition: int) -> _Set:
        begun = topic.sets[partition] = _Set(topic.places[partition], topic.leaders[partition])
        self._taken.append((topic, begun))
        return begun

    def _found(self, name: str) -> _Topic:
        # Beginning anywhere, so that several workers do not all begin at the same partition.
        topic = self._topics[name] = self._look_up(name, zlib.crc32(name.encode()) ^ id(self))
        return topic

    def _look_up(self, name: str, turn: int) -> _Topic:
        settings = self._settings
        found = topics.ensure(self._cluster, name, settings.partitions, settings.replication)
        with client.translated(f"look up the leaders of {name}"):
            leaders = [found.partitions[number].leader for number in range(len(found.partitions))]
        return _Topic(name, leaders, turn % len(leaders))

    def flush(self) -> list[Refusal]:
        """Block until everything taken is acknowledged; returns what the brokers will never take.

        Raises:
            RetryableError: a broker is away or refuses for now; what was taken may be stored.
        """
        self.send()
        refused, self._refused = self._refused, []
        return refused

    def send(self, only: _Topic | None = None) -> None:
        """Send what was taken, to all leaders at once, and wait for their answers.

        Args:
            only: what was taken for this topic; None: for all.

        Raises:
            RetryableError: as `flush` does.
        """
        taken, self._taken = self._taken, []
        by_leader: dict[Any, list[_Set]] = {}
        for topic, one in taken:
            if only is not None and topic is not only:
                self._taken.append((topic, one))
                continue
            topic.sets, topic.current = {}, None
            self._bytes -= one.size
            if one.records:
                by_leader.setdefault(one.leader, []).append(one)
        requests = ([(leader, some) for some in _requests(sets)] for leader, sets in by_leader.items())
        with client.translated("produce"):
            for at_once in zip_longest(*requests):
                answers = [(some, self._ask(leader, some)) for leader, some in filter(None, at_once)]
                for some, answer in answers:
                    self._settle(some, codes(answer.get()))

    def _ask(self, leader: Any, sets: Sequence[_Set]) -> Any:
        settings, now_ms = self._settings, int(time.time() * 1000)
        encoded = [(one.place, message_set(one.records, one.keys, now_ms, settings.compression)) for one in sets]
        if leader.handler is None:
            raise SocketDisconnectedError
        return leader.handler.request(ProduceSets(encoded, settings.acks, settings.ack_timeout_ms))

    def _settle(self, sets: Sequence[_Set], found: Mapping[Place, int]) -> None:
        for one in sets:
            code = found[one.place]
            if code in _TOO_LARGE:
                self._split(one)
            elif code:
                error = ERROR_CODES.get(code)
                reason = error.__name__ if error else f"error code {code}"
                raise RetryableError(f"Kafka: produce to {one.place.topic}[{one.place.partition}]: {reason}")

    def _split(self, one: _Set) -> None:
        # The broker refuses a message set as a whole; halves of it find the message that is too large.
        if len(one.records) == 1:
            (record,) = one.records
            words = f"the broker of topic {one.place.topic} refuses a message of {len(record.value)} bytes"
            self._refused.append(Refusal(record, words))
            return
        middle = len(one.records) // 2
        for half in (one.part(0, middle), one.part(middle, None)):
            self._settle([half], codes(self._ask(half.leader, [half]).get()))

    def close(self) -> None:
        """Forget what was not flushed, and the connections."""
        self._taken, self._topics = [], {}
        self._cluster = None
