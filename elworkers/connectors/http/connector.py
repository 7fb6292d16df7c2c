# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""`http:` URIs: a path that browsers send events to."""

from __future__ import annotations

from elworkers.config.options import CLIENT_ADDRESS, HOST, HTTP_PORT
from elworkers.config.types import folder, networks, seconds, whole
from elworkers.config.uris import Endpoint, Option, Options
from elworkers.connectors.connector import Connector, SourceSpec
from elworkers.core.errors import ConfigurationError
from elworkers.core.sockets import Address

_OPTIONS: Options = {
    "host": HOST,
    "client_address": CLIENT_ADDRESS,
    "trusted_proxies": Option(
        networks, None, "proxies whose X-Forwarded-For or Forwarded is believed, as 127.0.0.1,10.0.0.0/8"
    ),
    "files": Option(folder, None, "a folder whose files are served beside eventlogging.js"),
    "max_url_bytes": Option(whole(100), 16_000, "bytes of a request line"),
    "max_body_bytes": Option(whole(100), 256 * 1024, "bytes of a POST; in its line an event may be thrice as long"),
    "max_events": Option(whole(1), 1_000, "events in a POST"),
    "max_connections": Option(whole(1), 1_000, "connections at a time; then the longest waiting one is closed"),
    "timeout_seconds": Option(seconds, 30.0, "for a body, and between two requests of a connection"),
}


def _check(endpoint: Endpoint) -> None:
    uri = endpoint.uri
    uri.endpoint(HTTP_PORT)
    if len(uri.path) < 2:
        raise ConfigurationError("http URI: no path; expected http://HOST:PORT/beacon/event")
    if uri.path in ("/healthz", "/eventlogging.js"):
        raise ConfigurationError(f"http URI: path {uri.path} has another use; expected one as /beacon/event")


def _address(endpoint: Endpoint) -> Address:
    return Address("http", *endpoint.uri.endpoint(HTTP_PORT))


CONNECTORS = (
    Connector(
        "http",
        source=SourceSpec(
            _OPTIONS, check=_check, address=_address, extra="http", side_by_side=True, spooled=True, listens_only=True
        ),
    ),
)
