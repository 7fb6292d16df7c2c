# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Defines what all parts share: records, where they come from, and what sources, stages and sinks promise.

A batch of `Record` comes in from a `Source`, passes the `Stage`s and goes out to `Sink`s. Only
`core.loop` flushes sinks and commits offsets, in this order::

    records = source.poll(...)         may block up to its timeout
    records = stage(records)           pure apart from caches; never raises for a bad event
    sink.write(records)                takes them into memory, may block on the far side
    rejected = sink.flush()            returns only when all of it is stored or rejected
    sink.commit_transaction(positions) only then; a database commits rows and positions together
    source.commit(positions)           and then

Any of them may raise `RetryableError`: the loop closes all of them, waits and builds them anew. What only some sources
and sinks can do is in `core.capabilities`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Protocol

Event = dict[str, Any]
"""A capsule: the fields of reference EventCapsule, with the event proper under `event`."""


class TopicPartition(NamedTuple):
    """A partition of a topic."""

    topic: str
    partition: int


class Assignment(NamedTuple):
    """The partition a record was read from, as held by one consumer.

    `assignment_epoch` counts how often this process has been given a partition it did not hold just before; a
    position of an earlier one says nothing about the present one and is never committed.

    `topic_id` is Kafka's id of the topic as 32 hex digits: a topic that was deleted and made again has another one.
    Empty where the broker has none (before Kafka 2.8) or the source is not Kafka.
    """

    topic: str
    partition: int
    cluster: str = ""
    assignment_epoch: int = 0
    topic_id: str = ""


FILES = "files"
"""The cluster of an origin that is a file: its topic is the path, and a line's offset that of its last byte."""

Positions = Mapping[Assignment, int]
"""For each partition the offset of the next record to read, as Kafka commits it."""


class Record:
    """One line or message on its way through the program.

    Attributes:
        value: the bytes as received; behind the processor's stages the encoded event.
        event: the parsed event, or None before it is parsed.
        valid: False for an EventError made of a record that failed.
        origin: where it was read, or None where the source cannot be asked again (UDP, stdin).
        offset: its offset there; -1 without origin.
        timestamp_ms: Kafka's time of the message in ms since the epoch, or the time of arrival.
        key: the message key, if any.
    """

    __slots__ = ("event", "key", "offset", "origin", "timestamp_ms", "valid", "value")

    def __init__(  # noqa: PLR0913 - one record, its six fields
        self,
        value: bytes,
        *,
        event: Event | None = None,
        valid: bool = True,
        origin: Assignment | None = None,
        offset: int = -1,
        timestamp_ms: int = 0,
        key: bytes | None = None,
    ) -> None:
        self.value = value
        self.event = event
        self.valid = valid
        self.origin = origin
        self.offset = offset
        self.timestamp_ms = timestamp_ms
        self.key = key

    def staged(self, value: bytes, event: Event) -> Record:
        """Return what a stage makes of this record: of the same origin and time, with the same key, and valid."""
        # One call for each event; the constructor's would take three times as long.
        made = _new(Record)
        made.value = value
        made.event = event
        made.valid = True
        made.origin = self.origin
        made.offset = self.offset
        made.timestamp_ms = self.timestamp_ms
        made.key = self.key
        return made

    def __repr__(self) -> str:
        location = f"{self.origin.topic}[{self.origin.partition}]@{self.offset}" if self.origin else "-"
        return f"<Record {location} {self.value[:60]!r}>"


_new = Record.__new__


class OwnTopic(NamedTuple):
    """A topic that a schema wants for itself, though names of other schemas may lead to it as well.

    `plain` is the schema's name as it stands in the topic: written with what a topic's name can have.
    """

    topic: str
    schema: str
    plain: str


class RejectedRecord(NamedTuple):
    """A record that a store will never take, with the store's own message.

    `code` is that of the EventError (`errors.InvalidEventError`); `too_large`: a shorter one might be taken.
    """

    record: Record
    message: str
    code: str = "storage"
    too_large: bool = False


class Destination(NamedTuple):
    """Where in Kafka something was written again.

    Attributes:
        store: brokers and topic, as `host:port,host:port/topic`; empty where it is not Kafka.
        schema: of the event that became an EventError; empty for all else.
    """

    store: str = ""
    schema: str = ""


