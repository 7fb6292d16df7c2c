# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Applies the functions of an input to its records."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

from elworkers.core.contracts import Event, Metrics, Record
from elworkers.core.errors import InvalidEventError
from elworkers.events.event_error import event_error_of_any
from elworkers.events.json_text import read_object
from elworkers.events.schema_names import is_canonical
from elworkers.functions.applied import Functions

ClusterTopic = tuple[str, str]
"""Cluster and topic of a record's origin."""


class FunctionStage:
    """Sends events through functions; implements `contracts.Stage`. EventErrors pass by.

    Args:
        functions: by cluster and topic of an input; under None those of inputs that are not Kafka's.
        metrics: counts `events_invalid`.
    """

    def __init__(self, functions: Mapping[ClusterTopic | None, Functions], metrics: Metrics) -> None:
        self._functions = functions
        self._first = next(iter(functions.values()))
        self._metrics = metrics

    def __call__(self, records: list[Record]) -> list[Record]:
        """See `contracts.Stage`."""
        with self._first.batch():
            return [made for record in records if (made := self._one(record)) is not None]

    def _one(self, record: Record) -> Record | None:
        origin = record.origin
        cluster_topic = (origin.cluster, origin.topic) if origin is not None and origin.cluster else None
        functions = self._functions.get(cluster_topic)
        if functions is None or not record.valid:
            return record
        try:
            return functions.apply(record)
        except InvalidEventError as error:
            return self._invalid(record, error)

    def _invalid(self, record: Record, error: InvalidEventError) -> Record:
        event: Event = {}
        with contextlib.suppress(InvalidEventError):
            event = read_object(record.value)
        schema = event.get("schema")
        label = schema if is_canonical(schema) else "unknown"
        self._metrics.count("events_invalid", schema=label, code=error.code)
        return event_error_of_any(record, error, event)
