# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Counts by name and labels in one worker; only declared names are allowed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from types import MappingProxyType

import structlog

DECLARED: Mapping[str, tuple[tuple[str, ...], str]] = MappingProxyType(
    {
        "records_read": ((), "records taken from the source"),
        "batches_flushed": ((), "flushes of all sinks followed by a commit"),
        "restarts": ((), "pipelines thrown away because something outside was away"),
        "events_valid": (("schema",), "events that passed validation"),
        "events_invalid": (("schema", "code"), "events or lines that became EventErrors"),
        "events_left_out": (("schema",), "events that a function, or the blacklist of an input, leaves out"),
        "events_slow": (("reason",), "events that took the slow path of the processor"),
        "useragent_cache_hits": ((), "user agents whose parsed fields were cached"),
        "useragent_cache_misses": ((), "user agents that had to be parsed"),
        "rows_inserted": (("table",), "rows stored in the database"),
        "rows_duplicate": (("table",), "rows passed over because their uuid was stored already"),
        "rows_refused": (("table",), "rows that the database would not take"),
        "records_refused": ((), "records that a store refused, sent to EventError"),
        "records_repeated": ((), "records written again, because an output may have them already"),
        "columns_missing": (("table",), "values left out because the table lacks their column"),
        "positions_begun_anew": (
            ("topic",),
            "positions in a database put back to the beginning, because the topic was made again",
        ),
        "kafka_gap_messages": (("topic",), "messages that were gone before they could be read"),
        "topics_recreated": (("topic",), "topics found deleted and made again, read from their beginning"),
        "kafka_transactional_messages": (
            ("topic",),
            "messages handed on at most before it was seen that a transactional producer writes to their partition",
        ),
        "import_records": (("schema",), "messages in files that have their names"),
        "import_files": (("schema",), "files that were given their names"),
        "import_late": (("schema",), "events older than --max-historical-days"),
        "import_future": (("schema",), "events further in the future than --max-future-minutes"),
        "import_no_time": (("schema",), "messages without a time of their own, kept by Kafka's"),
        "import_no_json": (("schema",), "messages that are no JSON objects"),
        "import_after_success": (("schema",), "messages in hours that were marked as finished before they came"),
        "import_recreated": (("topic",), "topics found to have been deleted and made again"),
        "import_conflicts": ((), "files withdrawn because another importer had published the same messages"),
        "udp_kernel_drops": ((), "datagrams that the kernel dropped, because the receive buffer was full"),
        "spool_dropped": ((), "lines that had room neither in the spool nor on the way past it"),
        "spool_refused": ((), "the same, of clients that were told to send them again"),
        "spool_passed_over": ((), "lines that went straight to the output, because the spool took none"),
        "lines_cut": ((), "lines longer than the source takes"),
    }
)
"""Name → names of its labels, and what it counts."""

_MOST_SET_ASIDE = 100
"""Things that are named; schemas and topics are named by events, so that there is no end to them."""


MOST_VALUES = 1_000
"""Different values of one label of one counter. Schemas are named by events, so that there would be no end to them."""

OTHER = "other"
"""What counts instead of any further value."""

_LONGEST_VALUE = 249
_MOST_REMARKS = 100

log = structlog.get_logger(__name__)


class _Counter:
    __slots__ = ("total",)

    def __init__(self) -> None:
        self.total = 0

    def add(self, value: int) -> None:
        self.total += value


class Counters:
    """The counters of one worker; implements `contracts.Metrics`."""

    def __init__(self) -> None:
        self._counters: dict[tuple[str, tuple[tuple[str, str], ...]], _Counter] = {}
        self._values: dict[tuple[str, str], set[str]] = {}
        self.aside: dict[str, str] = {}
        """What is set aside, and why."""
        self.aside_since: dict[str, int] = {}
        """And since when, in s since the epoch."""
        self.remarks: dict[str, str] = {}
        """What is not as it was configured, and how it is."""
        self.changes = 0
        """How often any of that has changed."""

    @property
    def totals(self) -> dict[tuple[str, tuple[tuple[str, str], ...]], int]:
        """Name and sorted labels → total."""
        return {key: counter.total for key, counter in self._counters.items()}

    def count(self, name: str, value: int = 1, **labels: str) -> None:
        """Add `value` to a counter.

        Raises:
            KeyError: the name or its labels are not declared.
        """
        self.counter(name, **labels)(value)

    def counter(self, name: str, **labels: str) -> Callable[[int], None]:
        """Return a call that adds to one counter; of a label with very many values, further ones count as `other`.

        Raises:
            KeyError: the name or its labels are not declared.
        """
        if name not in DECLARED or set(labels) != set(DECLARED[name][0]):
            raise KeyError(f"metric {name!r} with labels {sorted(labels)} is not declared in core/metrics.py")
        found = self._counters.get((name, tuple(sorted(labels.items()))))
        if found is None:
            bounded = tuple(sorted((label, self._bounded(name, label, value)) for label, value in labels.items()))
            found = self._counters.setdefault((name, bounded), _Counter())
        return found.add

    def _bounded(self, name: str, label: str, value: str) -> str:
        values = self._values.setdefault((name, label), set())
        value = value[:_LONGEST_VALUE]
        if value not in values:
            if len(values) >= MOST_VALUES:
                return OTHER
            values.add(value)
        return value

    def summary(self) -> dict[str, int]:
        """Return the total of each name over all labels."""
        sums: dict[str, int] = {}
        for (name, _), value in self.totals.items():
            sums[name] = sums.get(name, 0) + value
        return sums

    def total(self, name: str) -> int:
        """See `contracts.Metrics.total`."""
        return sum(value for (counter, _), value in self.totals.items() if counter == name)

    def set_aside(self, what: str, why: str, since: float | None = None) -> None:
        """See `contracts.Metrics.set_aside`; of very many things not all are named."""
        previous = self.aside.get(what)
        if previous != why and (previous is not None or len(self.aside) < _MOST_SET_ASIDE):
            self.aside[what] = why
            self.aside_since.setdefault(what, int(time.time() if since is None else since))
            self.changes += 1

    def resumed(self, what: str) -> None:
        """See `contracts.Metrics.resumed`."""
        self.aside_since.pop(what, None)
        if self.aside.pop(what, None) is not None:
            self.changes += 1

    def remark(self, what: str, text: str) -> None:
        """See `contracts.Metrics.remark`; of very many things not all are named."""
        previous = self.remarks.get(what, "")
        if previous == text or (text and not previous and len(self.remarks) >= _MOST_REMARKS):
            return
        self.remarks[what] = text
        if text:
            log.warning("not as it was configured", code="topic_not_as_configured", what=what, reason=text)
        else:
            del self.remarks[what]
        self.changes += 1
