# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""`udp:` URIs: datagrams, each of one line or several."""

from __future__ import annotations

from elworkers.config.options import EVENTS_PORT, RAW
from elworkers.config.types import whole
from elworkers.config.uris import Endpoint, Option
from elworkers.connectors.connector import Connector, SinkSpec, SourceSpec
from elworkers.core.sockets import Address


def _check(endpoint: Endpoint) -> None:
    endpoint.uri.endpoint(EVENTS_PORT)


def _address(endpoint: Endpoint) -> Address:
    return Address("udp", *endpoint.uri.endpoint(EVENTS_PORT), endpoint.options["receive_buffer"])


CONNECTORS = (
    Connector(
        "udp",
        source=SourceSpec(
            {
                "raw": RAW,
                "receive_buffer": Option(whole(1), 4 * 1024 * 1024, "bytes asked for as the socket's receive buffer"),
            },
            check=_check,
            address=_address,
            side_by_side=True,
            spooled=True,
        ),
        sink=SinkSpec({"raw": RAW}, check=_check),
    ),
)
