"""Records come in by topic; produce requests whose every message set the broker has acknowledged go out.

pykafka's Producer has a thread for each broker and topic, and those threads die with a broker without a word about
the messages they held. This one uses pykafka's connections without that class: it sends whole message sets itself and
waits for the answer, so that a message is stored exactly when the broker has said so.
"""

from __future__ import annotations

import time
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import count, zip_longest
from typing import Any, NamedTuple

from pykafka.exceptions import ERROR_CODES, InvalidMessageSize, MessageSizeTooLarge, SocketDisconnectedError

from elworkers.contracts import Record, Refusal
from elworkers.errors import RetryableError
from elworkers.kafka import client, topics
from elworkers.kafka.messagesets import MESSAGE_OVERHEAD, Place, ProduceSets, codes, message_set

_MOST_BYTES = 32 * 1024 * 1024
"""Of values that are taken before they are sent; what several outputs take is in memory once."""

_WORTH_MESSAGES = 40
"""Of a topic, on average: a message set costs as much as seven messages do, and the broker has a log for each topic."""

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


Route = Callable[[Record], tuple[str, bytes | None] | None]
"""Topic and key of a record, or None where it goes nowhere."""


class _Set:
    """Records for one partition; `keys` is empty where none has one."""

    __slots__ = ("keys", "leader", "place", "records", "size")

    def __init__(self, place: Place, leader: Any, records: Sequence[Record], keys: Sequence[bytes], size: int) -> None:
        self.place = place
        self.leader = leader
        self.records = records
        self.keys = keys
        self.size = size

    def part(self, begin: int, end: int | None) -> _Set:
        return _Set(self.place, self.leader, self.records[begin:end], self.keys[begin:end], 0)


def _cuts(sizes: Sequence[int], most: int) -> Iterator[tuple[int, int, int]]:
    """Begin, end and size of as many parts as it takes for each to be no larger than `most`, or a single one."""
    begin = size = 0
    for end, one in enumerate(sizes):
        if size and size + one > most:
            yield begin, end, size
            begin, size = end, 0
        size += one
    if size:
        yield begin, len(sizes), size


class _Topic:
    """A topic's partitions with their leaders, and the turns that they take."""

    def __init__(self, name: str, leaders: Sequence[Any], turns: Iterator[int]) -> None:
        self._places = [Place(name, number) for number in range(len(leaders))]
        self._leaders = leaders
        self._turns = turns

    def sets(self, records: Sequence[Record], most: int) -> Iterator[_Set]:
        """Message sets of records without keys.

        All of a flush go to one partition, those of the next to the next one: that makes large message sets, and even
        shares. Where a set is full the next partition has its turn earlier.
        """
        sizes = [MESSAGE_OVERHEAD + len(record.value) for record in records]
        for begin, end, size in _cuts(sizes, most):
            number = next(self._turns) % len(self._places)
            yield _Set(self._places[number], self._leaders[number], records[begin:end], [], size)

    def keyed_sets(self, keyed: Sequence[tuple[bytes, Record]], most: int) -> Iterator[_Set]:
        """Message sets of records with keys, which say the partition."""
        by_partition: defaultdict[int, list[tuple[bytes, Record]]] = defaultdict(list)
        for one in keyed:
            by_partition[zlib.crc32(one[0]) % len(self._places)].append(one)
        for number, some in by_partition.items():
            keys, records = zip(*some, strict=True)
            sizes = [MESSAGE_OVERHEAD + len(key) + len(record.value) for key, record in some]
            for begin, end, size in _cuts(sizes, most):
                yield _Set(self._places[number], self._leaders[number], records[begin:end], keys[begin:end], size)


def _requests(sets: Iterable[_Set]) -> Iterator[list[_Set]]:
    """The sets of one leader, as many at a time as go into a request; it takes one for each partition."""
    some: list[_Set] = []
    places: set[Place] = set()
    size = 0
    for one in sets:
        if some and (size + one.size > _REQUEST_BYTES or one.place in places):
            yield some
            some, places, size = [], set(), 0
        some.append(one)
        places.add(one.place)
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
        self._turns: dict[str, Iterator[int]] = {}
        self._refused: list[Refusal] = []
        self._nothing_taken()

    def _nothing_taken(self) -> None:
        # Sorted by topic as they come, until all of them are sent: of many topics each has a record or two at a time.
        self._taken: defaultdict[str, list[Record]] = defaultdict(list)
        self._keyed: defaultdict[str, list[tuple[bytes, Record]]] = defaultdict(list)
        self._messages = self._bytes = 0

    def wants_more(self) -> bool:
        """Whether the message sets of what is taken so far would be small."""
        return self._messages < _WORTH_MESSAGES * (len(self._taken) + len(self._keyed))

    def take(self, records: Iterable[Record], route: Route) -> None:
        """Take records for their topics.

        Raises:
            RetryableError: as `send` does.
        """
        taken, keyed = self._taken, self._keyed
        messages = size = 0
        for record in records:
            routed = route(record)
            if routed is None:
                continue
            name, key = routed
            if key is None:
                taken[name].append(record)
            else:
                keyed[name].append((key, record))
            messages += 1
            size += len(record.value)
        self._messages += messages
        self._bytes += size
        if self._bytes > _MOST_BYTES:
            self.send()

    def flush(self) -> list[Refusal]:
        """Block until everything taken is acknowledged; returns what the brokers will never take.

        Raises:
            RetryableError: as `send` does.
        """
        self.send()
        refused, self._refused = self._refused, []
        return refused

    def send(self) -> None:
        """Send what was taken, to all leaders at once, and wait for their answers.

        Raises:
            RetryableError: a broker is away or refuses for now, or a topic cannot be looked up or made; what was taken
                may be stored.
        """
        if not self._messages:
            return
        taken, keyed, most = self._taken, self._keyed, self._settings.max_set_bytes
        self._nothing_taken()
        self._look_up({*taken, *keyed})
        sets = [one for name, records in taken.items() for one in self._topics[name].sets(records, most)]
        sets += [one for name, some in keyed.items() for one in self._topics[name].keyed_sets(some, most)]
        by_leader: dict[Any, list[_Set]] = {}
        for one in sets:
            by_leader.setdefault(one.leader, []).append(one)
        requests = ([(leader, some) for some in _requests(of_it)] for leader, of_it in by_leader.items())
        with client.translated("produce"):
            for at_once in zip_longest(*requests):
                answers = [(some, self._ask(leader, some)) for leader, some in filter(None, at_once)]
                for some, answer in answers:
                    self._settle(some, codes(answer.get()))

    def _look_up(self, names: Iterable[str]) -> None:
        """See to it that the topics are there, and their leaders known."""
        settings = self._settings
        if self._freshness.renewed():
            self._topics.clear()
        new = [name for name in names if name not in self._topics]
        if len(new) > 1:
            topics.create_missing(self._cluster, new, settings.partitions, settings.replication)
        for name in new:
            found = topics.ensure(self._cluster, name, settings.partitions, settings.replication)
            with client.translated(f"look up the leaders of {name}"):
                leaders = [found.partitions[number].leader for number in range(len(found.partitions))]
            # Beginning anywhere, so that several workers do not all begin at the same partition.
            turns = self._turns.setdefault(name, count(zlib.crc32(name.encode()) ^ id(self)))
            self._topics[name] = _Topic(name, leaders, turns)

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
        self._nothing_taken()
        self._topics.clear()
        self._cluster = None
