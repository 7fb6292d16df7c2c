"""A role's name and arguments come in; the exit code of its pool goes out: `python -m elworkers ROLE @INSTANCE`."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from elworkers import __version__, output, roles
from elworkers.arguments import Arguments, environment, help_text, read_command_line
from elworkers.errors import EX_CONFIG, ConfigurationError
from elworkers.passwords import guard_tracebacks
from elworkers.rights import narrow_umask
from elworkers.roles.checking import checked
from elworkers.terminal import printable

_START_UP_S = 3.0
"""Longer than `startsecs` in control.init."""


def main(words: list[str] | None = None) -> int:
    """Run the role that the first word names."""
    words = sys.argv[1:] if words is None else words
    if not words or words[0] in ("-h", "--help"):
        usage = f"usage: python -m elworkers ROLE [ARGUMENT…]; roles: {', '.join(roles.ROLES)}"
        return _say("elworkers", usage) or (0 if words else EX_CONFIG)
    try:
        return run(roles.singular(words[0]), words[1:])
    except ConfigurationError as error:
        return _refuse("elworkers", error)


def run(role: str, words: list[str]) -> int:
    """Run one role in the foreground until it is asked to stop.

    Returns:
        0 after a stop or the end of the input; `EX_CONFIG` when the configuration cannot work.
    """
    guard_tracebacks()
    module = roles.module(role)
    if "--help" in words or "-h" in words:
        return _say(f"eventlogging-{role}", help_text(module.SPEC))
    if "--version" in words:
        return _say(f"eventlogging-{role}", f"eventlogging-{role} {__version__}")
    run_dir = Path(os.environ["EVENTLOGGING_RUN_DIR"]) if os.environ.get("EVENTLOGGING_RUN_DIR") else None
    file = next((word[1:] for word in words if word.startswith("@")), None)
    try:
        arguments = checked(role, read_command_line(words, environment(run_dir)))
    except ConfigurationError as error:
        # What stands beside a file on the command line may be what is wrong.
        return _refuse(f"eventlogging-{role}", error.at(file) if len(words) == 1 else error)
    code = _pool(role, arguments, file, run_dir)
    if code == EX_CONFIG:
        _outlast_start_up()
    return code


def _outlast_start_up() -> None:
    # supervisord tries again whatever ends within `startsecs`, also what no try can mend.
    if "SUPERVISOR_ENABLED" in os.environ:
        time.sleep(_START_UP_S)


def _pool(role: str, arguments: Arguments, file: str | None, run_dir: Path | None) -> int:
    from elworkers.roles.job import job

    if "SUPERVISOR_ENABLED" not in os.environ:
        # supervisord has been given one by eventlogging-init.
        narrow_umask()
    name = arguments["name"] or (Path(file).name if file else f"pid{os.getpid()}")
    state_file = run_dir / "state" / f"{role}-{name}.json" if run_dir else None
    from elworkers.runtime.pool import Pool

    return Pool(job(role, name, arguments, state_file)).run()


def _say(program: str, text: str) -> int:
    def say() -> int:
        print(text)
        return 0

    return output.run(program, say)


def _refuse(program: str, error: ConfigurationError) -> int:
    def complain() -> int:
        print(f"{program}: {printable(str(error))}", file=sys.stderr)
        return EX_CONFIG

    code = output.run(program, complain)
    _outlast_start_up()
    return code


def forwarder() -> int:
    """`eventlogging-forwarder`."""
    return run("forwarder", sys.argv[1:])


def processor() -> int:
    """`eventlogging-processor`."""
    return run("processor", sys.argv[1:])


def multiplexer() -> int:
    """`eventlogging-multiplexer`."""
    return run("multiplexer", sys.argv[1:])


def consumer() -> int:
    """`eventlogging-consumer`."""
    return run("consumer", sys.argv[1:])


def importer() -> int:
    """`eventlogging-importer`."""
    return run("importer", sys.argv[1:])


def reporter() -> int:
    """`eventlogging-reporter`."""
    return run("reporter", sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
