# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Holds what the sources, sinks and stages of one worker share."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from elworkers.core.contracts import Metrics
from elworkers.core.deliveries import DeliveryLog
from elworkers.core.pipeline import CarryOver
from elworkers.core.sockets import Address
from elworkers.monitoring import statsd
from elworkers.workers.listening import ListeningSockets

if TYPE_CHECKING:
    from elworkers.connectors.spool.listener import Listener
    from elworkers.functions.circuit_breaker import CircuitBreaker

SchemaOf = Callable[[str, int], Mapping[str, Any]]
"""Name and revision to the JSON schema of an event."""


@dataclass(frozen=True)
class WorkerContext:
    """What the sources, sinks and stages of one worker share; implements `connector.Worker`.

    Attributes:
        metrics: the worker's counters.
        sid: the consumer group of `--sid`.
        partitions: of `--partitions`, for topics that have to be created.
        batch_records, batch_seconds: of `--batch-size` and `--batch-seconds` or `--linger`, where given.
        name: see `worker_names.worker_name`.
        transactional_id: of the worker's transactions, where outputs have exactly_once=True.
        schema_of: for sinks that make tables.
        group: the consumer group whose positions such a sink keeps.
        statsd_prefix: beginning of the metric names of such a sink, unless its URI has one.
        spool: folder and bytes for lines that wait on disk; None: those of datagrams do not.
        sequence: the file of this host's sequence numbers.
        draw: takes sequence numbers for lines that are spooled, where they are to be numbered.
        listening: what the worker's parent listens on.
        early_listeners: one that has begun already, for the next source.
        carry_over: what outlives a pipeline that failed, and the source of this one.
        batch_size_hints: say whether more records at a time would be cheaper for a sink.
        process_state, pipeline_state: what connectors keep, see `connector.Worker`.
        has_schema: whether a schema of a name is known to exist.
        event_timeout: of `--event-timeout`, where the role has it.
        circuit_breaker: one for all functions, once there is one.
    """

    metrics: Metrics
    sid: str | None = None
    partitions: int | None = None
    batch_records: int | None = None
    batch_seconds: float | None = None
    name: str = ""
    transactional_id: str | None = None
    schema_of: SchemaOf | None = None
    group: str | None = None
    statsd_prefix: str = statsd.PREFIX
    spool: tuple[Path, int] | None = None
    sequence: Path | None = None
    draw: Callable[[int], int] | None = None
    listening: ListeningSockets = field(default_factory=ListeningSockets)
    early_listeners: list[Listener] = field(default_factory=list)
    carry_over: CarryOver = field(default_factory=CarryOver)
    batch_size_hints: list[Callable[[], bool]] = field(default_factory=list)
    process_state: dict[Any, Any] = field(default_factory=dict)
    pipeline_state: dict[Any, Any] = field(default_factory=dict)
    has_schema: Callable[[str], bool] = lambda _: False
    event_timeout: float = 1.0
    circuit_breaker: list[CircuitBreaker] = field(default_factory=list)

    @property
    def counts(self) -> Metrics:
        """Counters for stages: a batch that has to be read again is counted once."""
        return self.carry_over.counts or self.metrics

    @property
    def delivered(self) -> DeliveryLog:
        """What was acknowledged of records that are not committed."""
        return self.carry_over.delivered

    def inherited(self, address: Address) -> list[socket.socket]:
        """Return the sockets that the worker's parent listens on."""
        return self.listening.inherited(address)
