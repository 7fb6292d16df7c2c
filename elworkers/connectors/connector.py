# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""What a connector is: a scheme with its options, its checks of a URI's text, and what makes a source or a sink of it.

A connector's module is imported to check instance files, of which there may be hundreds: it imports what is heavy only
in the functions that make something.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from elworkers.config.uris import Endpoint, Options
from elworkers.core.sockets import Address


def _takes_all(_endpoint: Endpoint) -> None:
    """What its options say is enough."""


def _as_it_is(endpoint: Endpoint) -> Sequence[Mapping[str, Any]]:
    return (endpoint.options,)


def _takes_any_record(_endpoint: Endpoint, _raw: bool) -> None:
    """It asks no event for anything."""


def _no_address(_endpoint: Endpoint) -> Address | None:
    return None


def _no_brokers(_endpoint: Endpoint) -> list[str]:
    return []


@dataclass(frozen=True)
class SourceSpec:
    """A scheme as an input.

    Attributes:
        options: those of its URIs. Where one of them is `raw`, other roles than a forwarder may have it.
        check: raises ConfigurationError for what the URI's text shows to be wrong; opens nothing.
        each: the options of each source that one URI stands for.
        address: what it listens on, where it does.
        brokers: each `host:port`, where its records are messages of the Kafka topic that its option `topic` names.
        extra: that of pyproject.toml which it needs.
        shared: the members of a consumer group share it out; of others each would read all of it.
        side_by_side: a worker may begin while the one that it replaces still reads.
        spooled: nobody sends its lines again, so that a forwarder spools them.
        listens_only: it has to be spooled, so that only a forwarder has it.
    """

    options: Options
    check: Callable[[Endpoint], None] = _takes_all
    each: Callable[[Endpoint], Sequence[Mapping[str, Any]]] = _as_it_is
    address: Callable[[Endpoint], Address | None] = _no_address
    brokers: Callable[[Endpoint], list[str]] = _no_brokers
    extra: str | None = None
    shared: bool = False
    side_by_side: bool = False
    spooled: bool = False
    listens_only: bool = False


@dataclass(frozen=True)
class SinkSpec:
    """A scheme as an output.

    Attributes:
        options: those of its URIs.
        check: raises ConfigurationError for what the URI's text shows to be wrong; opens nothing.
        complete: the options as the sink is to have them.
        check_records: raises ConfigurationError where it asks for what records (raw ones or parsed ones) do not have.
        brokers: as of `SourceSpec`.
        tables: it stores events in tables, as only a consumer does.
        takes_any_line: it never refuses one.
    """

    options: Options
    check: Callable[[Endpoint], None] = _takes_all
    complete: Callable[[Endpoint], Mapping[str, Any]] = lambda endpoint: endpoint.options
    check_records: Callable[[Endpoint, bool], None] = _takes_any_record
    brokers: Callable[[Endpoint], list[str]] = _no_brokers
    tables: bool = False
    takes_any_line: bool = False


@dataclass(frozen=True)
class Connector:
    """A scheme, as an input, an output or both."""

    scheme: str
    source: SourceSpec | None = None
    sink: SinkSpec | None = None


@dataclass(frozen=True)
class SourceEndpoint(Endpoint):
    """A checked input, with what is known of its scheme."""

    spec: SourceSpec = field(kw_only=True, repr=False)

    @property
    def brokers(self) -> list[str]:
        """Kafka's brokers, each `host:port`; empty where it is not Kafka's."""
        return self.spec.brokers(self)


@dataclass(frozen=True)
class SinkEndpoint(Endpoint):
    """A checked output, with what is known of its scheme."""

    spec: SinkSpec = field(kw_only=True, repr=False)

    @property
    def brokers(self) -> list[str]:
        """Kafka's brokers, each `host:port`; empty where it is not Kafka's."""
        return self.spec.brokers(self)
