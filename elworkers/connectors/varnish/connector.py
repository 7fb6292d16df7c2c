# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""`varnish:` URIs: the log of a Varnish that runs on this host."""

from __future__ import annotations

from elworkers.config.options import CLIENT_ADDRESS, HOST
from elworkers.config.types import whole
from elworkers.config.uris import Endpoint, Option, Options
from elworkers.connectors.connector import Connector, SourceSpec
from elworkers.core.errors import ConfigurationError

VARNISH_QUERY = (
    r'ReqURL ~ "^/(beacon/)?event(\.gif)?\?" and (ReqMethod eq "GET" or ReqMethod eq "POST") and RespStatus < 400'
)
"""varnishkafka's query for events, without preflights and what Varnish has refused."""

_OPTIONS: Options = {
    "host": HOST,
    "client_address": CLIENT_ADDRESS,
    "query": Option(str, VARNISH_QUERY, "which requests are events (vsl-query(7))"),
    "program": Option(str, "varnishncsa", "path or name of varnishncsa"),
    "max_line_bytes": Option(whole(1_000), 64 * 1024, "what is longer is passed over"),
}


def _check(endpoint: Endpoint) -> None:
    uri = endpoint.uri
    if uri.hosts or not uri.path.startswith("/"):
        expected = "expected varnish:///NAME or varnish:////FOLDER (varnishd's -n)"
        raise ConfigurationError(f"varnish URI: {'a host' if uri.hosts else 'no name behind ///'}; {expected}")


CONNECTORS = (
    Connector(
        "varnish",
        source=SourceSpec(
            _OPTIONS,
            check=_check,
            side_by_side=True,
            spooled=True,
            listens_only=True,
        ),
    ),
)
