"""The verdicts on a batch of events come in one by one; they go out to the worker's counters all at once."""

from __future__ import annotations

from collections import defaultdict

from elworkers.contracts import Metrics
from elworkers.stages import useragent


class Tally:
    """What became of one batch.

    Attributes:
        valid: how many events of each schema.
        invalid: how many of each schema and code.
        slow: how many could not be done the quick way, by the reason.
    """

    def __init__(self) -> None:
        self.valid: defaultdict[str, int] = defaultdict(int)
        self.invalid: defaultdict[tuple[str, str], int] = defaultdict(int)
        self.slow: defaultdict[str, int] = defaultdict(int)
        self._hits, self._misses = useragent.cache_info()

    def report(self, metrics: Metrics) -> None:
        """Count all of it; once a batch, because a counter costs as much as encoding an event."""
        for schema, number in self.valid.items():
            metrics.count("events_valid", number, schema=schema)
        for (schema, code), number in self.invalid.items():
            metrics.count("events_invalid", number, schema=schema, code=code)
        for reason, number in self.slow.items():
            metrics.count("events_slow", number, reason=reason)
        hits, misses = useragent.cache_info()
        if (hits, misses) != (self._hits, self._misses):
            metrics.count("useragent_cache_hits", hits - self._hits)
            metrics.count("useragent_cache_misses", misses - self._misses)
