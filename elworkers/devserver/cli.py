# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Runs `eventlogging-devserver`, which receives events by HTTP and UDP without Kafka, validates and shows them."""

from __future__ import annotations

import argparse
import contextlib
import os
import queue
import signal
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from types import FrameType
from typing import NoReturn

from rich.console import Console

from elworkers import __version__
from elworkers.config.options import EVENTS_PORT, HTTP_PORT
from elworkers.config.parser_help import parser_settings
from elworkers.config.uris import split_host
from elworkers.connectors.http.limits import Limits
from elworkers.connectors.http.listener import HttpListener
from elworkers.connectors.http.request_handler import HandlerConfig
from elworkers.connectors.spool.listener import Arrival, Listener, Room
from elworkers.connectors.spool.raw_lines import RawLines
from elworkers.connectors.spool.sequence import Sequence
from elworkers.connectors.udp.listener import UdpListener
from elworkers.connectors.udp.source import UdpSource
from elworkers.core import console as output
from elworkers.core.budget import Budget
from elworkers.core.contracts import Record
from elworkers.core.errors import EX_CONFIG, ConfigurationError, ElworkersError, RetryableError
from elworkers.core.metrics import Counters
from elworkers.core.terminal import printable
from elworkers.devserver.event_printer import EventPrinter
from elworkers.devserver.guard import Guard, is_origin
from elworkers.events.parse import compile_format
from elworkers.schema.store import SchemaStore, schema_uris
from elworkers.schema.validate import Validator
from elworkers.stages.process import ProcessStage

_PROGRAM = "eventlogging-devserver"
_CLIENT_SIDE = "%q %{recvFrom}s %{seqId}d %D %o %{userAgent}i"
_SERVER_SIDE = "EventLogging %j"
_WAITING = 10_000
_EVENT_TIMEOUT_S = 10.0
_BUFFER = 1024 * 1024

Waiting = queue.Queue[tuple[ProcessStage, Record]]


def main(argv: list[str] | None = None) -> int:
    """Show events until Ctrl-C.

    Returns:
        0 when it was ended; 1 when an address cannot be bound; 2 for wrong arguments; `EX_CONFIG` for a wrong URI.
    """
    if argv is None:
        return output.run(_PROGRAM, lambda: main(sys.argv[1:]))
    args = _parser().parse_args(argv)
    try:
        return _run(args)
    except ConfigurationError as error:
        _print_error(str(error))
        return EX_CONFIG
    except RetryableError as error:
        _print_error(f"{error}; choose another by --bind or --udp")
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=_PROGRAM,
        **parser_settings(
            "Receives events without Kafka, validates them, and prints each with its validation errors.",
            f"{_PROGRAM} --schemas ./schemas --files ./page",
        ),
    )
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument(
        "--bind",
        type=_address,
        default=f"127.0.0.1:{HTTP_PORT}",
        metavar="HOST:PORT",
        help=f"HTTP address that browsers send events to (default 127.0.0.1:{HTTP_PORT})",
    )
    parser.add_argument(
        "--udp",
        type=_address,
        default=f"127.0.0.1:{EVENTS_PORT}",
        metavar="HOST:PORT",
        help=f"UDP address that MediaWiki sends events to (default 127.0.0.1:{EVENTS_PORT})",
    )
    parser.add_argument(
        "--schemas",
        action="append",
        default=[],
        metavar="URI",
        help="folder of schemas, or URL of a schema wiki's api.php; may be repeated (default: EVENTLOGGING_SCHEMAS, "
        "or the schema wiki)",
    )
    parser.add_argument(
        "--files", type=_folder, metavar="DIR", help="folder of files to serve in addition to /eventlogging.js"
    )
    parser.add_argument(
        "--allow-origin",
        type=_origin,
        action="append",
        default=[],
        metavar="ORIGIN",
        help="accept events of pages of this origin too, as http://HOST[:PORT]; may be repeated",
    )
    parser.add_argument("--brief", action="store_true", help="print one line for each event")
    return parser


def _address(text: str) -> str:
    try:
        split_host(text, HTTP_PORT, "address")
    except ConfigurationError as error:
        raise argparse.ArgumentTypeError(error.message) from None
    return text


