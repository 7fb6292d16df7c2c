# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Processor: parses raw lines by FORMAT, validates them, and writes valid events, and EventErrors for the others."""

from __future__ import annotations

from collections.abc import Iterable, Set
from typing import TYPE_CHECKING

from elworkers.config.arguments import Arguments, Option, Positional, RoleSpec
from elworkers.config.types import seconds
from elworkers.core.contracts import Metrics, Output, Stage
from elworkers.core.event_retention import EventRetention
from elworkers.roles.common_options import COMMON, SCHEMAS, SENT_BATCH, SID, single_worker
from elworkers.roles.functions import function_stages
from elworkers.roles.sources import blacklist_stages

if TYPE_CHECKING:
    from elworkers.core.pipeline import Pipeline
    from elworkers.roles.build import PipelineBuilder
    from elworkers.schema.store import SchemaStore

SPEC = RoleSpec(
    "processor",
    "Parses the lines of INPUT by FORMAT, validates the events, and writes valid ones to every OUTPUT.",
    (
        Positional(
            "format",
            "format",
            "format of the lines, as '%{seqId}d EventLogging %j'; docs/instances.md lists the specifiers",
        ),
        Positional("input", "source", "URI to read raw lines from"),
        Positional("output", "sink", "URI to write valid events to", many=True),
    ),
    (
        SID,
        Option(
            "--output-invalid",
            "URI to write EventErrors to (without a value: the first OUTPUT)",
            value="optional",
            metavar="URI",
        ),
        SCHEMAS,
        Option(
            "--event-timeout",
            "time limit of one event: to parse and validate it, and of each map:// or filter:// function",
            seconds,
            default=1.0,
        ),
        *SENT_BATCH,
        *COMMON,
    ),
    examples=(
        "eventlogging-processor '%{seqId}d EventLogging %j' \\",
        "    'kafka:///k1:9092?topic=eventlogging-server-side' \\",
        "    'kafka:///k1:9092?topic=eventlogging_{schema}' \\",
        "    --sid server-side --output-invalid",
    ),
)


def check(arguments: Arguments) -> None:
    """Check what only the role as a whole shows to be wrong.

    Raises:
        ConfigurationError: the format cannot be read, or several workers would read the same input each for itself.
    """
    from elworkers.events.parse import compile_format

    compile_format(arguments["format"])
    if not arguments.endpoints["input"][0].spec.shared:
        single_worker("this input", "each worker would read it for itself", arguments["workers"])


def build(arguments: Arguments, builder: PipelineBuilder) -> Pipeline:
    """Return the pipeline of one worker; see `PipelineBuilder` for what it raises."""
    from elworkers.core.pipeline import Pipeline
    from elworkers.roles.rejections import ErrorOutput

    inputs, targets = arguments.endpoints["input"], arguments.endpoints["output"]
    store = builder.schema_store(arguments["schemas"])
    builder = builder.with_schemas(store)
    functions = function_stages(inputs, builder)
    retention = event_retention([builder.required_fields(target) for target in targets], has_functions=bool(functions))
    stage = process_stage(arguments["format"], store, builder.counts, arguments["event_timeout"], retention)
    stages: list[Stage] = [stage, *blacklist_stages(inputs, builder.counts), *functions]
    outputs = [builder.output(endpoint, lambda record: record.valid) for endpoint in targets]
    errors = None
    if arguments["output_invalid"] == "":
        errors = ErrorOutput(outputs[0].sink, str(targets[0]))
    for invalid in arguments.endpoints.get("output_invalid", ()):
        errors = builder.error_output_at(invalid)
    if errors is not None:
        outputs.append(Output(errors.sink, lambda record: not record.valid))
    source = builder.source(*inputs)
    batch = builder.batch(inputs, targets, retention)
    pipeline = Pipeline(source, stages, outputs, batch, retention=retention, wants_more=builder.wants_more)
    return builder.with_dead_letters(pipeline, inputs, targets, errors)


def event_retention(required_fields: Iterable[Set[str]], *, has_functions: bool) -> EventRetention:
    """Return how long a processor's records hold their events.

    Args:
        required_fields: for each output the fields of a capsule that it needs. No output is a database, which would
            need events until it flushes: only a consumer has one.
        has_functions: whether functions of the inputs get the events.
    """
    from elworkers.schema.validate import ROUTING_FIELDS

    if has_functions or not all(fields <= ROUTING_FIELDS for fields in required_fields):
        return EventRetention.UNTIL_WRITTEN
    return EventRetention.ROUTING_FIELDS


def process_stage(
    text: str,
    store: SchemaStore,
    counts: Metrics,
    event_timeout_s: float,
    retention: EventRetention = EventRetention.UNTIL_FLUSHED,
) -> Stage:
    """Return what parses, validates and encodes the lines of a format.

    Args:
        text: the format.
        store: of the schemas.
        counts: for stages.
        event_timeout_s: of processor time for each event.
        retention: how long records hold their events.
    """
    from elworkers.core.budget import Budget
    from elworkers.events.parse import compile_format
    from elworkers.schema.validate import Validator
    from elworkers.stages.process import ProcessStage

    return ProcessStage(compile_format(text), Validator(store), counts, Budget(event_timeout_s), retention)
