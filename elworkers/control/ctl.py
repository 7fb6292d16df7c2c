"""`eventloggingctl` and its verbs come in; supervisord's programs do what the operator wants, and a report goes out."""

from __future__ import annotations

import argparse
import io
import math
import os
import shutil
import sys
from collections.abc import Callable, Sequence

from elworkers import __version__
from elworkers.arguments import environment
from elworkers.control import check, status, workers
from elworkers.control.init import provision, say_broken
from elworkers.control.instances import Tree, read_tree
from elworkers.control.places import Places
from elworkers.control.selection import Selection, select
from elworkers.control.supervisor import Supervisor, SupervisorError
from elworkers.control.table import printable
from elworkers.errors import EX_CONFIG, ConfigurationError, RetryableError
from elworkers.passwords import guard_tracebacks

_PROGRAM = "eventloggingctl"


def main(words: list[str] | None = None) -> int:
    """Run one verb.

    Returns:
        0 when it was done and, for `start`, `restart`, `update` and `status`, everything selected runs; 1 when
        something does not; 2 for wrong arguments; 78 when an instance file is broken or unknown. `check` has Nagios's
        own codes.
    """
    guard_tracebacks()
    given = _parser().parse_args(words)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # What servers and events say may have signs that this terminal's encoding has not.
        sys.stdout.reconfigure(errors="backslashreplace")
    places = Places.given(
        given.config_dir or given.config_dir_after,
        given.run_dir or given.run_dir_after,
        given.command_dir or given.command_dir_after,
    )
    try:
        return _VERBS[given.verb](places, given)
    except (ConfigurationError, RetryableError, SupervisorError) as error:
        return _failed(given.verb, str(error), EX_CONFIG if isinstance(error, ConfigurationError) else 1)
    except OSError as error:
        return _failed(given.verb, f"{error.filename or places.run_dir}: {error.strerror or error}", 1)
    except KeyboardInterrupt:
        return 130


def _failed(verb: str, message: str, code: int) -> int:
    if verb == "check":
        print(check.line(f"UNKNOWN: {message}"))
        return check.UNKNOWN
    print(f"{_PROGRAM}: {printable(message)}", file=sys.stderr)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=_PROGRAM, description="Controls the instances of the EventLogging back-end.")
    parser.add_argument("--version", action="version", version=__version__)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name, what in (
        ("start", "start instances, and supervisord where it is not there; in the order of roles"),
        ("stop", "stop instances; in the reverse order"),
        ("restart", "stop and start instances"),
        ("status", "print role, instance, state, pid, uptime and workers; exit 0 when all run"),
        ("tail", "print the end of the logs"),
        ("update", "start, restart and stop the instances whose files were added, changed or removed"),
        ("check", "the Nagios check"),
        ("shutdown", "end every instance and supervisord"),
    ):
        verb = verbs.add_parser(name, help=what, description=what)
        if name in ("start", "stop", "restart", "status", "tail", "update", "check"):
            verb.add_argument("instance", nargs="*", metavar="ROLE[/NAME]", help="only these (default: all)")
        if name == "tail":
            verb.add_argument("-f", "--follow", action="store_true", help="go on as the logs grow")
            verb.add_argument("-n", "--lines", type=int, default=10, help="lines of each log (default 10)")
        if name == "check":
            for option, default in zip(("--warning", "--critical"), check.DEFAULT, strict=True):
                text = f"{option[2:].upper()} after so many seconds of waiting (default {default:g})"
                verb.add_argument(option, type=_seconds, default=default, metavar="SECONDS", help=text)
        _folders(verb, "_after")
    imports = verbs.add_parser("import", help="how far the importers are", description="How far the importers are.")
    imports.add_argument("what", choices=("status",))
    imports.add_argument("instance", nargs="*", metavar="NAME", help="only these importers (default: all)")
    _folders(imports, "_after")
    _folders(parser, "")
    return parser


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r}; expected a number of seconds")
    return seconds


def _folders(parser: argparse.ArgumentParser, suffix: str) -> None:
    parser.add_argument("--config-dir", dest=f"config_dir{suffix}", help="default /etc/eventlogging.d")
    parser.add_argument("--run-dir", dest=f"run_dir{suffix}", help="default /run/eventlogging")
    parser.add_argument("--command-dir", dest=f"command_dir{suffix}", help="default: where this command is")


def _start(places: Places, given: argparse.Namespace) -> int:
    return _start_all(places, given, provision(places))


def _start_all(places: Places, given: argparse.Namespace, tree: Tree) -> int:
    selection = select(tree, given.instance)
    supervisor = Supervisor(places)
    if supervisor.running():
        _take_up(supervisor, selection)
    else:
        supervisor.boot()
        others = set(supervisor.programs()) - set(selection.programs)
        if others and given.instance:
            supervisor.stop(others)
    for programs in selection.by_role():
        supervisor.start(_sound(tree, supervisor, programs))
    supervisor.settled(selection.programs)
    return _report(places, selection, tree)


def _sound(tree: Tree, supervisor: Supervisor, programs: Sequence[str]) -> list[str]:
    # One whose file is broken has no program, or one that could only end with 78 if it were started now.
    sound = {instance.program for instance in tree.instances} & set(supervisor.programs())
    return [program for program in programs if program in sound]


