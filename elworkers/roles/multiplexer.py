# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Multiplexer: passes the messages of several inputs on to one output."""

from __future__ import annotations

from typing import TYPE_CHECKING

from elworkers.config.arguments import Arguments, Positional, RoleSpec
from elworkers.core.contracts import Stage
from elworkers.roles.common_options import COMMON, EVENT_TIMEOUT, SENT_BATCH, SID, single_worker
from elworkers.roles.functions import function_stages, functions_by_topic, separate_event_errors
from elworkers.roles.sources import blacklist_stages

if TYPE_CHECKING:
    from elworkers.core.pipeline import Pipeline
    from elworkers.roles.build import PipelineBuilder

SPEC = RoleSpec(
    "multiplexer",
    "Reads every INPUT and writes all of it to OUTPUT.",
    (
        Positional("output", "sink", "URI to write to"),
        Positional("input", "source", "URI to read from", many=True),
    ),
    (SID, *SENT_BATCH, EVENT_TIMEOUT, *COMMON),
    examples=(
        "eventlogging-multiplexer 'kafka:///k1:9092?topic=all' \\",
        "    'kafka:///k1:9092?topic=one' 'kafka:///k1:9092?topic=two' --sid all",
    ),
)


def check(arguments: Arguments) -> None:
    """Check what only the role as a whole shows to be wrong.

    Raises:
        ConfigurationError: several workers would read the same input each for itself, or inputs that are alike have
            different functions.
    """
    functions_by_topic(arguments.endpoints["input"])
    if any(not endpoint.spec.shared for endpoint in arguments.endpoints["input"]):
        single_worker("one of these inputs", "each worker would read it for itself", arguments["workers"])


def build(arguments: Arguments, builder: PipelineBuilder) -> Pipeline:
    """Return the pipeline of one worker; see `PipelineBuilder` for what it raises."""
    from elworkers.core.pipeline import Pipeline
    from elworkers.stages.decode import DecodeStage

    inputs, (output,) = arguments.endpoints["input"], arguments.endpoints["output"]
    stages: list[Stage] = [] if builder.is_raw(output) else [DecodeStage(builder.counts)]
    stages += [*blacklist_stages(inputs, builder.counts), *function_stages(inputs, builder)]
    outputs = separate_event_errors([builder.output(output)], inputs, lambda: builder.error_output(inputs, [output]))
    source = builder.source(*inputs)
    pipeline = Pipeline(source, stages, outputs, builder.batch(inputs, [output]))
    return builder.with_dead_letters(pipeline, inputs, [output])
