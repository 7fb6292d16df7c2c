# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Remembers where outputs ended at the last commit, and reads what was written after it, for the next run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import orjson

from elworkers.backfill.state import State
from elworkers.config.endpoints import brokers
from elworkers.config.uris import Endpoint
from elworkers.connectors.kafka.driver import Range
from elworkers.connectors.kafka.drivers import driver_of
from elworkers.core.contracts import TopicPartition


class Tail(Protocol):
    """The end of an output."""

    def uuids(self) -> Iterator[str]:
        """Return the uuids of the events that came since the last mark, others' too.

        Raises:
            RetryableError: the output cannot be read.
        """

    def mark(self) -> None:
        """Note that everything up to here is committed.

        Raises:
            RetryableError: the output cannot be asked.
        """

    def close(self) -> None:
        """Let go of it."""


class FileTail:
    """Of a file; implements `Tail`."""

    def __init__(self, path: Path, state: State) -> None:
        self._path = path
        self._state = state
        state.output_from(path)

    def uuids(self) -> Iterator[str]:
        """See `Tail.uuids`."""
        return uuids(self._path, self._state.output_from(self._path))

    def mark(self) -> None:
        """See `Tail.mark`."""
        self._state.outputs.pop(str(self._path), None)
        self._state.output_from(self._path)

    def close(self) -> None:
        """Nothing is open."""


class TopicsTail:
    """Of the topics of a Kafka output; implements `Tail`.

    Args:
        endpoint: of the output; a field in its topic stands for any name.
        state: of the backfill.
    """

    def __init__(self, endpoint: Endpoint, state: State) -> None:
        hosts = brokers(endpoint.uri)
        self._cluster = ",".join(sorted(hosts))
        self._name = f"{self._cluster}/{endpoint.options['topic']}"
        pattern = re.sub(r"\\\{[^}]*\}", "[A-Za-z0-9._-]+", re.escape(endpoint.options["topic"]))
        self._matches = re.compile(pattern).fullmatch
        self._state = state
        self._reader = driver_of(endpoint).reader(hosts, reads_uncommitted=True)
        if self._name in state.topics:
            return
        try:
            self.mark()
        except BaseException:
            self.close()
            raise

    def _ranges(self) -> dict[TopicPartition, Range]:
        return self._reader.ranges([one for one in self._reader.partitions() if self._matches(one.topic)])

    def uuids(self) -> Iterator[str]:
        """See `Tail.uuids`; of what cannot be read nothing is known, and it may be there twice."""
        known = self._state.topics[self._name]
        wanted = {
            partition: Range(
                max(offset_range.begin, known.get(f"{partition.topic}/{partition.partition}", 0)), offset_range.end
            )
            for partition, offset_range in self._ranges().items()
        }
        for fetched in self._reader.read(
            {one: offset_range for one, offset_range in wanted.items() if offset_range.begin < offset_range.end}
        ):
            for _, _, _, value in fetched.messages:
                yield from _uuid(value or b"")

    def mark(self) -> None:
        """See `Tail.mark`."""
        self._state.topics[self._name] = {
            f"{partition.topic}/{partition.partition}": offset_range.end
            for partition, offset_range in self._ranges().items()
        }

    def close(self) -> None:
        """Let go of the connections."""
        self._reader.close()


def uuids(path: Path, begin: int = 0) -> Iterator[str]:
    """Yield the uuids of the events in a file, from a byte on."""
    try:
        with path.open("rb") as file:
            file.seek(begin)
            for line in file:
                yield from _uuid(line)
    except FileNotFoundError:
        return


def _uuid(event: bytes) -> Iterator[str]:
    try:
        yield orjson.loads(event)["uuid"]
    except (ValueError, LookupError, TypeError):
        return
