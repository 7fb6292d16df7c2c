# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Keeps a broker's logs, offsets and groups in memory, with failures where a test asks for them."""

from __future__ import annotations

import contextlib
import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence

from elworkers.connectors.kafka.errors import OutageError
from elworkers.connectors.kafka.memory.group import Group
from elworkers.connectors.kafka.memory.logs import Log, Topic
from elworkers.connectors.kafka.memory.transactions import TransactionCoordinator
from elworkers.core.contracts import TopicPartition

_EPOCH_S = 1_600_000_000.0


class Clock:
    """A clock that only moves when somebody waits or advances it; may be used by several threads."""

    def __init__(self) -> None:
        self._now_s = _EPOCH_S
        self._lock = threading.Lock()

    def now_s(self) -> float:
        """Return the seconds since the epoch."""
        return self._now_s

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        with self._lock:
            self._now_s += max(0.0, seconds)


class _Failure:
    """An error that an operation raises some times, before or after it is done."""

    def __init__(self, error: Exception, times: int, done: bool) -> None:
        self.error = error
        self.times = times
        self.done = done


class MemoryBroker:
    """A Kafka cluster; every client of a driver made for it sees the same.

    Args:
        default_partitions: of a topic for which nobody says how many.

    Attributes:
        clock: its time.
        topics: by name.
        groups: by name.
        transactions: their coordinator.
        max_message_bytes: longer values are refused for good.
        down: no operation is answered while this is True.
        away: operations that are not answered while their names are in this set; see `fail`.
        fetch_messages: most messages that a reader is given at once.
        client_ids: what processes have called themselves.
        lock: held while anything changes.
    """

    def __init__(self, default_partitions: int = 1) -> None:
        self.clock = Clock()
        self.topics: dict[str, Topic] = {}
        self.groups: dict[str, Group] = defaultdict(Group)
        self.transactions = TransactionCoordinator()
        self.max_message_bytes = 1024 * 1024
        self.down = False
        self.away: set[str] = set()
        self.fetch_messages = 1_000
        self.client_ids: list[str] = []
        self.lock = threading.RLock()
        self._default_partitions = default_partitions
        self._failures: dict[str, _Failure] = {}

    def get_or_create(self, name: str, partitions: int | None = None, replication: int | None = None) -> Topic:
        """Return the topic, made where it does not exist."""
        with self.lock:
            if name not in self.topics:
                logs = [Log() for _ in range(partitions or self._default_partitions)]
                self.topics[name] = Topic(logs, replication or 1)
            return self.topics[name]

    def log(self, partition: TopicPartition) -> Log:
        """Return the log of a partition."""
        return self.topics[partition.topic].logs[partition.partition]

    def logs(self) -> Iterator[Log]:
        """Yield the logs of all partitions."""
        for topic in self.topics.values():
            yield from topic.logs

    def values(self, name: str) -> list[bytes | None]:
        """Return the values of a topic, partition by partition."""
        topic = self.topics.get(name)
        return [message[3] for log in topic.logs for message in log.messages] if topic else []

    def now_ms(self) -> int:
        """Return the broker's time in ms since the epoch."""
        return int(self.clock.now_s() * 1000)

    def append(self, partition: TopicPartition, *values: bytes, key: bytes | None = None) -> None:
        """Store messages, as a producer of somebody else's would."""
        with self.lock:
            for value in values:
                self.log(partition).append(self.now_ms(), key, value)

    def expire(self, partition: TopicPartition, before: int) -> None:
        """Delete messages before an offset, as retention does."""
        with self.lock:
            log = self.log(partition)
            log.messages = [one for one in log.messages if one[0] >= before]
            log.begin, log.end = max(log.begin, before), max(log.end, before)

    def add_partitions(self, name: str, count: int) -> None:
        """Add partitions to a topic."""
        with self.lock:
            self.topics[name].logs += [Log() for _ in range(count)]

    def delete(self, name: str) -> None:
        """Delete a topic; groups keep their offsets."""
        with self.lock:
            del self.topics[name]

    def set_leader(self, partition: TopicPartition, has_leader: bool) -> None:
        """Give a partition a leader, or take it away."""
        self.log(partition).has_leader = has_leader

    def fail(self, operation: str, error: Exception | None = None, *, times: int = 1, done: bool = False) -> None:
        """Have an operation fail.

        Args:
            operation: `connect`, `join`, `poll`, `commit`, `produce`, `admin` or `read`; or only one call of a
                reader: `partitions`, `topic_ids`, `ranges`, `at_time`, `committed`, `committed <group>` or `messages`;
                or one of a transactional producer: `begin`, `send_offsets`, `commit_transaction` or `abort`.
            error: what it raises; None: an outage.
            times: how often.
            done: it does its work first, so that only the answer is lost.
        """
        self._failures[operation] = _Failure(error or OutageError(f"Kafka: {operation}: away"), times, done)

    @contextlib.contextmanager
    def operation(self, *names: str) -> Iterator[None]:
        """Do something for a client, unless it is to fail.

        Args:
            names: what is done, in words that go from the general to the particular.

        Raises:
            OutageError: the broker is down, or that was asked for; see `fail`.
        """
        with self.lock:
            self.transactions.expire(self.clock.now_s(), self.logs())
            if self.down:
                raise OutageError(f"Kafka: {names[-1]}: no broker answers")
            for name in names:
                if name in self.away:
                    raise OutageError(f"Kafka: {name}: the broker is away")
            planted = next((name for name in names if name in self._failures), "")
            failure = self._failures.get(planted)
            if failure is not None:
                failure.times -= 1
                if failure.times <= 0:
                    del self._failures[planted]
                if not failure.done:
                    raise failure.error
            yield
            if failure is not None:
                raise failure.error

    def committed(self, group: str, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        """Return a group's committed offsets, without those of an earlier topic of the same name."""
        offsets = self.groups[group].offsets
        return {
            partition: offsets[partition].offset
            for partition in partitions
            if partition in offsets and offsets[partition].topic_id == self.topics[partition.topic].topic_id
        }

    def partitions(self, name: str) -> list[TopicPartition]:
        """Return the partitions of a topic; none where it does not exist."""
        topic = self.topics.get(name)
        return [TopicPartition(name, number) for number in range(len(topic.logs))] if topic else []
