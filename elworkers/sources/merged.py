"""Several sources come in; one that gives the records of all goes out."""

from __future__ import annotations

import time
from collections.abc import Sequence

from elworkers.contracts import Positions, Record, Source

_LONGEST_TURN_S = 0.05


class MergedSource:
    """Polls its children in turn; implements `contracts.Source`."""

    def __init__(self, children: Sequence[Source]) -> None:
        self._children = list(children)
        self._turn = 0

    @property
    def exhausted(self) -> bool:
        """True once every child is exhausted."""
        return all(child.exhausted for child in self._children)

    @property
    def replayable(self) -> bool:
        """False where one child is not."""
        return all(child.replayable for child in self._children)

    @property
    def flush_wanted(self) -> bool:
        """True while any child wants it."""
        return any(child.flush_wanted for child in self._children)

    def poll(self, limit: int, timeout_s: float) -> list[Record]:
        """See `contracts.Source.poll`; no child is asked again before every other was."""
        deadline = time.monotonic() + timeout_s
        pause_s = 0.0
        while True:
            records: list[Record] = []
            for _ in self._children:
                self._turn = (self._turn + 1) % len(self._children)
                child = self._children[self._turn]
                if not child.exhausted and len(records) < limit:
                    share = max(1, limit // len(self._children))
                    records += child.poll(min(share, limit - len(records)), pause_s)
            left = deadline - time.monotonic()
            if records or left <= 0 or self.exhausted or self.flush_wanted:
                return records
            pause_s = min(_LONGEST_TURN_S, left / len(self._children))

    def commit(self, positions: Positions) -> None:
        """Hand all positions to every child; each passes over what it does not hold."""
        for child in self._children:
            child.commit(positions)

    def close(self) -> None:
        """Close every child."""
        for child in self._children:
            child.close()