def _origin(text: str) -> str:
    if not is_origin(text):
        raise argparse.ArgumentTypeError(f"{text!r}; expected http(s)://HOST[:PORT] in small letters")
    return text


def _folder(text: str) -> Path:
    if not Path(text).is_dir():
        raise argparse.ArgumentTypeError(f"{text}: there is no such folder")
    return Path(text)


def _run(args: argparse.Namespace) -> int:
    waiting: Waiting = queue.Queue(_WAITING)
    console = Console(highlight=False)
    printer = EventPrinter(console, brief=args.brief)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _as_interrupt)
    client_side, server_side = _stages(args.schemas)
    http = split_host(args.bind, HTTP_PORT, "--bind")
    udp = split_host(args.udp, EVENTS_PORT, "--udp")
    with tempfile.TemporaryDirectory(prefix="eventlogging-devserver-") as scratch, contextlib.ExitStack() as opened:
        try:
            guard = Guard(http[0], args.allow_origin, _print_error)
            _open(opened, _beacon(http, Path(scratch), args.files, guard), client_side, waiting)
            _open(
                opened, UdpListener(UdpSource(*udp, receive_buffer=_BUFFER, metrics=Counters())), server_side, waiting
            )
            base = f"http://{args.bind}"
            addresses = f"events: {base}/beacon/event and udp://{args.udp}; browser client: {base}/eventlogging.js"
            console.print(addresses, soft_wrap=True)
            while not output.lost():
                _validate(waiting.get(), printer)
        except KeyboardInterrupt:
            pass
    console.print(f"{printer.valid} valid, {printer.invalid} invalid")
    return 0


def _print_error(sentence: str) -> None:
    print(f"{_PROGRAM}: {printable(sentence)}", file=sys.stderr)


def _as_interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _stages(schemas: list[str]) -> tuple[ProcessStage, ProcessStage]:
    validator = Validator(SchemaStore(schema_uris(schemas, os.environ), None))
    metrics, budget = Counters(), Budget(_EVENT_TIMEOUT_S)
    client_side, server_side = (
        ProcessStage(compile_format(text), validator, metrics, budget) for text in (_CLIENT_SIDE, _SERVER_SIDE)
    )
    return client_side, server_side


def _beacon(address: tuple[str, int], scratch: Path, files: Path | None, guard: Guard) -> Listener:
    config = HandlerConfig(
        path="/beacon/event",
        lines=RawLines(None, Sequence(scratch / "sequence")),
        limits=Limits(),
        client_address=False,
        trusted=(),
        files=files,
        guard=guard,
    )
    return HttpListener(address, config)


class _ValidatingKeeper:
    """Has lines validated as they come; implements `listener.LineKeeper`."""

    def __init__(self, stage: ProcessStage, waiting: Waiting) -> None:
        self._stage = stage
        self._waiting = waiting

    def keep(self, arrivals: Iterable[Arrival]) -> None:
        """See `listener.LineKeeper.keep`."""
        for arrival in arrivals:
            left = self._waiting.maxsize - self._waiting.qsize()
            if arrival.acknowledge is not None and len(arrival.lines) > left:
                arrival.acknowledge(False)
                continue
            for line in arrival.lines[:left]:
                self._waiting.put((self._stage, Record(line, timestamp_ms=arrival.arrived_ms)))
            if arrival.acknowledge is not None:
                arrival.acknowledge(True)

    def room(self, _size: int) -> Room:
        """See `listener.LineKeeper.room`; counts events."""
        return Room("full" if self._waiting.full() else "ok", self._waiting.qsize(), self._waiting.maxsize)


def _open(opened: contextlib.ExitStack, listener: Listener, stage: ProcessStage, waiting: Waiting) -> None:
    def failed(error: ElworkersError) -> None:
        _print_error(str(error))

    opened.callback(listener.close)
    listener.open(_ValidatingKeeper(stage, waiting), failed)


def _validate(item: tuple[ProcessStage, Record], printer: EventPrinter) -> None:
    stage, record = item
    try:
        for done in stage([record]):
            printer.event(done)
    except RetryableError as error:
        printer.failed(str(error))
