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
from elworkers.roles.functions import apart, of_inputs
from elworkers.roles.sources import left_out

if TYPE_CHECKING:
    from elworkers.core.pipeline import Pipeline
    from elworkers.roles.build import PipelineBuilder

SPEC = RoleSpec(
    "forwarder",
    "Reads raw lines from INPUT and writes them to every OUTPUT.",
    (
        Positional("input", "source", "URI to read lines from, as udp://0.0.0.0:8421"),
        Positional("output", "sink", "URI to write them to, as kafka:///HOST:PORT?topic=NAME", many=True),
    ),
    (
        Option("--count", "put a sequence number and a tab before each line", value="none", default=False),
        Option(
            "--spool-dir",
            "folder where lines of udp, http and varnish wait for OUTPUT (default: in EVENTLOGGING_RUN_DIR)",
        ),
        Option("--spool-max-bytes", "size limit of --spool-dir in bytes", integer(1), default=1024**3),
        SID,
        *SENT_BATCH,
        EVENT_TIMEOUT,
        *COMMON,
    ),
)


def check(arguments: Arguments) -> None:
    """Refuse what only the role as a whole shows to be wrong.

    Raises:
        ConfigurationError: several workers would bind the same UDP port.
    """
    if not arguments.endpoints["input"][0].spec.shared:
        single_worker("this input", "each worker would read it for itself", arguments["workers"])


def build(arguments: Arguments, wiring: PipelineBuilder) -> Pipeline:
    """Return the pipeline of one worker; see `PipelineBuilder` for what it raises."""
    from elworkers.core.pipeline import Pipeline

    inputs, to = arguments.endpoints["input"], arguments.endpoints["output"]
    stages = [*left_out(inputs, wiring.counts), *of_inputs(inputs, wiring)]
    if arguments["count"]:
        wiring, counting = _counting(inputs[0], wiring)
        stages += counting
    source = wiring.source(*inputs)
    outputs = [wiring.raw_output(endpoint) for endpoint in to]
    outputs = apart(outputs, wiring, inputs, lambda: wiring.errors(inputs, to))
    pipeline = Pipeline(source, stages, outputs, wiring.batch(inputs, to))
    return wiring.with_dead_letters(pipeline, inputs, to)


def _counting(endpoint: SourceEndpoint, wiring: PipelineBuilder) -> tuple[PipelineBuilder, list[Stage]]:
    """Return how lines of this input get their numbers: from their offsets, when they are spooled, or as they pass."""
    from elworkers.stages.count import CountStage, OffsetNumberStage

    if endpoint.brokers:
        return wiring, [OffsetNumberStage()]
    draw = _draw(wiring.sequence if os.environ.get("EVENTLOGGING_RUN_DIR") else None)
    if wiring.spool is not None and endpoint.spec.listener is not None:
        return replace(wiring, draw=draw), []
    return wiring, [CountStage(draw)]


@functools.cache
def _draw(path: Path | None) -> Callable[[int], int]:
    """Return a function that draws this process's numbers, once for all of its pipelines."""
    if path is not None:
        from elworkers.connectors.spool.sequence import Sequence

        return Sequence(path).take
    from elworkers.stages.count import ClockNumbers

    return ClockNumbers().take
