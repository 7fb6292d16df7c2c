# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Runs one role in the foreground: `python -m elworkers ROLE @INSTANCE`, and the commands `eventlogging-<role>`."""

from __future__ import annotations

import hashlib
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

# isort: off
from elworkers.core import plain_structlog  # noqa: F401 - before anybody else imports structlog

# isort: on
from elworkers import __version__, roles
from elworkers.config.argument_files import Argument, environment, read_command_line
from elworkers.config.arguments import Arguments
from elworkers.config.role_help import help_text
from elworkers.core import console
from elworkers.core.errors import EX_CONFIG, EX_USAGE, ConfigurationError, ElworkersError, RetryableError
from elworkers.core.operating_system import title
from elworkers.core.passwords import guard_tracebacks, remember, remembered
from elworkers.core.permissions import narrow_umask
from elworkers.core.terminal import printable
from elworkers.roles.validate import check_arguments, rehearse
from elworkers.workers.handover import Configuration, HandedOver, HandoverError, add, inherited_descriptor, take
from elworkers.workers.renewal import CHECK

if TYPE_CHECKING:
    from elworkers.workers.worker import PoolConfig

_START_UP_S = 3.0
"""Longer than `startsecs` in control.init."""


def main(argv: list[str] | None = None) -> int:
    """Run the role that the first word names."""
    argv = sys.argv[1:] if argv is None else argv
    if not argv or argv[0] in ("-h", "--help"):
        usage = f"usage: python -m elworkers ROLE [ARGUMENT…]; roles: {', '.join(roles.ROLES)}"
        return _print("elworkers", usage) or (0 if argv else EX_USAGE)
    try:
        role = roles.singular(argv[0])
    except ConfigurationError as error:
        return _fail("elworkers", error, EX_USAGE)
    return run(role, argv[1:])


def run(role: str, argv: list[str]) -> int:
    """Run one role in the foreground until it is asked to stop.

    Returns:
        0 after a stop or the end of the input; `EX_DATAERR` when something of the input was rejected; `EX_USAGE` for a
        wrong command line; `EX_CONFIG` when the configuration cannot work.
    """
    guard_tracebacks()
    module = roles.module(role)
    if "--help" in argv or "-h" in argv:
        return _print(f"eventlogging-{role}", help_text(module.SPEC))
    if "--version" in argv:
        return _print(f"eventlogging-{role}", f"eventlogging-{role} {__version__}")
    check_only = CHECK in argv
    argv = [argument for argument in argv if argument != CHECK]
    file = next((argument[1:] for argument in argv if argument.startswith("@")), None)
    if check_only:
        # What it was started with may hold a password.
        title(role, Path(file).name if file else "", "check")
    run_dir = Path(os.environ["EVENTLOGGING_RUN_DIR"]) if os.environ.get("EVENTLOGGING_RUN_DIR") else None
    try:
        memory = inherited_descriptor()
        handed = take(memory) if memory is not None else None
        if handed is not None and handed.configuration is not None:
            read = handed.configuration
            for secret in read.secrets:
                remember(secret)
        else:
            read = _read(argv, file, run_dir)
        env = environment(run_dir)
        arguments = check_arguments(role, [Argument(*one) for one in read.arguments], env)
        rehearse(arguments, env)
    except HandoverError as error:
        return _fail(f"eventlogging-{role}", error, EX_CONFIG if check_only else 1, for_good=False)
    except ConfigurationError as error:
        # What stands beside a file on the command line may be what is wrong.
        placed = error.at(file) if len(argv) == 1 else error
        # supervisord tries again after any code that its configuration does not name.
        code = EX_CONFIG if "SUPERVISOR_ENABLED" in os.environ else placed.exit_code
        return _fail(f"eventlogging-{role}", placed, code, for_good=not check_only)
    pool_config = _pool_config(role, arguments, file, run_dir)
    if check_only:
        return _check(role, pool_config, read, handed, memory)
    from elworkers.workers.pool import Pool
    from elworkers.workers.renewal import Renewal

    if memory is not None:
        os.close(memory)
    pool = Pool(pool_config, Renewal(read, handed))
    code = pool.run()
    if code == EX_CONFIG or pool.all_done:
        _outlast_start_up()
    return code


def _read(argv: list[str], file: str | None, run_dir: Path | None) -> Configuration:
    """Return the arguments of the command line and of the file that it names."""
    digests: list[str] = []

    def content(name: str) -> bytes:
        data = Path(name).read_bytes()
        digests.append(hashlib.sha256(data).hexdigest())
        return data

    at = time.time()
    found = read_command_line(argv, environment(run_dir), content)
    texts = [(one.text, one.file, one.line) for one in found]
    return Configuration(texts, file, digests[0] if digests else None, at, remembered())


def _check(
    role: str, pool_config: PoolConfig, read: Configuration, handed: HandedOver | None, memory: int | None
) -> int:
    """Try what the next image of a pool would do at once; whoever asked for that finds there what was read.

    Returns:
        0, or `EX_CONFIG` where it could not be done.
    """
    from elworkers.workers.pool import Pool
    from elworkers.workers.renewal import Renewal

    if handed is None or memory is None:
        return _print(f"eventlogging-{role}", f"eventlogging-{role}: the arguments are valid")
    try:
        Pool(pool_config, Renewal(read, handed)).rehearse()
    except RetryableError as error:
        return _fail(f"eventlogging-{role}", error, for_good=False)
    add(memory, read)
    return 0


def _outlast_start_up() -> None:
    # supervisord tries again whatever ends within `startsecs`, also what no try can mend.
    if "SUPERVISOR_ENABLED" in os.environ:
        time.sleep(_START_UP_S)


def _pool_config(role: str, arguments: Arguments, file: str | None, run_dir: Path | None) -> PoolConfig:
    from elworkers.roles.pool_config import pool_config

    if "SUPERVISOR_ENABLED" not in os.environ:
        # supervisord has been given one by eventlogging-init.
        narrow_umask()
    name = arguments["name"] or (Path(file).name if file else f"pid{os.getpid()}")
    return pool_config(role, name, arguments, run_dir / "state" / f"{role}-{name}.json" if run_dir else None)


def _print(program: str, text: str) -> int:
    def print_text() -> int:
        print(text)
        return 0

    return console.run(program, print_text)


def _fail(program: str, error: ElworkersError, code: int = EX_CONFIG, *, for_good: bool = True) -> int:
    def print_error() -> int:
        print(f"{program}: {printable(str(error))}", file=sys.stderr)
        return code

    result = console.run(program, print_error)
    if for_good:
        _outlast_start_up()
    return result


def forwarder() -> int:
    """Run `eventlogging-forwarder`."""
    return run("forwarder", sys.argv[1:])


def processor() -> int:
    """Run `eventlogging-processor`."""
    return run("processor", sys.argv[1:])


def multiplexer() -> int:
    """Run `eventlogging-multiplexer`."""
    return run("multiplexer", sys.argv[1:])


def consumer() -> int:
    """Run `eventlogging-consumer`."""
    return run("consumer", sys.argv[1:])


def importer() -> int:
    """Run `eventlogging-importer`."""
    return run("importer", sys.argv[1:])


def reporter() -> int:
    """Run `eventlogging-reporter`."""
    return run("reporter", sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
