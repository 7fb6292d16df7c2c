# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Declares `http:` URIs: a path that browsers send events to."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING

from elworkers.config.options import CLIENT_ADDRESS, HOST, HTTP_PORT
from elworkers.config.types import directory, integer, networks, seconds
from elworkers.config.uris import Endpoint, Option, Options
from elworkers.connectors.connector import Connector, SourceSpec, SpoolPaths, Worker
from elworkers.connectors.spool.listener import Listener
from elworkers.core.errors import ConfigurationError
from elworkers.core.sockets import Address

if TYPE_CHECKING:
    from elworkers.connectors.spool.raw_lines import RawLines

_OPTIONS: Options = {
    "host": HOST,
    "client_address": CLIENT_ADDRESS,
    "trusted_proxies": Option(
        networks, None, "proxies whose X-Forwarded-For and Forwarded headers are trusted, as 127.0.0.1,10.0.0.0/8"
    ),
    "files": Option(directory, None, "folder of files to serve in addition to eventlogging.js"),
    "max_url_bytes": Option(integer(100), 16_000, "longest request line in bytes"),
    "max_body_bytes": Option(
        integer(100), 256 * 1024, "largest body of a POST in bytes; an event may take three times as much in its line"
    ),
    "max_events": Option(integer(1), 1_000, "largest number of events in a POST"),
    "max_connections": Option(
        integer(1),
        1_000,
        "largest number of open connections; beyond it, the connection that has been idle longest is closed",
    ),
    "timeout_seconds": Option(
        seconds, 30.0, "seconds to receive a body, and to wait for the next request of a connection"
    ),
}


def _check(endpoint: Endpoint) -> None:
    uri = endpoint.uri
    uri.endpoint(HTTP_PORT)
    if len(uri.path) < 2:
        raise ConfigurationError("http URI: no path; expected http://HOST:PORT/beacon/event")
    if uri.path in ("/healthz", "/eventlogging.js"):
        raise ConfigurationError(f"http URI: path {uri.path} is reserved; expected one as /beacon/event")


def _address(endpoint: Endpoint) -> Address:
    return Address("http", *endpoint.uri.endpoint(HTTP_PORT))


def _prepare(endpoint: Endpoint, _paths: SpoolPaths, _after: int) -> None:
    importlib.import_module("elworkers.connectors.http.listener")
    _files(endpoint)


def _files(endpoint: Endpoint) -> Path | None:
    files: Path | None = endpoint.options["files"]
    if files is not None and not files.is_dir():
        raise ConfigurationError(f"http URI: option files={str(files)!r}; expected a folder, and there is none")
    return files


def _listener(endpoint: Endpoint, worker: Worker, paths: SpoolPaths) -> Listener:
    from elworkers.connectors.spool.raw_lines import RawLines
    from elworkers.connectors.spool.sequence import Sequence

    lines = RawLines(endpoint.options["host"], Sequence(paths.sequence))
    try:
        return _listening(endpoint, worker, lines)
    except Exception:
        lines.close()
        raise


def _listening(endpoint: Endpoint, worker: Worker, lines: RawLines) -> Listener:
    from elworkers.connectors.http.limits import Limits
    from elworkers.connectors.http.listener import HttpListener
    from elworkers.connectors.http.request_handler import HandlerConfig

    options = endpoint.options
    files = _files(endpoint)
    limits = Limits(
        url_bytes=options["max_url_bytes"],
        body_bytes=options["max_body_bytes"],
        events=options["max_events"],
        connections=options["max_connections"],
        quiet_s=options["timeout_seconds"],
    )
    config = HandlerConfig(
        path=endpoint.uri.path,
        lines=lines,
        limits=limits,
        client_address=options["client_address"],
        trusted=options["trusted_proxies"] or (),
        files=files,
    )
    return HttpListener(endpoint.uri.endpoint(HTTP_PORT), config, worker.inherited(_address(endpoint)))


CONNECTORS = (
    Connector(
        "http",
        source=SourceSpec(
            _OPTIONS,
            check=_check,
            address=_address,
            extra="http",
            side_by_side=True,
            listener=_listener,
            prepare=_prepare,
        ),
    ),
)
