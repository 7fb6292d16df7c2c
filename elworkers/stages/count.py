"""Lines come in; the same lines behind a sequence number and a tab go out."""

from __future__ import annotations

from elworkers.contracts import Record


class CountStage:
    """Numbers lines from 0 for as long as the process lives; implements `contracts.Stage`."""

    def __init__(self) -> None:
        self._next = 0

    def __call__(self, records: list[Record]) -> list[Record]:
        """See `contracts.Stage`."""
        for record in records:
            record.value = b"%d\t%b" % (self._next, record.value)
            self._next += 1
        return records
