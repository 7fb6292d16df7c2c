# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""A checked `http` or `varnish` URI comes in; the door behind it goes out."""

from __future__ import annotations

import importlib
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from elworkers.config.options import HTTP_PORT
from elworkers.config.uris import Endpoint
from elworkers.connectors.spool.listener import Listener
from elworkers.connectors.spool.raw_lines import RawLines
from elworkers.connectors.spool.sequence import Sequence
from elworkers.core.errors import ConfigurationError

if TYPE_CHECKING:
    from elworkers.connectors.varnish.listener import VarnishListener


def door(endpoint: Endpoint, sequence: Path, spool: Path, sockets: list[socket.socket]) -> Listener:
    """The door.

    Args:
        endpoint: of `schemes.check_source`.
        sequence: the file of this host's sequence numbers.
        spool: the folder of its spool.
        sockets: those of the worker's parent, where there are some.

    Raises:
        ConfigurationError: this machine lacks what it needs.
        RetryableError: its address cannot be bound, or that file not be used.
    """
    lines = RawLines(endpoint.options["host"], Sequence(sequence))
    try:
        if endpoint.uri.scheme == "varnish":
            return _varnish(endpoint, lines, spool)
        return _beacon(endpoint, lines, sockets)
    except Exception:
        lines.close()
        raise


def prepare(endpoint: Endpoint, sequence: Path, spool: Path, after: int) -> Listener | None:
    """Import what the door will need, which takes a while, and look at what it will name.

    Args:
        endpoint, sequence, spool: as of `door`.
        after: pid of the process that still has it.

    Returns:
        One that has to begin early.

    Raises:
        ConfigurationError, RetryableError: as `door`.
    """
    if endpoint.uri.scheme == "varnish":
        early = _varnish(endpoint, RawLines(endpoint.options["host"], Sequence(sequence)), spool)
        try:
            early.begin(after)
        except ConfigurationError:
            early.close()
            raise
        return early
    if endpoint.uri.scheme == "http":
        importlib.import_module("elworkers.connectors.http.listener")
        _files(endpoint)
    return None


def _files(endpoint: Endpoint) -> Path | None:
    files: Path | None = endpoint.options["files"]
    if files is not None and not files.is_dir():
        raise ConfigurationError(f"http URI: option files={str(files)!r}; expected a folder, and there is none")
    return files


def _varnish(endpoint: Endpoint, lines: RawLines, spool: Path) -> VarnishListener:
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
    made.seen = HandledRequests(spool / "seen", endpoint.uri.path)
    return made


def _beacon(endpoint: Endpoint, lines: RawLines, sockets: list[socket.socket]) -> Listener:
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
    answers = HandlerConfig(
        path=endpoint.uri.path,
        lines=lines,
        limits=limits,
        client_address=options["client_address"],
        trusted=options["trusted_proxies"] or (),
        files=files,
    )
    return HttpListener(endpoint.uri.endpoint(HTTP_PORT), answers, sockets)
