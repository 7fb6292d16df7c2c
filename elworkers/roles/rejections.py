# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Gives a pipeline an output for what its stores reject."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from elworkers.config.options import REJECTED
from elworkers.connectors.connector import SinkEndpoint, SourceEndpoint
from elworkers.core.contracts import Sink
from elworkers.core.pipeline import Pipeline
from elworkers.roles.common_options import has_beside


class Errors(NamedTuple):
    """Where EventErrors go, what people call that, and the output that it is, if it is one."""

    sink: Sink
    place: str
    endpoint: SinkEndpoint | None = None


def errors_beside(inputs: Sequence[SourceEndpoint]) -> Errors | None:
    """Return a file beside the first input that is one, made when something is refused."""
    from elworkers.connectors.file.sink import FileSink

    for endpoint in inputs:
        if has_beside(endpoint):
            path = Path(endpoint.uri.path + REJECTED)
            return Errors(FileSink(path, at_once=False), f"file://{path}")
    return None


def refusing(pipeline: Pipeline, errors: Errors | None) -> Pipeline:
    """Return the pipeline, with this place for what its stores refuse."""
    from elworkers.events.event_error import rejected_event_error, shortened

    if errors is not None:
        pipeline.dead_letter_sink, pipeline.dead_letter_name = errors.sink, errors.place
    pipeline.make_event_error = rejected_event_error
    pipeline.shorten = shortened
    return pipeline
