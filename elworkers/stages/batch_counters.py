# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Counts the results of a batch of events, and adds them to the worker's counters at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

from elworkers.core.contracts import Metrics
from elworkers.events import user_agent
from elworkers.schema.validate import CachedSchema


class BatchCounters:
    """What became of the batch at hand.

    Attributes:
        valid_fast: the schemas of events that took the fast path; each holds how many.
        valid_slow: how many valid events of each schema took the slow path.
        invalid: how many of each schema and code.
        slow: how many took the slow path, by the reason.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._count_valid: dict[str, Callable[[int], None]] = {}
        self.valid_fast: list[CachedSchema] = []
        self.reset()

    def reset(self) -> None:
        """Forget what was not reported: its batch will be read again."""
        for schema in self.valid_fast:
            schema.events = 0
        self.valid_fast.clear()
        self.valid_slow: defaultdict[str, int] = defaultdict(int)
        self.invalid: defaultdict[tuple[str, str], int] = defaultdict(int)
        self.slow: defaultdict[str, int] = defaultdict(int)
        self._hits, self._misses = user_agent.cache_info()

    def report(self) -> None:
        """Count all of it; once a batch, because a counter costs as much as encoding an event."""
        metrics = self._metrics
        for schema in self.valid_fast:
            count = self._count_valid.get(schema.name)
            if count is None:
                count = self._count_valid[schema.name] = metrics.counter("events_valid", schema=schema.name)
            count(schema.events)
            schema.events = 0
            schema.schema.used = True
        self.valid_fast.clear()
        for name, number in self.valid_slow.items():
            metrics.count("events_valid", number, schema=name)
        for (name, code), number in self.invalid.items():
            metrics.count("events_invalid", number, schema=name, code=code)
        for reason, number in self.slow.items():
            metrics.count("events_slow", number, reason=reason)
        hits, misses = user_agent.cache_info()
        if (hits, misses) != (self._hits, self._misses):
            metrics.count("useragent_cache_hits", hits - self._hits)
            metrics.count("useragent_cache_misses", misses - self._misses)
