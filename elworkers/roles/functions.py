# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Puts the functions of `map://` and `filter://` into pipelines."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from elworkers.config.argument_files import process_environment
from elworkers.config.uris import Uri
from elworkers.config.wraps import Wrap
from elworkers.connectors.connector import SourceEndpoint
from elworkers.core.contracts import Output, Sink, Stage
from elworkers.core.errors import ConfigurationError

if TYPE_CHECKING:
    from elworkers.functions.applied import Functions
    from elworkers.roles.rejections import ErrorOutput
    from elworkers.roles.worker_context import WorkerContext

ClusterTopic = tuple[str, str]
"""Cluster and topic."""


def function_stages(inputs: Sequence[SourceEndpoint], worker: WorkerContext) -> list[Stage]:
    """Return the stage that sends events through the inputs' functions, where one has any."""
    wraps = functions_by_topic(inputs)
    if not any(wraps.values()):
        return []
    from elworkers.functions.stage import FunctionStage

    # What is nearest to the input takes its events first.
    made = {topic: load_functions(some[::-1], worker) for topic, some in wraps.items() if some}
    return [FunctionStage(made, worker.counts)]


def functions_by_topic(inputs: Sequence[SourceEndpoint]) -> Mapping[ClusterTopic | None, tuple[Wrap, ...]]:
    """Return the functions of each topic; under None those of inputs that are not Kafka's.

    Raises:
        ConfigurationError: inputs whose events cannot be distinguished have different ones.
    """
    found: dict[ClusterTopic | None, tuple[Wrap, ...]] = {}
    for topic, uri in _cluster_topics(inputs):
        if found.setdefault(topic, uri.wraps) != uri.wraps:
            what = "inputs that are not Kafka's" if topic is None else f"inputs of topic {topic[1]}"
            raise ConfigurationError(f"{what} have different functions; expected the same for all of them")
    return found


def _cluster_topics(inputs: Sequence[SourceEndpoint]) -> Iterator[tuple[ClusterTopic | None, Uri]]:
    for endpoint in inputs:
        if endpoint.brokers:
            yield (",".join(sorted(endpoint.brokers)), endpoint.options["topic"]), endpoint.uri
        else:
            yield None, endpoint.uri


def wrap_sink(sink: Sink, wraps: Sequence[Wrap], worker: WorkerContext) -> Sink:
    """Return the sink behind an output's functions."""
    from elworkers.functions.sink import through

    return through(load_functions(wraps, worker), sink)


def load_functions(wraps: Sequence[Wrap], worker: WorkerContext) -> Functions:
    """Return the functions, loaded.

    Raises:
        ConfigurationError: one cannot be.
    """
    from elworkers.core.budget import Budget
    from elworkers.functions.applied import Functions
    from elworkers.functions.circuit_breaker import CircuitBreaker
    from elworkers.functions.loading import loaded

    if not worker.circuit_breaker:
        # One for all functions: a process has one such timer.
        worker.circuit_breaker.append(CircuitBreaker(Budget(worker.event_timeout, signal.ITIMER_REAL), worker.metrics))
    env = process_environment()
    return Functions([loaded(wrap, env) for wrap in wraps], worker.circuit_breaker[0], worker.counts)


def separate_event_errors(
    outputs: Sequence[Output], inputs: Sequence[SourceEndpoint], errors: Callable[[], ErrorOutput | None]
) -> list[Output]:
    """Return the outputs of a role that writes everything to each, but EventErrors, which functions make, to `errors`.

    Args:
        outputs: as they are without functions.
        inputs: of the role.
        errors: gives where EventErrors go; None: nowhere.
    """
    if not any(endpoint.uri.wraps for endpoint in inputs):
        return list(outputs)
    made = [Output(sink, lambda record: record.valid) for sink, _ in outputs]
    error_output = errors()
    return [*made, Output(error_output.sink, lambda record: not record.valid)] if error_output is not None else made
