# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Consumer: stores valid events, or with raw=True raw lines, in a database or a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from elworkers.config.arguments import Arguments, Option, Positional, RoleSpec
from elworkers.config.options import REJECTED
from elworkers.connectors.connector import SinkEndpoint, SourceEndpoint
from elworkers.core.capabilities import OffsetStore
from elworkers.core.contracts import Output, Stage
from elworkers.roles.common_options import (
    COMMON,
    EVENT_TIMEOUT,
    SCHEMAS,
    SID,
    STATSD_NAMES,
    STORED_BATCH,
    has_beside,
    single_worker,
)
from elworkers.roles.functions import function_stages, separate_event_errors
from elworkers.roles.sources import blacklist_stages

if TYPE_CHECKING:
    from elworkers.core.pipeline import Pipeline
    from elworkers.roles.build import PipelineBuilder

SPEC = RoleSpec(
    "consumer",
    "Reads events from INPUT and stores them in OUTPUT.",
    (
        Positional("input", "source", "URI to read events from"),
        Positional("output", "sink", "URI to store them in: mysql://, sqlite://, file://, stdout: or another"),
    ),
    (
        SID,
        Option(
            "--output-invalid",
            "URI to write EventErrors to, for records that OUTPUT rejects (default: topic eventlogging_EventError,"
            f" or <file>{REJECTED} if INPUT is a file)",
            metavar="URI",
        ),
        SCHEMAS,
        *STORED_BATCH,
        EVENT_TIMEOUT,
        STATSD_NAMES,
        *COMMON,
    ),
    examples=(
        "eventlogging-consumer 'kafka:///k1:9092?topic=eventlogging-valid-mixed' \\",
        "    mysql://user:password@host/log --sid mysql",
    ),
)


def check(arguments: Arguments) -> None:
    """Check what only the role as a whole shows to be wrong.

    Raises:
        ConfigurationError: several workers would read the same input each for itself, or there is no
            output for rejected records.
    """
    source, sink = arguments.endpoints["input"][0], arguments.endpoints["output"][0]
    if not source.spec.shared:
        single_worker("this input", "each worker would read it for itself", arguments["workers"])
    for invalid in arguments.endpoints.get("output_invalid", ()):
        if invalid.spec.tables:
            raise arguments.locations["output_invalid"][0].error(
                f"--output-invalid {invalid}: expected a Kafka topic or a file; a consumer of that topic stores"
                " EventErrors in a database"
            )
    if arguments["output_invalid"] is None and _needs_error_output(source, sink):
        raise arguments.locations["input"][0].error(
            f"{source.uri.scheme} URI: there is no output for records that OUTPUT rejects;"
            " expected --output-invalid URI, as --output-invalid=file:///PATH"
        )


def _needs_error_output(source: SourceEndpoint, sink: SinkEndpoint) -> bool:
    """Return whether records may be rejected, and no dead-letter output suggests itself."""
    if source.brokers or sink.brokers or has_beside(source):
        return False
    # A file takes any line.
    return not (source.options.get("raw") and sink.spec.accepts_any_line)


def build(arguments: Arguments, builder: PipelineBuilder) -> Pipeline:
    """Return the pipeline of one worker; see `PipelineBuilder` for what it raises."""
    from elworkers.core.pipeline import Pipeline
    from elworkers.roles.rejections import error_file_beside, set_dead_letters

    inputs, (output,) = arguments.endpoints["input"], arguments.endpoints["output"]
    invalid = arguments.endpoints.get("output_invalid")
    errors = (
        builder.error_output_at(invalid[0])
        if invalid
        else builder.error_output(inputs, [output]) or error_file_beside(inputs)
    )
    stages: list[Stage] = []
    if inputs[0].options.get("raw"):
        outputs = separate_event_errors([builder.raw_output(output)], inputs, lambda: errors)
    else:
        from elworkers.stages.decode import DecodeStage

        stages.append(DecodeStage(builder.counts))
        if output.spec.tables:
            builder = builder.for_tables(arguments["schemas"], inputs[0], arguments["statsd_names"])
        outputs = [builder.output(output, lambda record: record.valid)]
        if errors is not None:
            outputs.append(Output(errors.sink, lambda record: not record.valid))
    stages += [*blacklist_stages(inputs, builder.counts), *function_stages(inputs, builder)]
    sink = outputs[0].sink
    source = builder.source(*inputs, offset_store=sink if isinstance(sink, OffsetStore) else None)
    return set_dead_letters(Pipeline(source, stages, outputs, builder.batch(inputs, [output])), errors)
