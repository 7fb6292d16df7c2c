# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Defines what this program needs of a Kafka client, in terms of no client; `drivers` gives the one to use.

A driver is a package beside this module, and nothing outside of it imports the client that it stands for. All calls
come from one thread, and a driver makes its own calls (`AssignmentListener`) in that thread, during `Consumer.poll`.
Clients are made after the fork.

What a client raises becomes one of four errors (see `errors`).
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from elworkers.config.topic_plan import TopicPlan
from elworkers.connectors.kafka.producer_protocol import Producer, ProducerContext, ProducerSettings
from elworkers.core.contracts import Metrics, TopicPartition

RawMessage = tuple[int, int, bytes | None, bytes | None]
"""Offset, time in ms since the epoch (-1: none), key, and value of a message."""


class Range(NamedTuple):
    """A range of offsets; `end` is not part of it."""

    begin: int
    end: int


class Fetched(NamedTuple):
    """The messages of one partition in the offsets from `begin` to `next`, which is not part of them.

    Attributes:
        messages: in order, maybe none.
    """

    partition: TopicPartition
    messages: Sequence[RawMessage]
    begin: int
    next: int


class TopicShape(NamedTuple):
    """How many partitions a topic has, and how many replicas the first of them."""

    partitions: int
    replication: int


class AssignmentListener(Protocol):
    """Hears of a consumer's partitions. Called in the thread that drives it, during `Consumer.poll`."""

    def assigned(self, positions: Mapping[TopicPartition, int]) -> Mapping[TopicPartition, int]:
        """Take newly assigned partitions: those that were not held just before.

        Args:
            positions: where the group has each of them begin.

        Returns:
            Those that have to begin elsewhere, and where; the driver commits that before it goes on.

        Raises:
            RetryableError: where they begin cannot be said now.
        """

    def revoked(self, partitions: Collection[TopicPartition], /, *, lost: bool) -> None:
        """Flush and commit what was polled, because these partitions may leave; those that stay need no other word.

        Args:
            lost: they have left without waiting, and nothing of them can be committed.

        Raises:
            RetryableError: it could not be flushed; raised by the `poll` that has called.
        """

    def offset_reset(self, partition: TopicPartition, wanted: int, earliest: int) -> None:
        """Take note that reading goes on at `earliest`, because the messages from `wanted` on are gone."""


class Consumer(Protocol):
    """A member of a consumer group that reads one topic.

    Attributes:
        topic_id: Kafka's id of the topic as 32 hex digits; empty where the brokers tell none. A topic that was deleted
            and made again raises `RetryableError`: another consumer has to be made.
    """

    topic_id: str

    def poll(self, limit: int, timeout_s: float) -> Sequence[tuple[TopicPartition, list[RawMessage]]]:
        """Return up to `limit` messages together, at least one of them unless `timeout_s` has passed.

        Lists are in order, and none is empty. May return nothing where the listener was called.

        Raises:
            RetryableError: one of the errors above, or the topic has other partitions now: join anew.
        """

    def commit(self, positions: Mapping[TopicPartition, int]) -> dict[TopicPartition, bool]:
        """Commit for each partition the offset to read next; says that everything polled so far is done with.

        Returns:
            For each whether it counted; False: it is no longer held, or the group has moved on.

        Raises:
            RetryableError: nothing may have been committed.
        """

    def assigned(self) -> list[TopicPartition]:
        """Return the partitions that the group gives to this member now, in order."""

    def stable_ends(self) -> dict[TopicPartition, int]:
        """Return how far each assigned partition can be read now (see `Admin.stable_ends`), if somebody leads it.

        Raises:
            RetryableError: one of the errors above.
        """

    def close(self) -> None:
        """Leave the group; commits nothing, never raises."""


class Admin(Protocol):
    """Looks up and creates topics, their offsets and those of groups."""

    def get_or_create(self, topic: str, partitions: int | None = None, replication: int | None = None) -> TopicShape:
        """Return the topic's shape once its partitions have leaders; a topic that exists stays as it is.

        Args:
            partitions, replication: where it has to be made; None: the broker's default.

        Raises:
            ConfigurationError: the brokers refuse the name or the numbers.
            RetryableError: one of the errors above.
        """

    def topics(self) -> list[str]:
        """Return the names of all topics but internal ones."""

    def topic_ids(self, topics: Sequence[str]) -> dict[str, str]:
        """Return name → id as 32 hex digits, without topics that do not exist; empty where the brokers tell none."""

    def ends(self, topic: str) -> dict[TopicPartition, int]:
        """Return the offset that the next message of each partition gets; empty where there is no such topic."""

    def stable_ends(self, topic: str) -> dict[TopicPartition, int]:
        """Return the end of each partition, or where its oldest open transaction begins; empty as `ends`.

        Readers of committed records get nothing from there on.
        """

    def committed(self, group: str, topic: str) -> dict[TopicPartition, int]:
        """Return the committed offsets of a group in a topic, without partitions that it has never committed."""

    def brokers(self) -> set[int]:
        """Return the ids of the brokers that can be reached."""

    def close(self) -> None:
        """Let go of the connections; never raises."""


