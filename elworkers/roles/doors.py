"""A checked `http` or `varnish` URI comes in; the door behind it goes out."""

from __future__ import annotations

import importlib
import socket
from pathlib import Path

from elworkers.doors.door import Door
from elworkers.doors.rawline import RawLines
from elworkers.doors.sequence import Sequence
from elworkers.errors import ConfigurationError
from elworkers.schemes import HTTP_PORT
from elworkers.uris import Endpoint


def door(endpoint: Endpoint, sequence: Path, sockets: list[socket.socket]) -> Door:
    """The door.

    Args:
        endpoint: of `schemes.check_source`.
        sequence: the file of this host's sequence numbers.
        sockets: those of the worker's parent, where there are some.

    Raises:
        ConfigurationError: this machine lacks what it needs.
        RetryableError: its address cannot be bound, or that file not be used.
    """
    lines = RawLines(endpoint.options["host"], Sequence(sequence))
    try:
        if endpoint.uri.scheme == "varnish":
            return _varnish(endpoint, lines)
        return _beacon(endpoint, lines, sockets)
    except Exception:
        lines.close()
        raise


def prepare(endpoint: Endpoint) -> None:
    """Import what the door will need, which takes a while, and look at what it will name.

    Raises:
        ConfigurationError: as `door`.
    """
    if endpoint.uri.scheme == "varnish":
        from elworkers.doors.varnish import found

        found(endpoint.options["program"])
    elif endpoint.uri.scheme == "http":
        importlib.import_module("elworkers.doors.beacon")
        _files(endpoint)


def _files(endpoint: Endpoint) -> Path | None:
    files: Path | None = endpoint.options["files"]
    if files is not None and not files.is_dir():
        raise ConfigurationError(f"http URI: option files={str(files)!r}; expected a folder, and there is none")
    return files


def _varnish(endpoint: Endpoint, lines: RawLines) -> Door:
    from elworkers.doors.varnish import VarnishDoor

    options = endpoint.options
    return VarnishDoor(
        options["program"],
        endpoint.uri.path[1:],
        options["query"],
        client_address=options["client_address"],
        max_line_bytes=options["max_line_bytes"],
        lines=lines,
    )


def _beacon(endpoint: Endpoint, lines: RawLines, sockets: list[socket.socket]) -> Door:
    from elworkers.doors.beacon import BeaconDoor
    from elworkers.doors.desk import Answers
    from elworkers.doors.limits import Limits

    options = endpoint.options
    files = _files(endpoint)
    limits = Limits(
        url_bytes=options["max_url_bytes"],
        body_bytes=options["max_body_bytes"],
        events=options["max_events"],
        connections=options["max_connections"],
        quiet_s=options["timeout_seconds"],
    )
    answers = Answers(
        path=endpoint.uri.path,
        lines=lines,
        limits=limits,
        client_address=options["client_address"],
        trusted=options["trusted_proxies"] or (),
        files=files,
    )
    return BeaconDoor(endpoint.uri.endpoint(HTTP_PORT), answers, sockets)
