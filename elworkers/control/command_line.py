# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Parses the command line of `eventloggingctl`."""

from __future__ import annotations

import argparse
import math

from elworkers import __version__
from elworkers.config.parser_help import parser_settings
from elworkers.control import check

PROGRAM = "eventloggingctl"

CHANGING = ("start", "stop", "restart", "update", "shutdown", "reopen-logs")
"""The verbs of which one at a time is at work in a run folder."""

WAITING = ("start", "stop", "restart", "update", "shutdown")
"""Those that wait for instances."""

_TIMEOUT_S, _WAIT_S, _LOCK_WAIT_S = 10.0, 60.0, 60.0


_VERBS = {
    "start": (
        "start instances, role by role, and supervisord if it does not run",
        "start processor consumer/mysql-m4-master",
    ),
    "stop": ("stop instances, in the reverse order of roles", "stop consumer"),
    "restart": (
        "restart instances; forwarders replace their workers and keep their sockets, so that they miss nothing",
        "restart processor/client-side-00",
    ),
    "status": ("print role, instance, state, pid, uptime and workers; exit with 0 if all run", "status processor"),
    "tail": ("print the last lines of the logs of instances", "tail -f -n 50 processor/client-side-00"),
    "update": ("start, restart or stop the instances whose files were added, changed or removed", "update"),
    "check": (
        "print one line for Nagios; exit with 0 OK, 1 WARNING, 2 CRITICAL or 3 UNKNOWN",
        "check --warning 120 --critical 600",
    ),
    "reopen-logs": ("make supervisord open its log files again, for logrotate", "reopen-logs"),
    "shutdown": ("stop every instance and supervisord", "shutdown --wait 120"),
    "import": ("print how far importers are with each topic", "import status hdfs"),
}
"""What each verb does, and an example."""


def parser() -> argparse.ArgumentParser:
    """Return the parser of all verbs and their options."""
    top = argparse.ArgumentParser(
        prog=PROGRAM,
        **parser_settings(
            "Controls the instances of the EventLogging back-end, which run under supervisord.",
            f"{PROGRAM} start",
            f"{PROGRAM} status processor",
            f"{PROGRAM} restart --help",
        ),
    )
    top.add_argument("--version", action="version", version=__version__)
    verbs = top.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name, (what, example) in _VERBS.items():
        verb = verbs.add_parser(
            name,
            help=what,
            **parser_settings(f"{what[0].upper()}{what[1:]}.", f"{PROGRAM} {example}"),
        )
        _add_selection(verb, name)
        _add_waits(verb, name)
        add_folders(verb, "_after")
    add_folders(top, "")
    return top


def _add_selection(verb: argparse.ArgumentParser, name: str) -> None:
    """Add the arguments that say which instances a verb is about, and what it prints of them."""
    if name == "import":
        verb.add_argument("what", choices=("status",), help="what to print")
        verb.add_argument("instance", nargs="*", metavar="NAME", help="names of importers (default: all)")
    elif name not in ("reopen-logs", "shutdown"):
        text = "a role, or one instance, as processor/client-side-00 (default: all instances)"
        verb.add_argument("instance", nargs="*", metavar="ROLE[/NAME]", help=text)
    if name == "tail":
        verb.add_argument("-f", "--follow", action="store_true", help="print new lines as they are written")
        verb.add_argument("-n", "--lines", type=_lines, default=10, help="number of lines of each log (default 10)")
    if name == "check":
        for option, default in zip(("--warning", "--critical"), check.DEFAULT, strict=True):
            text = f"{option[2:].upper()} if a worker has been waiting for this many seconds (default {default:g})"
            verb.add_argument(option, type=_seconds, default=default, metavar="SECONDS", help=text)


def _add_waits(verb: argparse.ArgumentParser, name: str) -> None:
    """Add the options that say how long a verb waits, and for what."""
    if name == "start":
        text = "if supervisord has lost its socket, make it create the socket again; this restarts every program"
        verb.add_argument("--adopt", action="store_true", help=text)
    if name in WAITING:
        text = f"time limit for instances to stop, and then to start; they continue after it (default {_WAIT_S:g})"
        verb.add_argument("--wait", type=_seconds, default=_WAIT_S, metavar="SECONDS", help=text)
        text = "return at once, without waiting for the result (a restart still waits for the stop)"
        verb.add_argument("--no-wait", action="store_true", help=text)
    if name in CHANGING:
        add_lock_wait(verb)
    if name not in ("tail", "import"):
        text = f"time limit for each answer of supervisord (default {_TIMEOUT_S:g})"
        verb.add_argument("--timeout", type=_seconds, default=_TIMEOUT_S, metavar="SECONDS", help=text)


def add_lock_wait(verb: argparse.ArgumentParser) -> None:
    """Add the option that says how long to wait for another command."""
    text = f"how long to wait for another command that runs in the same run folder (default {_LOCK_WAIT_S:g})"
    verb.add_argument("--lock-wait", type=_seconds, default=_LOCK_WAIT_S, metavar="SECONDS", help=text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r}; expected a number of seconds")
    return seconds


def _lines(text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise argparse.ArgumentTypeError(f"{text!r}; expected a number of lines")
    return int(text)


def add_folders(parser: argparse.ArgumentParser, suffix: str = "") -> None:
    """Add the options that name folders; `suffix` is appended to the names of their attributes."""
    for name, text in (
        ("config", "folder of the instance files (default: EVENTLOGGING_CONFIG_DIR, or /etc/eventlogging.d)"),
        ("run", "folder of sockets, logs and state files (default: EVENTLOGGING_RUN_DIR, or /run/eventlogging)"),
        (
            "command",
            "folder of the eventlogging-* commands (default: EVENTLOGGING_COMMAND_DIR, or the folder of this command)",
        ),
    ):
        parser.add_argument(f"--{name}-dir", dest=f"{name}_dir{suffix}", metavar="DIR", help=text)