class Reader(Protocol):
    """Reads ranges of many topics without a group; whoever reads remembers how far.

    Attributes:
        unreadable: partition → why it could not be read further in the last `read`.
        unavailable: partition → why the last `ranges` is without it.
    """

    unreadable: dict[TopicPartition, str]
    unavailable: dict[TopicPartition, str]

    def topic_ids(self, topics: Sequence[str]) -> dict[str, str]:
        """See `Admin.topic_ids`."""

    def partitions(self) -> list[TopicPartition]:
        """Return the partitions of every topic there is now, in order; asks the brokers anew."""

    def ranges(self, wanted: Sequence[TopicPartition]) -> dict[TopicPartition, Range]:
        """Return what can be read of each partition now: from its earliest offset up to its stable end.

        Up to its end where open and aborted transactions are read as well. Without those that cannot be read at the
        moment; `unavailable` then says why.
        """

    def at_time(self, wanted: Sequence[TopicPartition], time_ms: int) -> dict[TopicPartition, int]:
        """Return the offset of each partition's first message of this time or later; without those that have none.

        Args:
            wanted: of the last `ranges`.
            time_ms: Kafka's time, in ms since the epoch.
        """

    def committed(self, group: str, topic: str) -> dict[int, int]:
        """Return partition number → committed offset of a group in a topic."""

    def read(self, wanted: Mapping[TopicPartition, Range]) -> Generator[Fetched, None, None]:
        """Yield every message in these ranges, some partitions after others.

        A partition that cannot be read for a reason of its own is left where it cannot be; `unreadable` then says why.

        Raises:
            RetryableError: one of the errors above, or the beginning of a range has been deleted.
        """

    def close(self) -> None:
        """Let go of the connections; never raises."""


class Driver(Protocol):
    """Makes clients of one kind. Everything it makes may raise the errors above.

    Attributes:
        has_transactions: whether it is a `transactional.TransactionalDriver`. A driver without transactions does not
            hand over records of transactions, because it cannot tell aborted ones: their partitions stand still.
    """

    has_transactions: bool

    def consumer(  # noqa: PLR0913, PLR0917 - a member, and who knows more of it
        self,
        hosts: Sequence[str],
        options: Mapping[str, Any],
        group: str,
        listener: AssignmentListener,
        metrics: Metrics,
        plan: TopicPlan | None = None,
        static_id: str | None = None,
    ) -> Consumer:
        """Return a member that has joined its group; the topic is made where it does not exist.

        Args:
            hosts: the brokers, each `host:port`.
            options: of an input's URI, typed.
            group: the consumer group.
            listener: is called for assigned and revoked partitions.
            metrics: is told of stalled partitions.
            plan: how the topic has to be made; None: as the options say.
            static_id: name of a static member, of no other member of the group (KIP-345); only with confluent-kafka.

        Raises:
            ConfigurationError: an option cannot be had with this client.
        """

    def producer(
        self, hosts: Sequence[str], settings: ProducerSettings, context: ProducerContext | None = None
    ) -> Producer:
        """Return a producer.

        Args:
            hosts: the brokers, each `host:port`.
            settings: how messages are produced.
            context: what it shares with others; None: nothing.
        """

    def admin(self, hosts: Sequence[str]) -> Admin:
        """Return a client that looks up topics and groups."""

    def reader(
        self, hosts: Sequence[str], partition_bytes: int = 1024 * 1024, *, reads_uncommitted: bool = False
    ) -> Reader:
        """Return a reader of ranges.

        Args:
            hosts: the brokers, each `host:port`.
            partition_bytes: how much of one partition one answer holds; a larger message is asked for alone.
            reads_uncommitted: whether partitions that transactional producers write to are read like all others.
        """

    def name_process(self, client_id: str) -> None:
        """Name this process to the brokers; at most 200 ASCII characters of it."""