class Source(Protocol):
    """Where records come from. Made in the worker (after fork), used by its main thread only."""

    @property
    def exhausted(self) -> bool:
        """True once nothing more can come (end of stdin); the loop then flushes and ends."""

    @property
    def replayable(self) -> bool:
        """False where what was polled cannot be asked for again (UDP, stdin).

        The loop then keeps source and records over a failure of the sinks, and empties the source before it stops.
        """

    @property
    def durable(self) -> bool:
        """True where what was polled but not committed is read again by the next process."""

    @property
    def idle(self) -> bool:
        """True while there is nothing that it could read (a group has more members than the topic has partitions)."""

    def poll(self, limit: int, timeout_s: float) -> list[Record]:
        """Return a new list of up to `limit` records, with at least one unless `timeout_s` seconds have passed.

        Raises:
            RetryableError: the far side is away.
        """

    def commit(self, positions: Positions) -> None:
        """Remember that everything before these positions is done with.

        Positions of partitions that this source does not hold (any more) are passed over.

        Raises:
            RetryableError: nothing may have been committed.
        """

    def close(self) -> None:
        """Release everything (leave the group); never raises, never commits."""


class Stage(Protocol):
    """A step of an event's way.

    Gives back what goes on, in order, as new records where anything changes: those it was given may have to be staged
    again. A bad event becomes an EventError.
    """

    def __call__(self, records: list[Record]) -> list[Record]:
        """Return the records that go on."""


class Sink(Protocol):
    """Where records go to. Made in the worker, used by its main thread only."""

    def write(self, records: Sequence[Record]) -> None:
        """Take the records; they count as stored only after the next `flush`.

        Raises:
            RetryableError: the far side is away; what was written since the last flush is void.
        """

    def flush(self) -> list[RejectedRecord]:
        """Block until everything written is stored; return what the store will never take.

        Raises:
            RetryableError: the far side is away; what was written since the last flush may be stored.
        """

    def commit_transaction(self, positions: Positions) -> None:
        """Make what was flushed final, together with the positions behind it; most sinks have nothing left to do.

        Raises:
            RetryableError: the far side is away, or another consumer has claimed these records there.
        """

    def close(self) -> None:
        """Release everything without storing what was not flushed and committed; never raises."""


Selector = Callable[[Record], bool]
"""Returns whether an output takes a record."""


class Output(NamedTuple):
    """A sink and what it takes."""

    sink: Sink
    accepts: Selector


class Budget(Protocol):
    """How long one event may take.

    Attributes:
        seconds: the time limit of one event.
        current_record: the record whose event has begun; `errors.EventTimeout` may be raised anywhere. None: what comes
            now may take its time.
    """

    seconds: float
    current_record: Record | None

    def batch(self) -> AbstractContextManager[None]:
        """Watch the events of a batch while this is entered."""


class Metrics(Protocol):
    """What one worker reports: counters, and what it has set aside.

    Names and labels of counters are declared in `core.metrics`; others raise.
    """

    def count(self, name: str, value: int = 1, **labels: str) -> None:
        """Add `value` to a counter."""

    def counter(self, name: str, **labels: str) -> Callable[[int], None]:
        """Return a call that adds to one counter, for those who do so often."""

    def total(self, name: str) -> int:
        """Return what a counter has come to, over all labels."""

    def set_aside(self, what: str, why: str, since: float | None = None) -> None:
        """Set aside one thing that stands still or is rejected while all else goes on; `status` and `check` name it.

        Args:
            what: kind and name, as `schema Foo/3`, `topic eventlogging_Foo[2]` or `table Foo_3`.
            why: one sentence, without any password.
            since: when that began, in s since the epoch; None: now, unless it is set aside already.
        """

    def resumed(self, what: str) -> None:
        """Take back what was set aside; nothing happens where nothing was."""

    def remark(self, what: str, text: str) -> None:
        """Report that one thing works, but not as it was configured; `status` names it.

        Args:
            what: as in `set_aside`.
            text: one sentence, without any password; empty: it is as it was configured.
        """
