# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Limits how long a function may take for an event, and suspends schemas for which it takes longer."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from elworkers.core.contracts import Budget, Metrics

Key = tuple[str, str]
"""A function, and a schema of events."""

_TIMES = 5
_FOR_S = 60.0
_MOST = 1_000


@dataclass
class _Found:
    times: int = 0
    until: float = 0.0
    reported: bool = False


class CircuitBreaker:
    """Interrupts a function, and sets a schema aside for one that took too long for five of its events in a row.

    Otherwise a function that always waits for something that is away would hold up the events of all other schemas,
    each time for as long as an event may take.

    Args:
        budget: of an event.
        metrics: is told what is set aside.
        clock: seconds.
    """

    def __init__(self, budget: Budget, metrics: Metrics, clock: Callable[[], float] = time.monotonic) -> None:
        self.budget = budget
        self._metrics = metrics
        self._clock = clock
        self._found: OrderedDict[Key, _Found] = OrderedDict()

    def batch(self) -> AbstractContextManager[None]:
        """Return the context of a batch of events."""
        for key, found in self._found.items():
            if found.reported and self._clock() >= found.until:
                # It is tried again with its next event, which may come late.
                found.reported = False
                self._metrics.resumed(_title(key))
        return self.budget.batch()

    def is_open(self, key: Key) -> bool:
        """Return whether the function is not called for this schema now."""
        found = self._found.get(key) if self._found else None
        return found is not None and self._clock() < found.until

    def record_timeout(self, key: Key) -> None:
        """Note that the function took too long for one event."""
        found = self._found.setdefault(key, _Found())
        self._found.move_to_end(key)
        found.times += 1
        if found.times >= _TIMES:
            found.until, found.reported = self._clock() + _FOR_S, True
            why = f"took too long {found.times} times; its events become EventErrors for {_FOR_S:g} s"
            self._metrics.set_aside(_title(key), why)
        if len(self._found) > _MOST:
            self._forget(next(iter(self._found)))

    def record_success(self, key: Key) -> None:
        """Note that the function was quick enough for one event."""
        if self._found and key in self._found:
            self._forget(key)

    def _forget(self, key: Key) -> None:
        if self._found.pop(key).reported:
            self._metrics.resumed(_title(key))


def _title(key: Key) -> str:
    return "function {} for schema {}".format(*key)
