# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Reads the messages of a time range of topics, each with its position, without a consumer group."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import NamedTuple

from elworkers.backfill.state import OffsetRange, State
from elworkers.connectors.kafka.driver import Fetched, Range, Reader
from elworkers.core.contracts import Assignment, Positions, Record, TopicPartition
from elworkers.core.errors import ConfigurationError, RetryableError
from elworkers.core.progress import Tell


class Span(NamedTuple):
    """Kafka's times, in ms since the epoch: from the first message of `begin` or later, to that of `end`.

    None: from the earliest message, to the last one there is.
    """

    begin: int | None
    end: int | None


class TopicSource:
    """Reads the partitions of topics as far as the state says; a `contracts.Source` and `capabilities.Breakable`.

    Args:
        reader: of the cluster.
        cluster: what origins name it by.
        topics: which.
        span: of time, where the state does not say yet.
        state: of the backfill; saved with each commit.
        tell: told of messages.
        count: called before the state is saved; returns the counts of all records until then.

    Raises:
        ConfigurationError: there is no such topic, or it is another one than it was.
        RetryableError: Kafka does not answer, or a partition has no leader.
    """

    replayable = True
    durable = True
    idle = False

    def __init__(  # noqa: PLR0913 - topics, and what they are read with
        self,
        reader: Reader,
        cluster: str,
        topics: Sequence[str],
        span: Span,
        state: State,
        *,
        tell: Tell,
        count: Callable[[], None],
    ) -> None:
        self.damage = ""
        self._reader = reader
        self._state = state
        self._tell = tell
        self._count = count
        try:
            self._begin(topics, span)
        except BaseException:
            reader.close()
            raise
        self._origins = {
            name: Assignment(*_partition(name), cluster, topic_id=state.topic_ids.get(_partition(name).topic, ""))
            for name in state.partitions
        }
        left = {_partition(name): Range(one.position, one.end) for name, one in state.partitions.items()}
        self._left = {
            partition: offset_range for partition, offset_range in left.items() if offset_range.begin < offset_range.end
        }
        self._total = sum(offset_range.end - offset_range.begin for offset_range in self._left.values())
        self._done = 0
        self._reads: Generator[Fetched, None, None] | None = None
        self._ready: deque[Record] = deque()
        self._ended = not self._left
        self.exhausted = self._ended

    def _begin(self, topics: Sequence[str], span: Span) -> None:
        partitions = [one for one in self._reader.partitions() if one.topic in topics]
        missing = set(topics) - {one.topic for one in partitions}
        if missing:
            raise ConfigurationError(f"kafka URI: there is no topic {sorted(missing)[0]}; expected an existing one")
        ids = self._reader.topic_ids(list(topics))
        for topic, known in self._state.topic_ids.items():
            if ids.get(topic, known) != known:
                raise ConfigurationError(
                    f"topic {topic} was deleted and made again; expected --again, or the topic of before"
                )
        ranges = self._reader.ranges(partitions)
        for partition, why in self._reader.unavailable.items():
            raise RetryableError(f"Kafka: {partition.topic}[{partition.partition}] cannot be read: {why}")
        if self._state.partitions:
            self._skip_deleted(ranges)
            return
        begins, ends = (
            {} if time_ms is None else self._reader.at_time(list(ranges), time_ms) for time_ms in (span.begin, span.end)
        )
        for one, offset_range in ranges.items():
            # Of a time after its last message a partition has none.
            begin = offset_range.begin if span.begin is None else begins.get(one, offset_range.end)
            end = offset_range.end if span.end is None else ends.get(one, offset_range.end)
            self._state.partitions[f"{one.topic}/{one.partition}"] = OffsetRange(begin, max(begin, end))
        self._state.topic_ids.update(ids)

    def _skip_deleted(self, ranges: Mapping[TopicPartition, Range]) -> None:
        for partition, offset_range in ranges.items():
            known = self._state.partitions.get(_name(partition))
            if known is not None and known.position < min(offset_range.begin, known.end):
                gone = min(offset_range.begin, known.end) - known.position
                known.position += gone
                name = f"topic {partition.topic}[{partition.partition}]"
                self.damage = "; ".join(
                    filter(None, (self.damage, f"{name} has deleted {gone} messages before they were read"))
                )

    def poll(self, limit: int, timeout_s: float) -> list[Record]:  # noqa: ARG002 - a reader has waits of its own
        """See `contracts.Source.poll`."""
        if self._reads is None:
            self._reads = self._reader.read(self._left)
        while not (self._ready or self._ended):
            fetched = next(self._reads, None)
            if fetched is None:
                self._end()
                break
            self._take(fetched)
        records = [self._ready.popleft() for _ in range(min(limit, len(self._ready)))]
        self.exhausted = self._ended and not self._ready
        return records

    def _take(self, fetched: Fetched) -> None:
        partition = fetched.partition
        origin = self._origins[_name(partition)]
        for offset, time_ms, key, value in fetched.messages:
            if value is not None:
                self._ready.append(Record(value, origin=origin, offset=offset, timestamp_ms=max(0, time_ms), key=key))
        self._left[partition] = Range(fetched.next, self._left[partition].end)
        self._done += fetched.next - fetched.begin
        self._tell(self._done, self._total)

    def _end(self) -> None:
        self._ended = True
        rejected = self._reader.unreadable
        short = {
            one: offset_range
            for one, offset_range in self._left.items()
            if offset_range.begin < offset_range.end and one not in rejected
        }
        for one, offset_range in short.items():
            raise RetryableError(
                f"Kafka: {one.topic}[{one.partition}] has no more at offset {offset_range.begin} at the moment"
            )
        for one, why in rejected.items():
            damage = f"topic {one.topic}[{one.partition}] cannot be read beyond offset {self._left[one].begin}: {why}"
            self.damage = "; ".join(filter(None, (self.damage, damage)))

    def commit(self, positions: Positions) -> None:
        """Keep that everything before these positions, and so all that was polled, is done with."""
        for origin, position in positions.items():
            self._state.partitions[f"{origin.topic}/{origin.partition}"].position = position
        if self.exhausted:
            # Offsets at the end may have no message any more.
            for partition, offset_range in self._left.items():
                self._state.partitions[_name(partition)].position = offset_range.begin
        self._count()
        self._state.save()

    def close(self) -> None:
        """Let go of the connections."""
        if self._reads is not None:
            self._reads.close()
        self._reader.close()


def _name(partition: TopicPartition) -> str:
    return f"{partition.topic}/{partition.partition}"


def _partition(name: str) -> TopicPartition:
    topic, _, number = name.partition("/")
    return TopicPartition(topic, int(number))
