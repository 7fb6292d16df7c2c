# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Declares `varnish:` URIs: the log of a Varnish that runs on this host."""

from __future__ import annotations

from typing import TYPE_CHECKING

from elworkers.config.options import CLIENT_ADDRESS, HOST
from elworkers.config.types import integer
from elworkers.config.uris import Endpoint, Option, Options
from elworkers.connectors.connector import Connector, SourceSpec, SpoolPaths, Worker
from elworkers.connectors.spool.listener import Listener
from elworkers.core.errors import ConfigurationError

if TYPE_CHECKING:
    from elworkers.connectors.spool.raw_lines import RawLines
    from elworkers.connectors.varnish.listener import VarnishListener

VARNISH_QUERY = (
    r'ReqURL ~ "^/(beacon/)?event(\.gif)?\?" and (ReqMethod eq "GET" or ReqMethod eq "POST") and RespStatus < 400'
)
"""varnishkafka's query for events, without preflights and what Varnish has refused."""

_OPTIONS: Options = {
    "host": HOST,
    "client_address": CLIENT_ADDRESS,
    "query": Option(str, VARNISH_QUERY, "vsl-query(7) expression; requests that match it carry events"),
    "program": Option(str, "varnishncsa", "path or name of varnishncsa"),
    "max_line_bytes": Option(integer(1_000), 64 * 1024, "longest line in bytes; longer lines are skipped"),
}


def _check(endpoint: Endpoint) -> None:
    uri = endpoint.uri
    if uri.hosts or not uri.path.startswith("/"):
        expected = "expected varnish:///NAME or varnish:////FOLDER (varnishd's -n)"
        raise ConfigurationError(f"varnish URI: {'a host' if uri.hosts else 'no name behind ///'}; {expected}")


def _prepare(endpoint: Endpoint, paths: SpoolPaths, after: int) -> Listener:
    early = _listening(endpoint, _raw_lines(endpoint, paths), paths)
    try:
        early.begin(after)
    except ConfigurationError:
        early.close()
        raise
    return early


def _listener(endpoint: Endpoint, _worker: Worker, paths: SpoolPaths) -> Listener:
    lines = _raw_lines(endpoint, paths)
    try:
        return _listening(endpoint, lines, paths)
    except Exception:
        lines.close()
        raise


def _raw_lines(endpoint: Endpoint, paths: SpoolPaths) -> RawLines:
    from elworkers.connectors.spool.raw_lines import RawLines
    from elworkers.connectors.spool.sequence import Sequence

    return RawLines(endpoint.options["host"], Sequence(paths.sequence))


def _listening(endpoint: Endpoint, lines: RawLines, paths: SpoolPaths) -> VarnishListener:
    from elworkers.connectors.varnish.handled_requests import HandledRequests
    from elworkers.connectors.varnish.listener import VarnishListener

    options = endpoint.options
    made = VarnishListener(
        options["program"],
        endpoint.uri.path[1:],
        options["query"],
        client_address=options["client_address"],
        max_line_bytes=options["max_line_bytes"],
        lines=lines,
    )
    made.seen = HandledRequests(paths.folder / "seen", endpoint.uri.path)
    return made


CONNECTORS = (
    Connector(
        "varnish",
        source=SourceSpec(
            _OPTIONS,
            check=_check,
            side_by_side=True,
            listener=_listener,
            prepare=_prepare,
        ),
    ),
)
