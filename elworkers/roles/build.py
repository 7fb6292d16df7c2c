# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Builds the sources and sinks of checked URIs, for all roles."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from elworkers.config.argument_files import process_environment
from elworkers.config.endpoints import consumer_group
from elworkers.config.kafka_clients import connected_as
from elworkers.config.options import ERROR_TOPIC
from elworkers.connectors.connector import TRANSACTION, SinkEndpoint, SourceEndpoint
from elworkers.connectors.registry import check_sink
from elworkers.core.capabilities import OffsetStore
from elworkers.core.contracts import Output, Record, Sink, Source
from elworkers.core.event_retention import EventRetention
from elworkers.core.pipeline import Batch, CarryOver, Pipeline
from elworkers.monitoring import statsd
from elworkers.roles.exactly_once import LONGEST_TRANSACTION_S
from elworkers.roles.functions import wrap_sink
from elworkers.roles.rejections import ErrorOutput, error_file_beside, set_dead_letters
from elworkers.roles.sources import open_source
from elworkers.roles.worker_context import WorkerContext

if TYPE_CHECKING:
    from elworkers.schema.store import SchemaStore


@dataclass(frozen=True)
class PipelineBuilder(WorkerContext):
    """Builds the sources and sinks of one worker, and hands them what they share."""

    def with_carry_over(self, carry_over: CarryOver) -> PipelineBuilder:
        """Return the same for a pipeline that is built anew, with a source that may still be open."""
        return replace(self, carry_over=carry_over, pipeline_state={}, batch_size_hints=[])

    def source(self, *inputs: SourceEndpoint, offset_store: OffsetStore | None = None) -> Source:
        """Return the source behind an input, or the merged one behind several.

        Args:
            inputs: as they were checked; one for each topic.
            offset_store: the sink that keeps positions, if one does.

        Raises:
            ConfigurationError: it names no consumer group where one is needed, or lacks what it needs.
            RetryableError: the far side is away.
        """
        if self.carry_over.source is None:
            self.carry_over.source = open_source(self, inputs, offset_store)
        return self.carry_over.source

    def output(self, endpoint: SinkEndpoint, accepts: Callable[[Record], bool] = lambda _: True) -> Output:
        """Return the sink behind an output.

        Raises:
            ConfigurationError: the URI is wrong.
            RetryableError: the far side is away.
        """
        return Output(self._sink(endpoint), accepts)

    def raw_output(self, endpoint: SinkEndpoint) -> Output:
        """Return the sink behind an output for raw lines."""
        return Output(self._sink(endpoint, raw=True), lambda _: True)

    def wants_more(self) -> bool:
        """Return whether a sink would have more records at a time, as a producer whose message sets are still small."""
        return any(wants_more() for wants_more in self.batch_size_hints)

    def required_fields(self, endpoint: SinkEndpoint) -> frozenset[str]:
        """Return the fields of a capsule that the output needs to know where to send it, or for its functions."""
        named = endpoint.spec.required_fields(endpoint)
        return named | {"event"} if endpoint.uri.wraps else named

    def is_raw(self, endpoint: SinkEndpoint) -> bool:
        """Return whether the output can be written without knowing a record's event."""
        options = endpoint.options
        return "raw" in options and (options["raw"] or not self.required_fields(endpoint))

    def schema_store(self, schemas: Sequence[str]) -> SchemaStore:
        """Return the schemas of `--schemas`, `EVENTLOGGING_SCHEMAS` or the schema wiki."""
        from elworkers.schema.store import SchemaStore, schema_uris
        from elworkers.schema.wiki import is_wiki
        from elworkers.schema.wiki_check import check_in_background

        run_dir, env = os.environ.get("EVENTLOGGING_RUN_DIR"), process_environment()
        cache = Path(env["EVENTLOGGING_SCHEMA_CACHE"]) if "EVENTLOGGING_SCHEMA_CACHE" in env else _schema_cache(run_dir)
        uris = schema_uris(schemas, env)
        store = SchemaStore(uris, cache, metrics=self.metrics)
        for uri in filter(is_wiki, uris):
            check_in_background(uri)
        return store

    def with_schemas(self, store: SchemaStore) -> PipelineBuilder:
        """Return the same for outputs that ask which schemas there are."""
        return replace(self, has_schema=store.has)

    def for_tables(self, schemas: Sequence[str], endpoint: SourceEndpoint, statsd_names: str) -> PipelineBuilder:
        """Return the same with schemas to make tables from, and with the consumer group of an input.

        Args:
            schemas: of `--schemas`.
            endpoint: the input.
            statsd_names: of `statsd.NAMES`.
        """
        if not (schemas or process_environment().get("EVENTLOGGING_SCHEMAS")):
            _log_default_schemas()
        store = self.schema_store(schemas)
        group = consumer_group(endpoint, self.sid) if endpoint.spec.shared else None
        return replace(
            self,
            schema_of=lambda name, revision: store.schema(name, revision).source,
            group=group,
            statsd_prefix=statsd.NAMES[statsd_names],
        )

    def with_dead_letters(
        self,
        pipeline: Pipeline,
        inputs: Sequence[SourceEndpoint],
        outputs: Sequence[SinkEndpoint] = (),
        errors: ErrorOutput | None = None,
    ) -> Pipeline:
        """Return the pipeline, with a dead-letter output, and with the transaction of its outputs if they have one.

        Args:
            inputs, outputs: EventErrors go to the cluster of the first that is Kafka's.
            errors: where EventErrors go if no input is; else they go beside an input that is a file.
        """
        found = self.error_output(inputs) or errors or self.error_output((), outputs) or error_file_beside(inputs)
        pipeline.transaction = self.pipeline_state.get(TRANSACTION)
        return set_dead_letters(pipeline, found)

    def _sink(self, endpoint: SinkEndpoint, raw: bool = False) -> Sink:
        sink = endpoint.spec.open(endpoint, self, raw)
        return wrap_sink(sink, endpoint.uri.wraps, self) if endpoint.uri.wraps else sink

    def batch(
        self,
        inputs: Sequence[SourceEndpoint],
        outputs: Sequence[SinkEndpoint],
        retention: EventRetention = EventRetention.UNTIL_FLUSHED,
    ) -> Batch:
        """Return when a batch is flushed: as the outputs' store wants it, never later than an input's commit interval.

        Args:
            retention: decides on the size, unless the command line or a store has one.
        """
        records, seconds = retention.batch_records, 0.0
        for output in outputs:
            if "batch_seconds" in output.options:
                records, seconds = output.options["batch_size"], output.options["batch_seconds"]
        records = self.batch_records or records
        seconds = seconds if self.batch_seconds is None else self.batch_seconds
        for source in inputs:
            if source.options.get("auto_commit_enable"):
                seconds = min(seconds, source.options["auto_commit_interval_ms"] / 1000)
        if self.transactional_id is not None:
            return Batch(records, min(seconds, LONGEST_TRANSACTION_S), LONGEST_TRANSACTION_S)
        return Batch(records, seconds)

    def error_output(
        self, inputs: Sequence[SourceEndpoint], outputs: Sequence[SinkEndpoint] = ()
    ) -> ErrorOutput | None:
        """Return the output of EventErrors: `eventlogging_EventError` of the first cluster that there is."""
        found: list[SourceEndpoint | SinkEndpoint] = [*inputs, *outputs]
        for endpoint in found:
            if endpoint.brokers:
                sink = check_sink(f"kafka:///{','.join(endpoint.uri.hosts)}?topic={ERROR_TOPIC}")
                return self.error_output_at(connected_as(sink, endpoint))
        return None

    def error_output_at(self, endpoint: SinkEndpoint) -> ErrorOutput:
        """Return the output that `--output-invalid` names."""
        return ErrorOutput(self._sink(endpoint), str(endpoint), endpoint)


def _schema_cache(run_dir: str | None) -> Path:
    if run_dir:
        return Path(run_dir) / "schemas"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "elworkers" / "schemas"


@cache
def _log_default_schemas() -> None:
    """Log once in a process that no schemas are configured."""
    import structlog

    structlog.get_logger(__name__).info(
        "tables are made of the schema wiki's schemas, because there is no --schemas", code="schemas_from_wiki"
    )
