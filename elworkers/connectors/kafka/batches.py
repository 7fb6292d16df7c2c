# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Groups the records of a topic into message sets for its partitions, and those into requests."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from elworkers.connectors.kafka.batching_producer import partition_of
from elworkers.core.contracts import Record, TopicPartition

MESSAGE_OVERHEAD = 34
"""Bytes that a message of magic 1 without a key takes besides its value; later formats take less."""

_REQUEST_BYTES = 2 * 1024 * 1024
"""Bytes of a request, unless a single set is larger; it is in memory beside its records."""


class RecordBatch:
    """Records for one partition; `keys` is empty where none has one."""

    __slots__ = ("keys", "leader", "partition", "records", "size")

    def __init__(
        self, partition: TopicPartition, leader: Any, records: Sequence[Record], keys: Sequence[bytes], size: int
    ) -> None:
        self.partition = partition
        self.leader = leader
        self.records = records
        self.keys = keys
        self.size = size

    def split(self, length: int) -> Iterator[RecordBatch]:
        """Return sets of at most this many records each."""
        for begin in range(0, len(self.records), length):
            yield self.subset(begin, begin + length)

    def subset(self, begin: int, end: int | None) -> RecordBatch:
        """Return some of the records."""
        return RecordBatch(self.partition, self.leader, self.records[begin:end], self.keys[begin:end], 0)


def _chunks(sizes: Sequence[int], max_bytes: int) -> Iterator[tuple[int, int, int]]:
    """Yield begin, end and size of as few chunks as possible, none above `max_bytes` unless it is of one record."""
    begin = size = 0
    for end, one in enumerate(sizes):
        if size and size + one > max_bytes:
            yield begin, end, size
            begin, size = end, 0
        size += one
    if size:
        yield begin, len(sizes), size


class OutputTopic:
    """Distributes the records of a topic to its partitions in turn.

    Args:
        name: of the topic.
        leaders: of its partitions, by number; false where there is none.
        turns: whose turn it is.

    Attributes:
        keyless_rejection: why it takes no record that has no key; empty where it does.
        owner: the schema that has it, where several may want it and that was asked for.
    """

    def __init__(self, name: str, leaders: Sequence[Any], turns: Iterator[int]) -> None:
        self._partitions = [TopicPartition(name, number) for number in range(len(leaders))]
        self._leaders = leaders
        with_leader = [number for number, leader in enumerate(leaders) if leader]
        # Where there is no leader at all, whoever sends finds that out.
        self._writable = with_leader or range(len(leaders))
        self._turns = turns
        self.keyless_rejection = ""
        self.owner: str | None = None

    def batches(self, records: Sequence[Record], max_bytes: int) -> Iterator[RecordBatch]:
        """Return message sets of records without keys.

        All of a flush go to one partition, those of the next to the next one: that makes large message sets, and even
        shares. Where a set is full the next partition has its turn earlier. One without a leader has none while others
        have one.
        """
        sizes = [MESSAGE_OVERHEAD + len(record.value) for record in records]
        for begin, end, size in _chunks(sizes, max_bytes):
            number = self._writable[next(self._turns) % len(self._writable)]
            yield RecordBatch(self._partitions[number], self._leaders[number], records[begin:end], [], size)

    def leaderless_batch(self, records: Sequence[Record]) -> RecordBatch:
        """Return a set that waits for the first partition without a leader."""
        number = next((number for number, leader in enumerate(self._leaders) if not leader), 0)
        return RecordBatch(self._partitions[number], self._leaders[number], records, [], 0)

    def keyed_batches(self, keyed: Sequence[tuple[bytes, Record]], max_bytes: int) -> Iterator[RecordBatch]:
        """Return message sets of records with keys; the key decides the partition, even if that has no leader."""
        by_partition: defaultdict[int, list[tuple[bytes, Record]]] = defaultdict(list)
        for one in keyed:
            by_partition[partition_of(one[0], len(self._partitions))].append(one)
        for number, some in by_partition.items():
            keys, records = zip(*some, strict=True)
            sizes = [MESSAGE_OVERHEAD + len(key) + len(record.value) for key, record in some]
            for begin, end, size in _chunks(sizes, max_bytes):
                yield RecordBatch(
                    self._partitions[number], self._leaders[number], records[begin:end], keys[begin:end], size
                )


def requests(batches: Iterable[RecordBatch]) -> Iterator[list[RecordBatch]]:
    """Yield the sets of one leader, as many at a time as go into a request; it takes one for each partition."""
    some: list[RecordBatch] = []
    partitions: set[TopicPartition] = set()
    size = 0
    for one in batches:
        if some and (size + one.size > _REQUEST_BYTES or one.partition in partitions):
            yield some
            some, partitions, size = [], set(), 0
        some.append(one)
        partitions.add(one.partition)
        size += one.size
    if some:
        yield some
