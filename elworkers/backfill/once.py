"""Records come in; those that a killed process has written to a file already are left out, the others go on to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import orjson

from elworkers.backfill.state import State
from elworkers.contracts import Positions, Record, Refusal, Sink
from elworkers.registry import REJECTED
from elworkers.sinks.files import FileSink


class OnceSink:
    """Stands before the sink of a file; implements `contracts.Sink`.

    Args:
        sink: of the file.
        path: of it.
        state: knows from which byte on it may hold what comes again.
    """

    def __init__(self, sink: Sink, path: Path, state: State) -> None:
        self._sink = sink
        self._path = path
        self._state = state
        self._there = Counter(uuids(path, state.output_from(path)))
        self._settle()

    def _settle(self) -> None:
        if self._there:
            self._state.settled.discard(str(self._path))
        else:
            self._state.settled.add(str(self._path))

    def write(self, records: Sequence[Record]) -> None:
        """See `contracts.Sink.write`."""
        self._sink.write([record for record in records if not self._has(record)] if self._there else records)
        self._settle()

    def _has(self, record: Record) -> bool:
        uuid = str(record.event.get("uuid")) if record.event else ""
        if uuid not in self._there:
            return False
        self._there[uuid] -= 1
        if not self._there[uuid]:
            del self._there[uuid]
        return True

    def flush(self) -> list[Refusal]:
        """See `contracts.Sink.flush`."""
        return self._sink.flush()

    def settle(self, positions: Positions) -> None:
        """See `contracts.Sink.settle`."""
        self._sink.settle(positions)

    def close(self) -> None:
        """See `contracts.Sink.close`."""
        self._sink.close()


class BesideSink:
    """EventErrors of the lines of a file go beside it; implements `contracts.Sink`."""

    def __init__(self, state: State, paths: Sequence[Path]) -> None:
        """Of these input files; a file is made when there is something to write to it."""
        self._sinks: dict[str, OnceSink] = {}
        self._state = state
        for path in paths:
            state.output_from(beside(path))

    def write(self, records: Sequence[Record]) -> None:
        """See `contracts.Sink.write`."""
        by_file: dict[str, list[Record]] = {}
        for record in records:
            by_file.setdefault(record.origin.topic if record.origin else "", []).append(record)
        for name, some in by_file.items():
            if name not in self._sinks:
                path = beside(Path(name))
                self._sinks[name] = OnceSink(FileSink(path, at_once=False), path, self._state)
            self._sinks[name].write(some)

    def flush(self) -> list[Refusal]:
        """See `contracts.Sink.flush`."""
        return [refusal for sink in self._sinks.values() for refusal in sink.flush()]

    def settle(self, positions: Positions) -> None:
        """Nothing: what was flushed is final."""

    def close(self) -> None:
        """See `contracts.Sink.close`."""
        for sink in self._sinks.values():
            sink.close()


def beside(path: Path) -> Path:
    """The file of what is refused of an input."""
    return path.with_name(path.name + REJECTED)


def uuids(path: Path, begin: int = 0) -> Iterator[str]:
    """The uuids of the events in a file, from a byte on."""
    try:
        with path.open("rb") as file:
            file.seek(begin)
            for line in file:
                try:
                    yield orjson.loads(line)["uuid"]
                except (ValueError, LookupError, TypeError):
                    continue
    except FileNotFoundError:
        return
