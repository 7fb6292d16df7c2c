# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Declares `udp:` URIs: datagrams, each of one line or several."""

from __future__ import annotations

from typing import TYPE_CHECKING

from elworkers.config.options import EVENTS_PORT, RAW
from elworkers.config.types import integer
from elworkers.config.uris import Endpoint, Option
from elworkers.connectors.connector import Connector, SinkSpec, SourceSpec, SpoolPaths, Worker
from elworkers.connectors.spool.listener import Listener
from elworkers.core.capabilities import OffsetStore
from elworkers.core.contracts import Sink
from elworkers.core.sockets import Address

if TYPE_CHECKING:
    from elworkers.connectors.udp.source import UdpSource


def _check(endpoint: Endpoint) -> None:
    endpoint.uri.endpoint(EVENTS_PORT)


def _address(endpoint: Endpoint) -> Address:
    return Address("udp", *endpoint.uri.endpoint(EVENTS_PORT), endpoint.options["receive_buffer"])


def _source(endpoint: Endpoint, worker: Worker, _offsets: OffsetStore | None = None) -> UdpSource:
    from elworkers.connectors.udp.source import UdpSource

    return UdpSource(
        *endpoint.uri.endpoint(EVENTS_PORT),
        receive_buffer=endpoint.options["receive_buffer"],
        metrics=worker.metrics,
        sockets=worker.inherited(_address(endpoint)),
    )


def _listener(endpoint: Endpoint, worker: Worker, _paths: SpoolPaths) -> Listener:
    from elworkers.connectors.udp.listener import UdpListener

    return UdpListener(_source(endpoint, worker))


def _sink(endpoint: Endpoint, _worker: Worker, _raw: bool) -> Sink:
    from elworkers.connectors.udp.sink import UdpSink

    return UdpSink(*endpoint.uri.endpoint(EVENTS_PORT))


CONNECTORS = (
    Connector(
        "udp",
        source=SourceSpec(
            {
                "raw": RAW,
                "receive_buffer": Option(integer(1), 4 * 1024 * 1024, "size of the socket's receive buffer in bytes"),
            },
            open=_source,
            listener=_listener,
            check=_check,
            address=_address,
            side_by_side=True,
        ),
        sink=SinkSpec({"raw": RAW}, open=_sink, check=_check),
    ),
)
