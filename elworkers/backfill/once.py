# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Leaves out records that a killed process has written already, in front of any output."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from elworkers.backfill.state import State
from elworkers.backfill.tails import FileTail, Tail
from elworkers.config.options import REJECTED
from elworkers.connectors.file.sink import FileSink
from elworkers.core.contracts import Positions, Record, RejectedRecord, Sink


class DeduplicatingSink:
    """Stands before the sink of an output; implements `contracts.Sink`.

    Args:
        sink: of the output.
        tail: of the same; marked with each commit as soon as nothing is expected to come again.

    Raises:
        RetryableError: the output cannot be read.
    """

    def __init__(self, sink: Sink, tail: Tail) -> None:
        self._sink = sink
        self._tail = tail
        try:
            self._stored = Counter(tail.uuids())
        except BaseException:
            self.close()
            raise

    def write(self, records: Sequence[Record]) -> None:
        """See `contracts.Sink.write`."""
        self._sink.write([record for record in records if not self._has(record)] if self._stored else records)

    def _has(self, record: Record) -> bool:
        uuid = str(record.event.get("uuid")) if record.event else ""
        if uuid not in self._stored:
            return False
        self._stored[uuid] -= 1
        if not self._stored[uuid]:
            del self._stored[uuid]
        return True

    def flush(self) -> list[RejectedRecord]:
        """See `contracts.Sink.flush`."""
        return self._sink.flush()

    def commit_transaction(self, positions: Positions) -> None:
        """See `contracts.Sink.commit_transaction`."""
        self._sink.commit_transaction(positions)
        if not self._stored:
            self._tail.mark()

    def close(self) -> None:
        """See `contracts.Sink.close`."""
        self._sink.close()
        self._tail.close()


class RejectedFilesSink:
    """EventErrors of the lines of a file go beside it; implements `contracts.Sink`."""

    def __init__(self, state: State, paths: Sequence[Path]) -> None:
        """Of these input files; a file is made when there is something to write to it."""
        self._tails = {str(path): FileTail(rejected_path(path), state) for path in paths}
        self._sinks: dict[str, DeduplicatingSink] = {}

    def write(self, records: Sequence[Record]) -> None:
        """See `contracts.Sink.write`."""
        by_file: dict[str, list[Record]] = {}
        for record in records:
            by_file.setdefault(record.origin.topic if record.origin else "", []).append(record)
        for name, some in by_file.items():
            if name not in self._sinks:
                self._sinks[name] = DeduplicatingSink(
                    FileSink(rejected_path(Path(name)), at_once=False), self._tails[name]
                )
            self._sinks[name].write(some)

    def flush(self) -> list[RejectedRecord]:
        """See `contracts.Sink.flush`."""
        return [rejected for sink in self._sinks.values() for rejected in sink.flush()]

    def commit_transaction(self, positions: Positions) -> None:
        """See `contracts.Sink.commit_transaction`."""
        for sink in self._sinks.values():
            sink.commit_transaction(positions)

    def close(self) -> None:
        """See `contracts.Sink.close`."""
        for sink in self._sinks.values():
            sink.close()


def rejected_path(path: Path) -> Path:
    """Return the path of the file of an input's rejected records."""
    return path.with_name(path.name + REJECTED)
