# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Applies the functions of an output in front of its sink."""

from __future__ import annotations

from collections.abc import Sequence

from elworkers.core.capabilities import Addressed, OffsetStore
from elworkers.core.contracts import Destination, Positions, Record, RejectedRecord, Sink
from elworkers.core.errors import InvalidEventError
from elworkers.events.event_error import SCHEMA
from elworkers.events.json_text import read_object
from elworkers.functions.applied import Functions


def through(functions: Functions, sink: Sink) -> Sink:
    """Return the sink behind functions; an offset store if it is one."""
    return _FunctionOffsetStore(functions, sink) if isinstance(sink, OffsetStore) else FunctionSink(functions, sink)


class FunctionSink:
    """Sends events through functions before they are written; implements `contracts.Sink`.

    An event whose function fails is rejected, like one that a store rejects. An EventError is written unchanged then:
    nothing else tells of its event.

    Args:
        functions: of the output.
        behind: takes what they make.
    """

    def __init__(self, functions: Functions, behind: Sink) -> None:
        self._functions = functions
        self._behind = behind
        self._rejected: list[RejectedRecord] = []

    def write(self, records: Sequence[Record]) -> None:
        """See `contracts.Sink.write`."""
        made: list[Record] = []
        with self._functions.batch():
            for record in records:
                try:
                    one = self._functions.apply(record)
                except InvalidEventError as error:
                    if _tells_of_another(record):
                        made.append(record)
                    else:
                        self._rejected.append(RejectedRecord(record, error.message, error.code))
                else:
                    made += [one] if one is not None else []
        self._behind.write(made)

    def flush(self) -> list[RejectedRecord]:
        """See `contracts.Sink.flush`."""
        rejected = self._rejected + self._behind.flush()
        self._rejected = []
        return rejected

    def commit_transaction(self, positions: Positions) -> None:
        """See `contracts.Sink.commit_transaction`."""
        self._behind.commit_transaction(positions)

    def close(self) -> None:
        """See `contracts.Sink.close`."""
        self._behind.close()

    def destination(self, record: Record) -> Destination | None:
        """See `capabilities.Addressed`."""
        try:
            with self._functions.batch():
                made = self._functions.apply(record, counts=False)
        except InvalidEventError:
            return None
        if made is None:
            return None
        return self._behind.destination(made) if isinstance(self._behind, Addressed) else Destination()


def _tells_of_another(record: Record) -> bool:
    return not record.valid or read_object(record.value).get("schema") == SCHEMA[0]


class _FunctionOffsetStore(FunctionSink):
    """The same before a sink that keeps positions; implements `capabilities.OffsetStore`."""

    def resume_at(self, starts: Positions) -> Positions:
        """See `capabilities.OffsetStore.resume_at`."""
        assert isinstance(self._behind, OffsetStore)  # noqa: S101 - `through` has looked
        return self._behind.resume_at(starts)
