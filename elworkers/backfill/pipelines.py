# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Builds and runs the pipeline of a backfill: a processor's stages in front of a consumer's store."""

from __future__ import annotations

from dataclasses import replace

from elworkers.backfill.files import FilesSource
from elworkers.backfill.once import DeduplicatingSink, RejectedFilesSink, rejected_path
from elworkers.backfill.plan import Plan
from elworkers.backfill.state import State
from elworkers.backfill.tails import FileTail, TopicsTail
from elworkers.config.options import READ_UNCOMMITTED
from elworkers.connectors.connector import SinkEndpoint
from elworkers.core.contracts import Metrics, Output, Sink, Source, Stage
from elworkers.core.pipeline import CarryOver, Pipeline
from elworkers.core.progress import Tell
from elworkers.monitoring import statsd
from elworkers.roles.build import PipelineBuilder
from elworkers.roles.ending import Account
from elworkers.roles.processor import process_stage
from elworkers.roles.rejections import ErrorOutput, set_dead_letters
from elworkers.roles.sources import blacklist_stages

_COUNTED = ("events_valid", "events_invalid", "records_refused", "rows_duplicate", "events_left_out")


class PipelineFactory:
    """Makes the pipelines of one process, and counts what becomes of the records.

    Args:
        plan: what is to be done.
        state: how far it is.
        builder: what sources and sinks share.
        tell: told how far it is.
    """

    def __init__(self, plan: Plan, state: State, builder: PipelineBuilder, tell: Tell) -> None:
        self.builder = builder
        self._plan = plan
        self._state = state
        self._tell = tell
        self._before = dict(state.counts)

    def build(self, carry_over: CarryOver) -> Pipeline:
        """Return the pipeline; see `PipelineBuilder` for what it raises."""
        builder, plan = self.builder.with_carry_over(carry_over), self._plan
        source, stages = self.head(builder)
        store = builder.schema_store(plan.arguments["schemas"])
        storing_builder = replace(
            builder,
            schema_of=lambda name, revision: store.schema(name, revision).source,
            statsd_prefix=statsd.NAMES[plan.arguments["statsd_names"]],
        ).with_schemas(store)
        output = storing_builder.output(plan.output, lambda record: record.valid)
        output = output._replace(sink=self._once(output.sink, plan.output))
        errors = self._errors(storing_builder)
        outputs = [
            output,
            Output(errors.sink, lambda record: not record.valid),
        ]
        # Before anything is written: where outputs end now is what a next process has to know.
        self._state.save()
        return set_dead_letters(Pipeline(source, stages, outputs, builder.batch([], [plan.output])), errors)

    def head(self, builder: PipelineBuilder) -> tuple[Source, list[Stage]]:
        """Return the source, and the stages behind it."""
        arguments = self._plan.arguments
        store = builder.schema_store(arguments["schemas"])
        stage = process_stage(arguments["format"], store, builder.counts, arguments["event_timeout"])
        return self._source(builder.counts), [stage, *blacklist_stages(self._plan.topics, builder.counts)]

    def _source(self, counts: Metrics) -> Source:
        plan = self._plan

        def count() -> None:
            self._state.counts.update({name: self._before.get(name, 0) + counts.total(name) for name in _COUNTED})

        if not plan.topics:
            return FilesSource(
                plan.paths,
                self._state,
                metrics=counts,
                tell=self._tell,
                count=count,
            )
        from elworkers.backfill.topic import TopicSource
        from elworkers.connectors.kafka.drivers import driver_of

        options, hosts = plan.topics[0].options, plan.topics[0].brokers
        uncommitted = options["transactions"] == READ_UNCOMMITTED
        reader = driver_of(plan.topics[0]).reader(
            hosts, options["fetch_message_max_bytes"], reads_uncommitted=uncommitted
        )
        topics = [topic.options["topic"] for topic in plan.topics]
        cluster = ",".join(sorted(hosts))
        return TopicSource(reader, cluster, topics, plan.span, self._state, tell=self._tell, count=count)

    def _once(self, sink: Sink, endpoint: SinkEndpoint) -> Sink:
        """Return the sink of an output, which is not to get again what a killed process has written there."""
        if endpoint.path is not None:
            return DeduplicatingSink(sink, FileTail(endpoint.path, self._state))
        if endpoint.brokers:
            return DeduplicatingSink(sink, TopicsTail(endpoint, self._state))
        # A database looks itself, and nobody can look into what has gone to standard output.
        return sink

    def _errors(self, builder: PipelineBuilder) -> ErrorOutput:
        if self._plan.invalid is not None:
            found: ErrorOutput | None = builder.error_output_at(self._plan.invalid)
        else:
            found = builder.error_output(self._plan.topics, [self._plan.output])
        if found is None or found.endpoint is None:
            return ErrorOutput(RejectedFilesSink(self._state, self._plan.paths), "")
        return found._replace(sink=self._once(found.sink, found.endpoint))

    def account(self) -> Account:
        """Return the counts of all records, also of those that an earlier process has read."""
        valid, invalid, rejected, present, left_out = (self._state.counts.get(name, 0) for name in _COUNTED)
        return Account(valid + invalid, rejected + invalid, 0, present, left_out)

    def dead_letter_name(self) -> str:
        """Return the files beside inputs that hold EventErrors; empty where there are none."""
        found = [f"file://{path}" for path in map(rejected_path, self._plan.paths) if path.exists()]
        return ", ".join(found)
