"""Lines come in; the same lines behind a sequence number and a tab go out."""

from __future__ import annotations

from elworkers.contracts import Record


class CountStage:
    """Numbers lines from 0 for as long as the process lives; implements `contracts.Stage`."""

    def __init__(self) -> None:
        self._next = 0

    def __call__(self, records: list[Record]) -> list[Record]:
        """See `contracts.Stage`."""
        counted = []
        for number, record in enumerate(records, self._next):
            value = b"%d\t%b" % (number, record.value)
            counted.append(Record(value, origin=record.origin, offset=record.offset, timestamp_ms=record.timestamp_ms))
        self._next += len(records)
        return counted