def _take_up(supervisor: Supervisor, selection: Selection) -> None:
    added = set(selection.programs) - set(supervisor.programs())
    if added:
        supervisor.add(sorted(added & set(supervisor.reread().added)))


def _stop(places: Places, given: argparse.Namespace) -> int:
    selection = _selected(places, given.instance)
    supervisor = Supervisor(places)
    if not supervisor.running():
        print("supervisord does not run; nothing to stop")
        return 0
    known = set(supervisor.programs())
    if not given.instance:
        # Those too whose files have gone meanwhile.
        selection = selection.including(known)
    for programs in reversed(selection.by_role()):
        supervisor.stop(set(programs) & known)
    return 0


def _restart(places: Places, given: argparse.Namespace) -> int:
    tree = provision(places)
    selection = select(tree, given.instance)
    supervisor = Supervisor(places)
    if supervisor.running():
        _apply(supervisor, set(selection.programs))
        # What could not be started again goes on.
        for programs in reversed(selection.by_role()):
            supervisor.stop(_sound(tree, supervisor, programs))
    return _start_all(places, given, tree)


def _update(places: Places, given: argparse.Namespace) -> int:
    tree = provision(places)
    selection = select(tree, given.instance)
    supervisor = Supervisor(places)
    if not supervisor.running():
        supervisor.boot()
    else:
        _apply(supervisor, set(selection.programs) if given.instance else None)
        _start_mended(supervisor, selection, tree)
    supervisor.settled(selection.programs)
    return _report(places, selection, tree)


def _start_mended(supervisor: Supervisor, selection: Selection, tree: Tree) -> None:
    # Ended by a configuration error; the file is as it was before the slip, so that nothing in it has changed.
    sound = {instance.program for instance in tree.instances} & set(selection.programs)
    ended = [
        name
        for name, info in supervisor.programs().items()
        if name in sound and info["statename"] == "EXITED" and info["exitstatus"] == EX_CONFIG
    ]
    supervisor.start(ended)
    for program in ended:
        print(f"{program}: started")


def _apply(supervisor: Supervisor, only: set[str] | None) -> None:
    changes = supervisor.reread()
    added, changed, removed = ({*found} if only is None else {*found} & only for found in changes)
    for ended in supervisor.stopping(changed | removed):
        # Each comes back as soon as it has ended: one that takes long to end keeps no other waiting.
        supervisor.remove(ended)
        supervisor.add([program for program in ended if program in changed])
        for program in ended:
            print(f"{program}: {'restarted' if program in changed else 'stopped'}", flush=True)
    supervisor.add(sorted(added))
    for program in sorted(added):
        print(f"{program}: started")


def _status(places: Places, given: argparse.Namespace) -> int:
    tree = _read(places)
    return _report(places, select(tree, given.instance), tree)


def _report(places: Places, selection: Selection, tree: Tree) -> int:
    say_broken(_PROGRAM, tree)
    rows = status.rows(places, selection, tree)
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    print(status.table(rows, width))
    if tree.broken and any(not row.runs for row in rows if row.broken):
        return EX_CONFIG
    return 0 if rows and all(row.runs for row in rows) else 1


def _check(places: Places, given: argparse.Namespace) -> int:
    tree = _read(places)
    limits = check.Limits(given.warning, given.critical)
    code, text = check.nagios(status.rows(places, select(tree, given.instance), tree), limits)
    print(text)
    return code


def _import(places: Places, given: argparse.Namespace) -> int:
    from elworkers.control.imports import report

    tree = _read(places)
    say_broken(_PROGRAM, tree)
    chosen = select(tree, [f"importer/{name.rpartition('/')[2]}" for name in given.instance] or ["importer"])
    instances = [instance for instance in tree.instances if instance.program in chosen.programs]
    if not instances:
        print(f"{_PROGRAM}: there is no importer in {places.config_dir}", file=sys.stderr)
        return EX_CONFIG
    print(report(instances, lambda instance: workers.last_said(places.state(instance.program))))
    return 0


def _tail(places: Places, given: argparse.Namespace) -> int:
    selection = _selected(places, given.instance)
    logs = [str(places.log(program)) for program in selection.programs if places.log(program).exists()]
    if not logs:
        raise SupervisorError(f"there is no log of these in {places.run_dir / 'log'}; have they ever been started?")
    sys.stdout.flush()
    os.execvp("tail", ["tail", "-n", str(given.lines), *(["-F"] if given.follow else []), *logs])  # noqa: S606 - a list, not a shell


def _shutdown(places: Places, _given: argparse.Namespace) -> int:
    supervisor = Supervisor(places)
    if not supervisor.running():
        print("supervisord does not run")
        return 0
    everything = Selection(()).including(set(supervisor.programs()))
    for programs in reversed(everything.by_role()):
        supervisor.stop(programs)
    supervisor.shutdown()
    return 0


def _read(places: Places) -> Tree:
    return read_tree(places.config_dir, environment(places.run_dir))


def _selected(places: Places, words: Sequence[str]) -> Selection:
    return select(_read(places), words)


_VERBS: dict[str, Callable[[Places, argparse.Namespace], int]] = {
    "start": _start,
    "stop": _stop,
    "restart": _restart,
    "status": _status,
    "tail": _tail,
    "update": _update,
    "check": _check,
    "import": _import,
    "shutdown": _shutdown,
}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
