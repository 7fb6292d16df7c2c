# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Leaves out records whose schema matches an input's blacklist."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping

from elworkers.core.contracts import Metrics, Record
from elworkers.core.errors import InvalidEventError
from elworkers.events.json_text import read_object


class BlacklistStage:
    """Leaves out events by their schema; implements `contracts.Stage`.

    A raw line is left out where it is itself such an event; any other goes on.

    Args:
        blacklists: by cluster and topic of an input, a regular expression that a schema's name matches from its
            beginning.
        metrics: counts `events_left_out`.
    """

    def __init__(self, blacklists: Mapping[tuple[str, str], str], metrics: Metrics) -> None:
        self._blacklists = {topic: re.compile(text).match for topic, text in blacklists.items()}
        self._metrics = metrics

    def __call__(self, records: list[Record]) -> list[Record]:
        """See `contracts.Stage`."""
        left_out: Counter[str] = Counter()
        passed: list[Record] = []
        for record in records:
            schema = self._blacklisted_schema(record)
            if schema is None:
                passed.append(record)
            else:
                left_out[schema] += 1
        for schema, count in left_out.items():
            self._metrics.count("events_left_out", count, schema=schema)
        return passed

    def _blacklisted_schema(self, record: Record) -> str | None:
        """Return the schema of a record that is to be left out."""
        origin = record.origin
        matches = self._blacklists.get((origin.cluster, origin.topic)) if origin is not None else None
        if matches is None or not record.valid:
            return None
        event = record.event
        if event is None:
            try:
                event = read_object(record.value)
            except InvalidEventError:
                return None
        schema = str(event.get("schema"))
        return schema if matches(schema) else None
