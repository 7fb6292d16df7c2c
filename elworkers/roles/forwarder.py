# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Forwarder: passes raw lines of one input on to every output, on request with a number in front."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from elworkers.config.arguments import Arguments, Option, Positional, RoleSpec
from elworkers.config.types import integer
from elworkers.connectors.connector import SourceEndpoint
from elworkers.core.contracts import Stage
from elworkers.roles.common_options import COMMON, EVENT_TIMEOUT, SENT_BATCH, SID, single_worker
from elworkers.roles.functions import function_stages, separate_event_errors
from elworkers.roles.sources import blacklist_stages

if TYPE_CHECKING:
    from elworkers.core.pipeline import Pipeline
    from elworkers.roles.build import PipelineBuilder

SPEC = RoleSpec(
    "forwarder",
    "Reads raw lines from INPUT and writes them to every OUTPUT.",
    (
        Positional("input", "source", "URI to read lines from, as udp://0.0.0.0:8421, http:// or file://"),
        Positional("output", "sink", "URI to write them to, as kafka:///HOST:PORT?topic=NAME", many=True),
    ),
    (
        Option("--count", "write a sequence number and a tab before each line", value="none", default=False),
        Option(
            "--spool-dir",
            "folder where lines from udp, http and varnish inputs are kept until they are written"
            " (default: in EVENTLOGGING_RUN_DIR)",
        ),
        Option("--spool-max-bytes", "size limit of --spool-dir in bytes", integer(1), default=1024**3, metavar="N"),
        SID,
        *SENT_BATCH,
        EVENT_TIMEOUT,
        *COMMON,
    ),
    examples=(
        "eventlogging-forwarder udp://0.0.0.0:8421 \\",
        "    'kafka:///k1:9092?topic=eventlogging-server-side'",
    ),
)


def check(arguments: Arguments) -> None:
    """Check what only the role as a whole shows to be wrong.

    Raises:
        ConfigurationError: several workers would bind the same UDP port.
    """
    if not arguments.endpoints["input"][0].spec.shared:
        single_worker("this input", "each worker would read it for itself", arguments["workers"])


def build(arguments: Arguments, builder: PipelineBuilder) -> Pipeline:
    """Return the pipeline of one worker; see `PipelineBuilder` for what it raises."""
    from elworkers.core.pipeline import Pipeline

    inputs, targets = arguments.endpoints["input"], arguments.endpoints["output"]
    stages = [*blacklist_stages(inputs, builder.counts), *function_stages(inputs, builder)]
    if arguments["count"]:
        builder, counting = _counting(inputs[0], builder)
        stages += counting
    source = builder.source(*inputs)
    outputs = [builder.raw_output(endpoint) for endpoint in targets]
    outputs = separate_event_errors(outputs, inputs, lambda: builder.error_output(inputs, targets))
    pipeline = Pipeline(source, stages, outputs, builder.batch(inputs, targets))
    return builder.with_dead_letters(pipeline, inputs, targets)


def _counting(endpoint: SourceEndpoint, builder: PipelineBuilder) -> tuple[PipelineBuilder, list[Stage]]:
    """Return how lines of this input get their numbers: from their offsets, when they are spooled, or as they pass."""
    from elworkers.stages.count import CountStage, OffsetNumberStage

    if endpoint.brokers:
        return builder, [OffsetNumberStage()]
    draw = _draw(builder.sequence if os.environ.get("EVENTLOGGING_RUN_DIR") else None)
    if builder.spool is not None and endpoint.spec.listener is not None:
        return replace(builder, draw=draw), []
    return builder, [CountStage(draw)]


@functools.cache
def _draw(path: Path | None) -> Callable[[int], int]:
    """Return a function that draws this process's numbers, once for all of its pipelines."""
    if path is not None:
        from elworkers.connectors.spool.sequence import Sequence

        return Sequence(path).take
    from elworkers.stages.count import ClockNumbers

    return ClockNumbers().take
