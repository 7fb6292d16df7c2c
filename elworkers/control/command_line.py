# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Parses the command line of `eventloggingctl`."""

from __future__ import annotations

import argparse
import math

from elworkers import __version__
from elworkers.control import check

PROGRAM = "eventloggingctl"

CHANGING = ("start", "stop", "restart", "update", "shutdown", "reopen-logs")
"""The verbs of which one at a time is at work in a run folder."""

WAITING = ("start", "stop", "restart", "update", "shutdown")
"""Those that wait for instances."""

_TIMEOUT_S, _WAIT_S, _LOCK_WAIT_S = 10.0, 60.0, 60.0


def parser() -> argparse.ArgumentParser:
    """Return the parser of all verbs and their options."""
    given = argparse.ArgumentParser(prog=PROGRAM, description="Controls the instances of the EventLogging back-end.")
    given.add_argument("--version", action="version", version=__version__)
    verbs = given.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name, what in (
        ("start", "start instances in the order of their roles, and supervisord if it does not run"),
        ("stop", "stop instances in the reverse order"),
        ("restart", "stop and start instances; forwarders are renewed in place and miss nothing"),
        ("status", "print role, instance, state, pid, uptime and workers; exit 0 if all run"),
        ("tail", "print the last lines of the logs"),
        ("update", "start, restart or stop the instances whose files were added, changed or removed"),
        ("check", "run the Nagios check: one line, exit codes 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN"),
        ("reopen-logs", "let supervisord reopen its logs, for logrotate"),
        ("shutdown", "stop every instance and supervisord"),
    ):
        verb = verbs.add_parser(name, help=what, description=what)
        if name in ("start", "stop", "restart", "status", "tail", "update", "check"):
            verb.add_argument("instance", nargs="*", metavar="ROLE[/NAME]", help="only these (default: all)")
        if name == "tail":
            verb.add_argument("-f", "--follow", action="store_true", help="print new lines as they are written")
            verb.add_argument("-n", "--lines", type=_lines, default=10, help="number of lines of each log (default 10)")
        if name == "check":
            for option, default in zip(("--warning", "--critical"), check.DEFAULT, strict=True):
                text = f"{option[2:].upper()} if a worker has been waiting for this many seconds (default {default:g})"
                verb.add_argument(option, type=_seconds, default=default, metavar="SECONDS", help=text)
        _wait_options(verb, name)
        _folder_options(verb, "_after")
    imports = verbs.add_parser(
        "import", help="print the progress of importers", description="Print the progress of importers."
    )
    imports.add_argument("what", choices=("status",))
    imports.add_argument("instance", nargs="*", metavar="NAME", help="only these importers (default: all)")
    _folder_options(imports, "_after")
    _folder_options(given, "")
    return given


def _wait_options(verb: argparse.ArgumentParser, name: str) -> None:
    if name == "start":
        text = "let a running supervisord that has lost its socket create it again; this restarts every program"
        verb.add_argument("--adopt", action="store_true", help=text)
    if name in WAITING:
        text = f"longest wait for instances to stop, and then to start; they go on after it (default {_WAIT_S:g})"
        verb.add_argument("--wait", type=_seconds, default=_WAIT_S, metavar="SECONDS", help=text)
        text = "do not wait for the result (but still for the stop that comes before a start)"
        verb.add_argument("--no-wait", action="store_true", help=text)
    if name in CHANGING:
        lock_wait(verb)
    if name != "tail":
        text = f"longest wait for each answer of supervisord (default {_TIMEOUT_S:g})"
        verb.add_argument("--timeout", type=_seconds, default=_TIMEOUT_S, metavar="SECONDS", help=text)


def lock_wait(verb: argparse.ArgumentParser) -> None:
    """Add the option that says how long to wait for another command."""
    text = f"longest wait for another command in the same run folder (default {_LOCK_WAIT_S:g})"
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


def _folder_options(parser: argparse.ArgumentParser, suffix: str) -> None:
    parser.add_argument(
        "--config-dir",
        dest=f"config_dir{suffix}",
        metavar="DIR",
        help="folder of the instance files (default /etc/eventlogging.d, or EVENTLOGGING_CONFIG_DIR)",
    )
    parser.add_argument(
        "--run-dir",
        dest=f"run_dir{suffix}",
        metavar="DIR",
        help="folder of sockets, logs and states (default /run/eventlogging, or EVENTLOGGING_RUN_DIR)",
    )
    parser.add_argument(
        "--command-dir",
        dest=f"command_dir{suffix}",
        metavar="DIR",
        help="folder of the eventlogging-* commands (default: that of this one, or EVENTLOGGING_COMMAND_DIR)",
    )
