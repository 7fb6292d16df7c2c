# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Merges several sources into one."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import structlog

from elworkers.core.capabilities import Breakable, FlushCaller
from elworkers.core.contracts import Assignment, Positions, Record, Source

_LONGEST_TURN_S = 0.05

log = structlog.get_logger(__name__)


class MergedSource:
    """Polls its children in turn; implements `contracts.Source`.

    Each poll begins with the child behind the one that the poll before began with, so that a busy one cannot keep the
    others waiting.

    Args:
        children: the sources.
        clock: seconds, of any beginning.
    """

    def __init__(self, children: Sequence[Source], clock: Callable[[], float] = time.monotonic) -> None:
        self._children = list(children)
        self._clock = clock
        self._gave_records: set[int] = set()
        self._deferred: dict[int, dict[Assignment, int]] = {}

    @property
    def exhausted(self) -> bool:
        """True once every child is exhausted."""
        return all(child.exhausted for child in self._children)

    @property
    def replayable(self) -> bool:
        """False where one child is not."""
        return all(child.replayable for child in self._children)

    @property
    def durable(self) -> bool:
        """False where one child is not."""
        return all(child.durable for child in self._children)

    @property
    def damage(self) -> str:
        """What is wrong with any child."""
        return "; ".join(child.damage for child in self._children if isinstance(child, Breakable) and child.damage)

    @property
    def idle(self) -> bool:
        """True while every child is."""
        return all(child.idle for child in self._children)

    def flush_by(self, flush: Callable[[], None]) -> None:
        """Hand the call to the children that make it."""
        for child in self._children:
            if isinstance(child, FlushCaller):
                child.flush_by(flush)

    def poll(self, limit: int, timeout_s: float) -> list[Record]:
        """See `contracts.Source.poll`."""
        deadline = self._clock() + timeout_s
        turn_s = 0.0
        while True:
            records = self._round(limit, turn_s)
            left_s = deadline - self._clock()
            if records or left_s <= 0 or self.exhausted:
                return records
            turn_s = min(_LONGEST_TURN_S, left_s / len(self._children))

    def _round(self, limit: int, turn_s: float) -> list[Record]:
        records: list[Record] = []
        try:
            for child in list(self._children):
                if len(records) < limit and not child.exhausted:
                    # A child waits only while there is nothing to hand on.
                    found = child.poll(limit - len(records), 0.0 if records else turn_s)
                    if found:
                        self._gave_records.add(id(child))
                        records += found
        finally:
            self._gave_records.clear()
        self._children.append(self._children.pop(0))
        return records

    def commit(self, positions: Positions) -> None:
        """Hand all positions to every child; each passes over what it does not hold.

        A child that has given records in the poll that is under way gets the positions with the next commit: these are
        on their way to the loop, and it would take them for done with.
        """
        for child in self._children:
            owed = {**self._deferred.pop(id(child), {}), **positions}
            if id(child) in self._gave_records:
                self._deferred[id(child)] = owed
            else:
                child.commit(owed)

    def close(self) -> None:
        """Close every child, also behind one that breaks its promise not to raise."""
        for child in self._children:
            try:
                child.close()
            except Exception:
                log.exception("a source did not close cleanly", code="source_close_failed")
