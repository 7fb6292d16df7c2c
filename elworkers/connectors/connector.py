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
from elworkers.connectors.storage import StorageSpec
from elworkers.core.capabilities import OffsetStore
from elworkers.core.contracts import Metrics, Sink, Source
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
        """Partitions of a topic that has to be created, where its URI does not say; None: the broker's default."""

    @property
    def delivered(self) -> DeliveryLog:
        """Records that were acknowledged and are not committed yet."""

    @property
    def group(self) -> str | None:
        """The consumer group whose positions a sink may keep beside its rows."""

    @property
    def name(self) -> str:
        """`<role>-<instance>-<worker>@<host>/<run folder, as 8 hex digits>`; the same after each start."""

    @property
    def transactional_id(self) -> str | None:
        """Name of this worker's transactions; None: what its sinks have flushed is final."""

    @property
    def schema_of(self) -> Callable[[str, int], Mapping[str, Any]] | None:
        """Name and revision to the JSON schema of an event, for a role that stores events in tables."""

    @property
    def has_schema(self) -> Callable[[str], bool]:
        """Whether a schema of a name is known to exist."""

    @property
    def statsd_prefix(self) -> str:
        """The prefix of names of statsd, unless a URI has one."""

    @property
    def batch_size_hints(self) -> list[Callable[[], bool]]:
        """Calls that say whether larger batches would be cheaper; a sink appends its own."""

    @property
    def process_state(self) -> dict[Any, Any]:
        """Values that connectors keep for as long as the worker lives, by keys of their own."""

    @property
    def pipeline_state(self) -> dict[Any, Any]:
        """Values that connectors keep until the sources and sinks of the pipeline are closed."""

    def inherited(self, address: Address) -> list[socket.socket]:
        """Return the sockets that the worker's parent listens on."""


class SpoolPaths(NamedTuple):
    """The paths of a spool, where lines wait that nobody sends again.

    Attributes:
        folder: of the segments.
        sequence: file of this host's sequence numbers.
    """

    folder: Path
    sequence: Path


class StoredEvents(Protocol):
    """Looks up which events an output has already."""

    def __call__(self, schema: str, revision: int, uuids: Iterable[str]) -> set[str]:
        """Return those of these events of a schema that are stored.

        Raises:
            RetryableError: it does not answer.
        """

    def close(self) -> None:
        """Let go of it."""


SourceFactory = Callable[[Endpoint, Worker, OffsetStore | None], Source]
"""Makes a source. Its third argument is the sink that keeps offsets beside its rows; None where none does."""

TRANSACTION = "transaction"
"""Key in `Worker.pipeline_state` of the `capabilities.Transaction` that sinks and sources of a pipeline share."""

ListenerFactory = Callable[[Endpoint, Worker, SpoolPaths], Listener]
"""Makes a listener that writes lines to a spool."""

SinkFactory = Callable[[Endpoint, Worker, bool], Sink]
"""Makes a sink. Its third argument says whether records are raw lines that nobody has parsed."""


def _no_check(_endpoint: Endpoint) -> None:
    """Accept every URI: its options say enough."""


def _single_source(endpoint: Endpoint) -> Sequence[Mapping[str, Any]]:
    return (endpoint.options,)


def _no_record_check(_endpoint: Endpoint, _raw: bool) -> None:
    """Accept every record: no field of an event is needed."""


def _no_address(_endpoint: Endpoint) -> Address | None:
    return None


def _no_preparation(_endpoint: Endpoint, _paths: SpoolPaths, _after: int) -> Listener | None:
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
        open: makes the source; None where only a forwarder has it, through its `listener`.
        listener: makes the listener that spools its lines; None where lines can be read again and need no spool.
        prepare: called before `listener` in a worker that replaces another one, whose pid is the last argument. It
            imports what takes long, and returns the listener if that has to begin before the other worker ends.
        check: raises ConfigurationError for what the URI's text shows to be wrong; opens nothing.
        expand: returns the options of each source that one URI stands for, at least one.
        address: returns the address it listens on; None where it does not listen.
        brokers: returns the Kafka brokers, each `host:port`, if its records are messages of a topic; it then has the
            options `topic`, `partitions` and `replication`. Empty where it is not Kafka's.
        path: returns the file whose lines it reads; None where it reads no file.
        extra: the extra of elworkers that it needs, one of `core.extras.EXTRAS`.
        shared: the members of a consumer group share its partitions; of any other source each worker reads all.
        side_by_side: a worker may begin while the one that it replaces still reads.
    """

    options: Options
    open: SourceFactory | None = None
    listener: ListenerFactory | None = None
    prepare: Callable[[Endpoint, SpoolPaths, int], Listener | None] = _no_preparation
    check: Callable[[Endpoint], None] = _no_check
    expand: Callable[[Endpoint], Sequence[Mapping[str, Any]]] = _single_source
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
        open: makes the sink.
        check: raises ConfigurationError for what the URI's text shows to be wrong; opens nothing.
        normalize: returns the options as the sink needs them.
        required_fields: returns the fields of a capsule that choose the destination of a record.
        check_records: raises ConfigurationError where it asks for what records (raw ones or parsed ones) do not have.
        brokers, path: as of `SourceSpec`.
        tables: it stores events in tables; only a consumer may have it.
        stored_events: makes a lookup of the events that its tables have; None where there is none.
        narrow_tables: its tables may be narrower than their schemas need, and `eventlogging-schema` widens them.
        accepts_any_line: it never rejects a line.
    """

    options: Options
    open: SinkFactory
    check: Callable[[Endpoint], None] = _no_check
    normalize: Callable[[Endpoint], Mapping[str, Any]] = lambda endpoint: endpoint.options
    required_fields: Callable[[Endpoint], frozenset[str]] = lambda _endpoint: frozenset()
    check_records: Callable[[Endpoint, bool], None] = _no_record_check
    brokers: Callable[[Endpoint], list[str]] = _no_brokers
    path: Callable[[Endpoint], Path | None] = _no_path
    tables: bool = False
    stored_events: Callable[[Endpoint], StoredEvents] | None = None
    narrow_tables: bool = False
    accepts_any_line: bool = False


@dataclass(frozen=True)
class Connector:
    """A scheme, as an input, an output, the base folder of an importer, or several of these."""

    scheme: str
    source: SourceSpec | None = None
    sink: SinkSpec | None = None
    storage: StorageSpec | None = None


@dataclass(frozen=True)
class SourceEndpoint(Endpoint):
    """A checked input, with the declaration of its scheme."""

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
    """A checked output, with the declaration of its scheme."""

    spec: SinkSpec = field(kw_only=True, repr=False)

    @property
    def brokers(self) -> list[str]:
        """Kafka's brokers, each `host:port`; empty where it is not Kafka's."""
        return self.spec.brokers(self)

    @property
    def path(self) -> Path | None:
        """The file of its lines; None where it is no file's."""
        return self.spec.path(self)
