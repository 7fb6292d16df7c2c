# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Runs `eventloggingctl`: finds the verb, takes the lock, and turns errors into exit codes."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable

from elworkers.control import check, inspection, lifecycle
from elworkers.control.command_line import CHANGING, PROGRAM, parser
from elworkers.control.control_errors import SupervisorError
from elworkers.control.lock import exclusive
from elworkers.control.paths import Paths
from elworkers.core import console
from elworkers.core.errors import EX_CONFIG, ConfigurationError, RetryableError
from elworkers.core.terminal import printable


def main(argv: list[str] | None = None) -> int:
    """Run one verb.

    Returns:
        0 when it was done and, for `start`, `restart`, `update` and `status`, everything selected runs; 1 when
        something does not; 2 for wrong arguments; 78 when an instance file is invalid or unknown. `check` has Nagios's
        own codes.
    """
    if argv is None:
        return console.run(
            PROGRAM, lambda: main(sys.argv[1:]), code_unprinted=check.UNKNOWN if "check" in sys.argv else 1
        )
    args = parser().parse_args(argv)
    paths = Paths.given(
        args.config_dir or args.config_dir_after,
        args.run_dir or args.run_dir_after,
        args.command_dir or args.command_dir_after,
    )
    try:
        with _lock(paths, args):
            return _VERBS[args.verb](paths, args)
    except SupervisorError as error:
        return _failed(args.verb, str(error), error.code)
    except (ConfigurationError, RetryableError) as error:
        return _failed(args.verb, str(error), EX_CONFIG if isinstance(error, ConfigurationError) else 1)
    except OSError as error:
        return _failed(args.verb, f"{error.filename or paths.run_dir}: {error.strerror or error}", 1)
    except KeyboardInterrupt:
        return 130


def _lock(paths: Paths, args: argparse.Namespace) -> contextlib.AbstractContextManager[None]:
    if args.verb not in CHANGING:
        return contextlib.nullcontext()
    return exclusive(paths, args.lock_wait, PROGRAM, make=args.verb in ("start", "restart", "update"))


def _failed(verb: str, message: str, code: int) -> int:
    if verb == "check":
        print(check.line(f"UNKNOWN: {message}"))
        return check.UNKNOWN
    print(f"{PROGRAM}: {printable(message)}", file=sys.stderr)
    return code


_VERBS: dict[str, Callable[[Paths, argparse.Namespace], int]] = {
    "start": lifecycle.start,
    "stop": lifecycle.stop,
    "restart": lifecycle.restart,
    "status": inspection.print_selected_status,
    "tail": inspection.print_tail,
    "update": lifecycle.update,
    "check": inspection.print_check,
    "import": inspection.print_imports,
    "reopen-logs": lifecycle.reopen_logs,
    "shutdown": lifecycle.shutdown,
}

if __name__ == "__main__":
    sys.exit(main())
