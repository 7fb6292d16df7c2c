# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Runs `eventlogging-devstack` and its verbs."""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import NoReturn

from elworkers import __version__
from elworkers.config.parser_help import parser_settings
from elworkers.devstack.errors import DevstackError
from elworkers.devstack.parts import PARTS
from elworkers.devstack.stack import Stack, with_brokers, with_companions

_DEFAULT_DIR = ".run/devstack"


def main(argv: list[str] | None = None) -> int:
    """Run one verb.

    Returns:
        0 when it was done; for `status`, when everything that was started runs. 1 otherwise, 2 for wrong arguments.
    """
    args = _parser().parse_args(argv)
    # SIGINT too: a shell that starts a command in the background has it ignored.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _as_interrupt)
    stack = Stack(Path(args.dir or args.dir_after or _DEFAULT_DIR))
    try:
        return int(_VERBS[args.verb](stack, args))
    except DevstackError as error:
        print(f"eventlogging-devstack: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"eventlogging-devstack: {error.filename or stack.folder}: {error.strerror or error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("eventlogging-devstack: interrupted; what was being started is ended again", file=sys.stderr)
        return 130


def _as_interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="eventlogging-devstack",
        **parser_settings(
            "Starts and stops real servers for development and tests, without root.",
            "eventlogging-devstack up kafka mariadb",
            'eval "$(eventlogging-devstack env)"',
        ),
    )
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument("--dir", metavar="DIR", help=f"folder of the stack's files (default {_DEFAULT_DIR})")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    up = _verb(verbs.add_parser, "up", "start parts, and wait until they answer", "up kafka mariadb --port kafka=9092")
    up.add_argument("part", nargs="+", metavar="PART", help=f"part to start: {', '.join(PARTS)}")
    up.add_argument(
        "--port",
        action="append",
        default=[],
        type=_port,
        metavar="NAME=PORT",
        help="port of a part, as kafka=9092; may be repeated",
    )
    up.add_argument(
        "--brokers",
        type=int,
        choices=(1, 2, 3),
        default=1,
        metavar="N",
        help="brokers of a Kafka's cluster: 1 (default), 2 or 3",
    )
    upgrade = _verb(
        verbs.add_parser,
        "upgrade",
        "restart brokers one after another with the newest Kafka, on their data",
        "upgrade kafka kafka-2 kafka-3",
    )
    upgrade.add_argument("part", nargs="+", metavar="PART", help="broker to upgrade, in the order in which they go")
    upgrade.add_argument(
        "--finish", action="store_true", help="then let the cluster use what is new; there is no way back"
    )
    down = _verb(verbs.add_parser, "down", "stop every process of the stack, or of some parts", "down kafka")
    down.add_argument("part", nargs="*", metavar="PART", help="only these parts (default: all)")
    env = _verb(
        verbs.add_parser,
        "env",
        "print KAFKA=…, ZOOKEEPER=…, MYSQL_URL=… and WEBHDFS=… for a shell to eval",
        "env --dir /tmp/stack",
    )
    status = _verb(verbs.add_parser, "status", "print the state, pid and port of each part", "status")
    for verb in (up, upgrade, down, env, status):
        verb.add_argument(
            "--dir", dest="dir_after", metavar="DIR", help=f"folder of the stack's files (default {_DEFAULT_DIR})"
        )
    return parser


def _verb(add: Callable[..., argparse.ArgumentParser], name: str, what: str, example: str) -> argparse.ArgumentParser:
    settings = parser_settings(f"{what[0].upper()}{what[1:]}.", f"eventlogging-devstack {example}")
    return add(name, help=what, **settings)


def _port(text: str) -> tuple[str, int]:
    name, _, number = text.partition("=")
    known = [port for part in PARTS.values() for port in part.ports]
    if name not in known or not number.isdigit() or not 0 < int(number) < 65536:
        raise argparse.ArgumentTypeError(f"{text!r}; expected NAME=PORT with NAME one of {', '.join(known)}")
    return name, int(number)


def _up(stack: Stack, args: argparse.Namespace) -> int:
    stack.up(*with_brokers(args.part, args.brokers), ports=dict(args.port))
    return _status(stack, args)


def _upgrade(stack: Stack, args: argparse.Namespace) -> int:
    stack.upgrade(*args.part)
    if args.finish:
        stack.finish_upgrade(args.part[0])
    return _status(stack, args)


def _down(stack: Stack, args: argparse.Namespace) -> int:
    if args.part:
        for part in reversed(with_companions(args.part)):
            stack.stop(part)
    else:
        print(f"{stack.down()} processes ended")
    return 0


def _env(stack: Stack, _args: argparse.Namespace) -> int:
    for name, value in stack.env().items():
        print(f"{name}={shlex.quote(value)}")
    return 0


def _status(stack: Stack, _args: argparse.Namespace) -> int:
    rows = stack.status()
    for row in rows:
        print(f"{row.part:<15}{'running' if row.running else 'stopped':<10}{row.pid or '-':<9}127.0.0.1:{row.port}")
    return 0 if rows and all(row.running for row in rows) else 1


_VERBS = {"up": _up, "upgrade": _upgrade, "down": _down, "env": _env, "status": _status}

if __name__ == "__main__":
    sys.exit(main())
