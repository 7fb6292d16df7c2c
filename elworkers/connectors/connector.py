# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Defines what a connector is: a scheme with its options, checks and factories.

A connector's module is imported to check instance files, of which there may be hundreds: it imports what is heavy only
in the functions that make something.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from elworkers.config.uris import Endpoint, Options
from elworkers.connectors.spool.listener import Listener
from elworkers.core.contracts import Metrics, OffsetStore, Sink, Source
from elworkers.core.sockets import Address

if TYPE_CHECKING:
    from elworkers.core.deliveries import DeliveryLog


class Worker(Protocol):
    """What sources and sinks may use of the worker that they are made for."""

    @property
    def metrics(self) -> Metrics:
        """Its counters."""

    @property
    def sid(self) -> str | None:
        """The consumer group of `--sid`."""

    @property
    def partitions(self) -> int | None:
        """Of topics that have to be created, where neither URI nor broker says."""

    @property
    def delivered(self) -> DeliveryLog:
        """What was acknowledged of records that are not committed."""

    @property
    def group(self) -> str | None:
        """The consumer group whose positions a sink may keep beside its rows."""

    @property
    def schema_of(self) -> Callable[[str, int], Mapping[str, Any]] | None:
        """Name and revision to the JSON schema of an event, for a role that stores events in tables."""

    @property
    def has_schema(self) -> Callable[[str], bool]:
        """Whether a schema of a name is known to exist."""

    @property
    def statsd_prefix(self) -> str:
        """What names of statsd begin with, unless a URI says."""

    @property
    def unfinished(self) -> list[Callable[[], bool]]:
        """A sink adds a call that says whether more records at a time would be cheaper."""

    @property
    def of_process(self) -> dict[Any, Any]:
        """What connectors keep for as long as the worker lives, by keys of their own."""

    @property
    def of_pipeline(self) -> dict[Any, Any]:
        """The same for what is closed with the sources and sinks of a pipeline."""

    def inherited(self, address: Address) -> list[socket.socket]:
        """Return the sockets that the worker's parent listens on."""


class SpoolPlace(NamedTuple):
    """Where lines wait that nobody sends again.

    Attributes:
        folder: that of the spool.
        sequence: the file of this host's sequence numbers.
    """

    folder: Path
    sequence: Path


class PresentEvents(Protocol):
    """What says which events an output has already."""

    def __call__(self, schema: str, revision: int, uuids: Iterable[str]) -> set[str]:
        """Return those of these events of a schema that are stored.

        Raises:
            RetryableError: it does not answer.
        """

    def close(self) -> None:
        """Let go of it."""


SourceFactory = Callable[[Endpoint, Worker, OffsetStore | None], Source]
"""Makes a source. Takes the sink that knows where to go on, if one does."""

ListenerFactory = Callable[[Endpoint, Worker, SpoolPlace], Listener]
"""Makes what takes lines for a spool."""

SinkFactory = Callable[[Endpoint, Worker, bool], Sink]
"""Makes a sink. Takes whether records are raw lines that nobody has parsed."""


def _takes_all(_endpoint: Endpoint) -> None:
    """Accept every URI: its options say enough."""


def _as_it_is(endpoint: Endpoint) -> Sequence[Mapping[str, Any]]:
    return (endpoint.options,)


def _takes_any_record(_endpoint: Endpoint, _raw: bool) -> None:
    """Accept every record: no field of an event is needed."""


def _no_address(_endpoint: Endpoint) -> Address | None:
    return None


def _nothing_to_prepare(_endpoint: Endpoint, _place: SpoolPlace, _after: int) -> Listener | None:
    return None


def _no_path(_endpoint: Endpoint) -> Path | None:
    return None


def _no_brokers(_endpoint: Endpoint) -> list[str]:
    return []


@dataclass(frozen=True)
class SourceSpec:
    """A scheme as an input.

    Attributes:
        options: those of its URIs. Where one of them is `raw`, other roles than a forwarder may have it.
        open: makes it; None where only a forwarder has it, which has a `listener`.
        listener: makes what takes its lines for a spool; None where there is nothing to spool, because they can be read
            again.
        prepare: called before the `listener` of a worker that replaces another one, whose pid it is given: imports what
            takes a while, and gives the listener itself where it has to begin before the other ends.
        check: raises ConfigurationError for what the URI's text shows to be wrong; opens nothing.
        each: the options of each source that one URI stands for.
        address: what it listens on, where it does.
        brokers: each `host:port`, where its records are messages of a Kafka topic; it then has the options `topic`,
            `partitions` and `replication`.
        path: of the file whose lines it reads, where it does.
        extra: that of elworkers' own which it needs.
        shared: the members of a consumer group share it out; of others each would read all of it.
        side_by_side: a worker may begin while the one that it replaces still reads.
    """

    options: Options
    open: SourceFactory | None = None
    listener: ListenerFactory | None = None
    prepare: Callable[[Endpoint, SpoolPlace, int], Listener | None] = _nothing_to_prepare
    check: Callable[[Endpoint], None] = _takes_all
    each: Callable[[Endpoint], Sequence[Mapping[str, Any]]] = _as_it_is
    address: Callable[[Endpoint], Address | None] = _no_address
    brokers: Callable[[Endpoint], list[str]] = _no_brokers
    path: Callable[[Endpoint], Path | None] = _no_path
    extra: str | None = None
    shared: bool = False
    side_by_side: bool = False

    @property
    def listens_only(self) -> bool:
        """Whether only a forwarder has it."""
        return self.open is None


@dataclass(frozen=True)
class SinkSpec:
    """A scheme as an output.

    Attributes:
        options: those of its URIs.
        open: makes it.
        check: raises ConfigurationError for what the URI's text shows to be wrong; opens nothing.
        complete: the options as the sink is to have them.
        asks: the fields of a capsule that it needs to know where a record goes to.
        check_records: raises ConfigurationError where it asks for what records (raw ones or parsed ones) do not have.
        brokers, path: as of `SourceSpec`.
        tables: it stores events in tables, as only a consumer does.
        present: says which events the tables have already.
        narrow_tables: its tables may be narrower than their schemas need, and `eventlogging-schema` widens them.
        takes_any_line: it never refuses one.
    """

    options: Options
    open: SinkFactory
    check: Callable[[Endpoint], None] = _takes_all
    complete: Callable[[Endpoint], Mapping[str, Any]] = lambda endpoint: endpoint.options
    asks: Callable[[Endpoint], frozenset[str]] = lambda _endpoint: frozenset()
    check_records: Callable[[Endpoint, bool], None] = _takes_any_record
    brokers: Callable[[Endpoint], list[str]] = _no_brokers
    path: Callable[[Endpoint], Path | None] = _no_path
    tables: bool = False
    present: Callable[[Endpoint], PresentEvents] | None = None
    narrow_tables: bool = False
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

    @property
    def path(self) -> Path | None:
        """The file of its lines; None where it is no file's."""
        return self.spec.path(self)


@dataclass(frozen=True)
class SinkEndpoint(Endpoint):
    """A checked output, with what is known of its scheme."""

    spec: SinkSpec = field(kw_only=True, repr=False)

    @property
    def brokers(self) -> list[str]:
        """Kafka's brokers, each `host:port`; empty where it is not Kafka's."""
        return self.spec.brokers(self)

    @property
    def path(self) -> Path | None:
        """The file of its lines; None where it is no file's."""
        return self.spec.path(self)
