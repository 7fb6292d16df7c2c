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
        known: schemas of the events that were accepted; each holds how many.
        valid: how many other events of each schema.
        invalid: how many of each schema and code.
        slow: how many could not be done the quick way, by the reason.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._valid: dict[str, Callable[[int], None]] = {}
        self.known: list[CachedSchema] = []
        self.begin()

    def begin(self) -> None:
        """Forget what was not reported: its batch will come again."""
        for known in self.known:
            known.events = 0
        self.known.clear()
        self.valid: defaultdict[str, int] = defaultdict(int)
        self.invalid: defaultdict[tuple[str, str], int] = defaultdict(int)
        self.slow: defaultdict[str, int] = defaultdict(int)
        self._hits, self._misses = user_agent.cache_info()

    def report(self) -> None:
        """Count all of it; once a batch, because a counter costs as much as encoding an event."""
        metrics = self._metrics
        for known in self.known:
            count = self._valid.get(known.name)
            if count is None:
                count = self._valid[known.name] = metrics.counter("events_valid", schema=known.name)
            count(known.events)
            known.events = 0
            known.schema.used = True
        self.known.clear()
        for schema, number in self.valid.items():
            metrics.count("events_valid", number, schema=schema)
        for (schema, code), number in self.invalid.items():
            metrics.count("events_invalid", number, schema=schema, code=code)
        for reason, number in self.slow.items():
            metrics.count("events_slow", number, reason=reason)
        hits, misses = user_agent.cache_info()
        if (hits, misses) != (self._hits, self._misses):
            metrics.count("useragent_cache_hits", hits - self._hits)
            metrics.count("useragent_cache_misses", misses - self._misses)
