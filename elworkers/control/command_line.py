# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""The words of `eventloggingctl` come in; its verb and options go out."""

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
    """All verbs and their options."""
    given = argparse.ArgumentParser(prog=PROGRAM, description="Controls the instances of the EventLogging back-end.")
    given.add_argument("--version", action="version", version=__version__)
    verbs = given.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name, what in (
        ("start", "start instances, and supervisord where it is not there; in the order of roles"),
        ("stop", "stop instances; in the reverse order"),
        ("restart", "stop and start instances; forwarders begin anew in place, and miss nothing"),
        ("status", "print role, instance, state, pid, uptime and workers; exit 0 when all run"),
        ("tail", "print the end of the logs"),
        ("update", "start, restart and stop the instances whose files were added, changed or removed"),
        ("check", "the Nagios check"),
        ("reopen-logs", "have supervisord open its logs anew, after logrotate has moved them"),
        ("shutdown", "end every instance and supervisord"),
    ):
        verb = verbs.add_parser(name, help=what, description=what)
        if name in ("start", "stop", "restart", "status", "tail", "update", "check"):
            verb.add_argument("instance", nargs="*", metavar="ROLE[/NAME]", help="only these (default: all)")
        if name == "tail":
            verb.add_argument("-f", "--follow", action="store_true", help="go on as the logs grow")
            verb.add_argument("-n", "--lines", type=_lines, default=10, help="lines of each log (default 10)")
        if name == "check":
            for option, default in zip(("--warning", "--critical"), check.DEFAULT, strict=True):
                text = f"{option[2:].upper()} after so many seconds of waiting (default {default:g})"
                verb.add_argument(option, type=_seconds, default=default, metavar="SECONDS", help=text)
        _bounds(verb, name)
        _folders(verb, "_after")
    imports = verbs.add_parser("import", help="how far the importers are", description="How far the importers are.")
    imports.add_argument("what", choices=("status",))
    imports.add_argument("instance", nargs="*", metavar="NAME", help="only these importers (default: all)")
    _folders(imports, "_after")
    _folders(given, "")
    return given


def _bounds(verb: argparse.ArgumentParser, name: str) -> None:
    if name == "start":
        text = "have a supervisord that has lost its socket make it anew; it restarts every program"
        verb.add_argument("--adopt", action="store_true", help=text)
    if name in WAITING:
        text = f"for stopping, and for starting; instances go on beyond it (default {_WAIT_S:g})"
        verb.add_argument("--wait", type=_seconds, default=_WAIT_S, metavar="SECONDS", help=text)
        text = "only ask; what has to be stopped before it can be started is waited for all the same"
        verb.add_argument("--no-wait", action="store_true", help=text)
    if name in CHANGING:
        lock_wait(verb)
    if name != "tail":
        text = f"within which supervisord answers each question (default {_TIMEOUT_S:g})"
        verb.add_argument("--timeout", type=_seconds, default=_TIMEOUT_S, metavar="SECONDS", help=text)


def lock_wait(verb: argparse.ArgumentParser) -> None:
    """Add the option that says how long to wait for another command."""
    text = f"for another command that is at work in the same run folder (default {_LOCK_WAIT_S:g})"
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


def _folders(parser: argparse.ArgumentParser, suffix: str) -> None:
    parser.add_argument("--config-dir", dest=f"config_dir{suffix}", help="default /etc/eventlogging.d")
    parser.add_argument("--run-dir", dest=f"run_dir{suffix}", help="default /run/eventlogging")
    parser.add_argument("--command-dir", dest=f"command_dir{suffix}", help="default: where this command is")
