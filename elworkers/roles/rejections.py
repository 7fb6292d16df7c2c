# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Gives a pipeline a dead-letter output: one for what its stores reject."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from elworkers.config.options import REJECTED
from elworkers.connectors.connector import SinkEndpoint, SourceEndpoint
from elworkers.core.contracts import Sink
from elworkers.core.pipeline import Pipeline
from elworkers.roles.common_options import has_beside


class ErrorOutput(NamedTuple):
    """An output for EventErrors: its sink, its name for people, and its endpoint where it has one."""

    sink: Sink
    name: str
    endpoint: SinkEndpoint | None = None


def error_file_beside(inputs: Sequence[SourceEndpoint]) -> ErrorOutput | None:
    """Return a file beside the first input that is one, made when something is rejected."""
    from elworkers.connectors.file.sink import FileSink

    for endpoint in inputs:
        if has_beside(endpoint):
            path = Path(endpoint.uri.path + REJECTED)
            return ErrorOutput(FileSink(path, at_once=False), f"file://{path}")
    return None


def set_dead_letters(pipeline: Pipeline, errors: ErrorOutput | None) -> Pipeline:
    """Return the pipeline, with this dead-letter output."""
    from elworkers.events.event_error import rejected_event_error, shortened

    if errors is not None:
        pipeline.dead_letter_sink, pipeline.dead_letter_name = errors.sink, errors.name
    pipeline.make_event_error = rejected_event_error
    pipeline.shorten = shortened
    return pipeline
