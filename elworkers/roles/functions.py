# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Puts the functions of `map://` and `filter://` into pipelines."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from elworkers.config.uris import Uri
from elworkers.config.wraps import Wrap
from elworkers.connectors.connector import SourceEndpoint
from elworkers.core.contracts import Output, Sink, Stage
from elworkers.core.errors import ConfigurationError

if TYPE_CHECKING:
    from elworkers.functions.applied import Functions
    from elworkers.roles.build import PipelineBuilder
    from elworkers.roles.rejections import Errors

Place = tuple[str, str]
"""Cluster and topic."""


def of_inputs(inputs: Sequence[SourceEndpoint], wiring: PipelineBuilder) -> list[Stage]:
    """Return the stage that sends events through the inputs' functions, where one has any."""
    wraps = by_place(inputs)
    if not any(wraps.values()):
        return []
    from elworkers.functions.stage import FunctionStage

    # What is nearest to the input takes its events first.
    made = {place: applied(some[::-1], wiring) for place, some in wraps.items() if some}
    return [FunctionStage(made, wiring.counts)]


def by_place(inputs: Sequence[SourceEndpoint]) -> Mapping[Place | None, tuple[Wrap, ...]]:
    """Return the functions of each topic; under None those of inputs that are not Kafka's.

    Raises:
        ConfigurationError: inputs whose events nobody can tell apart have different ones.
    """
    found: dict[Place | None, tuple[Wrap, ...]] = {}
    for place, uri in _places(inputs):
        if found.setdefault(place, uri.wraps) != uri.wraps:
            what = "inputs that are not Kafka's" if place is None else f"inputs of topic {place[1]}"
            raise ConfigurationError(f"{what} have different functions; expected the same for all of them")
    return found


def _places(inputs: Sequence[SourceEndpoint]) -> Iterator[tuple[Place | None, Uri]]:
    for endpoint in inputs:
        if endpoint.brokers:
            yield (",".join(sorted(endpoint.brokers)), endpoint.options["topic"]), endpoint.uri
        else:
            yield None, endpoint.uri


def before(sink: Sink, wraps: Sequence[Wrap], wiring: PipelineBuilder) -> Sink:
    """Return the sink behind an output's functions."""
    from elworkers.functions.sink import through

    return through(applied(wraps, wiring), sink)


def applied(wraps: Sequence[Wrap], wiring: PipelineBuilder) -> Functions:
    """Return the functions, loaded.

    Raises:
        ConfigurationError: one cannot be.
    """
    from elworkers.core.budget import Budget
    from elworkers.functions.applied import Functions
    from elworkers.functions.circuit_breaker import CircuitBreaker
    from elworkers.functions.loading import loaded
    from elworkers.roles.build import variables

    if not wiring.circuit_breaker:
        # One for all functions: a process has one such timer.
        wiring.circuit_breaker.append(CircuitBreaker(Budget(wiring.event_timeout, signal.ITIMER_REAL), wiring.metrics))
    env = variables()
    return Functions([loaded(wrap, env) for wrap in wraps], wiring.circuit_breaker[0], wiring.counts)


def apart(
    outputs: Sequence[Output],
    wiring: PipelineBuilder,
    inputs: Sequence[SourceEndpoint],
    errors: Callable[[], Errors | None],
) -> list[Output]:
    """Return the outputs of a role that writes everything to each, without the EventErrors that functions make.

    Args:
        outputs: as they are without functions.
        inputs: of the role.
        errors: gives where EventErrors go; None: nowhere.
    """
    if not any(endpoint.uri.wraps for endpoint in inputs):
        return list(outputs)
    made = [Output(sink, lambda record: record.valid) for sink, _ in outputs]
    there = errors()
    return [*made, wiring.to(there.sink, lambda record: not record.valid)] if there is not None else made
