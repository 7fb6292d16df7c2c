# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Runs `eventloggingctl`: its verbs start, stop and show supervisord's programs."""

from __future__ import annotations

import argparse
import contextlib
import shutil
import sys
from collections.abc import Callable, Sequence

from elworkers.config.argument_files import environment
from elworkers.control import check, states_only, status, worker_states
from elworkers.control.command_line import CHANGING, PROGRAM, parser
from elworkers.control.control_errors import ForbiddenError, LateError, SupervisorError, UnaskedError
from elworkers.control.deadline import Deadline
from elworkers.control.init import provision, say_broken
from elworkers.control.lock import changing
from elworkers.control.paths import Paths
from elworkers.control.renew import renew, renew_changed, renewable
from elworkers.control.reopen_logs import reopen
from elworkers.control.selection import Selection, select
from elworkers.control.supervisor import Supervisor
from elworkers.control.wait_until_working import settled
from elworkers.core import console
from elworkers.core.errors import EX_CONFIG, ConfigurationError, RetryableError
from elworkers.core.terminal import printable
from elworkers.roles.instances import Instance, InstanceFiles, read_instances


def main(words: list[str] | None = None) -> int:
    """Run one verb.

    Returns:
        0 when it was done and, for `start`, `restart`, `update` and `status`, everything selected runs; 1 when
        something does not; 2 for wrong arguments; 78 when an instance file is broken or unknown. `check` has Nagios's
        own codes.
    """
    if words is None:
        return console.run(
            PROGRAM, lambda: main(sys.argv[1:]), code_unprinted=check.UNKNOWN if "check" in sys.argv else 1
        )
    given = parser().parse_args(words)
    places = Paths.given(
        given.config_dir or given.config_dir_after,
        given.run_dir or given.run_dir_after,
        given.command_dir or given.command_dir_after,
    )
    try:
        with _lock(places, given):
            return _VERBS[given.verb](places, given)
    except SupervisorError as error:
        return _failed(given.verb, str(error), error.code)
    except (ConfigurationError, RetryableError) as error:
        return _failed(given.verb, str(error), EX_CONFIG if isinstance(error, ConfigurationError) else 1)
    except OSError as error:
        return _failed(given.verb, f"{error.filename or places.run_dir}: {error.strerror or error}", 1)
    except KeyboardInterrupt:
        return 130


def _lock(places: Paths, given: argparse.Namespace) -> contextlib.AbstractContextManager[None]:
    if given.verb not in CHANGING:
        return contextlib.nullcontext()
    return changing(places, given.lock_wait, PROGRAM, make=given.verb in ("start", "restart", "update"))


def _failed(verb: str, message: str, code: int) -> int:
    if verb == "check":
        print(check.line(f"UNKNOWN: {message}"))
        return check.UNKNOWN
    print(f"{PROGRAM}: {printable(message)}", file=sys.stderr)
    return code


def _start(places: Paths, given: argparse.Namespace) -> int:
    tree = provision(places)
    if given.adopt:
        _adopt(Supervisor(places, given.timeout), Deadline(given.wait))
    return _start_all(places, given, tree)


def _adopt(supervisor: Supervisor, deadline: Deadline) -> None:
    try:
        supervisor.running()
    except UnaskedError:
        supervisor.adopt(deadline, lambda text: print(text, flush=True))


def _start_all(places: Paths, given: argparse.Namespace, tree: InstanceFiles) -> int:
    selection = select(tree, given.instance)
    supervisor = Supervisor(places, given.timeout)
    if supervisor.running():
        _take_up(supervisor, selection)
    else:
        supervisor.boot()
        others = set(supervisor.programs()) - set(selection.programs)
        if others and given.instance:
            supervisor.stop(others, Deadline(given.wait))
    for programs in selection.by_role():
        supervisor.start(_sound(tree, supervisor, programs))
    return _started(supervisor, places, given, selection, tree)


def _started(
    supervisor: Supervisor, places: Paths, given: argparse.Namespace, selection: Selection, tree: InstanceFiles
) -> int:
    if given.no_wait:
        say_broken(PROGRAM, tree)
        return EX_CONFIG if tree.broken else 0
    deadline = Deadline(given.wait)
    supervisor.settled(selection.programs, deadline)
    rows = settled(lambda: status.rows(places, selection, tree, supervisor), deadline)
    return _report(rows, tree) or (0 if all(row.works for row in rows) else 1)


def _sound(tree: InstanceFiles, supervisor: Supervisor, programs: Sequence[str]) -> list[str]:
    # One whose file is broken has no program, or one that could only end with 78 if it were started now.
    sound = {instance.program for instance in tree.instances} & set(supervisor.programs())
    return [program for program in programs if program in sound]


def _take_up(supervisor: Supervisor, selection: Selection) -> None:
    added = set(selection.programs) - set(supervisor.programs())
    if added:
        supervisor.add(sorted(added & set(supervisor.reread().added)))


def _stop(places: Paths, given: argparse.Namespace) -> int:
    selection = _selected(places, given.instance)
    supervisor = Supervisor(places, given.timeout)
    if not supervisor.running():
        print("supervisord does not run; nothing to stop")
        return 0
    known = set(supervisor.programs())
    if not given.instance:
        # Those too whose files have gone meanwhile.
        selection = selection.including(known)
    deadline = Deadline(given.wait)
    for programs in reversed(selection.by_role()):
        if given.no_wait:
            supervisor.ask_to_stop(set(programs) & known)
        else:
            supervisor.stop(set(programs) & known, deadline)
    return 0


def _restart(places: Paths, given: argparse.Namespace) -> int:
    tree = provision(places)
    selection = select(tree, given.instance)
    supervisor = Supervisor(places, given.timeout)
    failed = 0
    if supervisor.running():
        deadline = Deadline(given.wait)
        _apply(supervisor, set(selection.programs), deadline)
        renewing = renewable(places, _chosen(tree, selection), supervisor.programs())
        # What could not be started again goes on.
        for programs in reversed(selection.by_role()):
            supervisor.stop(set(_sound(tree, supervisor, programs)) - {one.program for one in renewing}, deadline)
        failed = renew(places, supervisor, renewing, None if given.no_wait else deadline)
    return _start_all(places, given, tree) or failed


def _update(places: Paths, given: argparse.Namespace) -> int:
    tree = provision(places)
    selection = select(tree, given.instance)
    supervisor = Supervisor(places, given.timeout)
    failed = 0
    if not supervisor.running():
        supervisor.boot()
    else:
        _apply(supervisor, set(selection.programs) if given.instance else None, Deadline(given.wait))
        _start_mended(supervisor, selection, tree)
        deadline = Deadline(given.wait)
        # One that has just started may have read the file of before.
        supervisor.settled(selection.programs, deadline)
        failed = renew_changed(places, supervisor, _chosen(tree, selection), None if given.no_wait else deadline)
    return _started(supervisor, places, given, selection, tree) or failed


def _chosen(tree: InstanceFiles, selection: Selection) -> list[Instance]:
    return [instance for instance in tree.instances if instance.program in selection.programs]


def _start_mended(supervisor: Supervisor, selection: Selection, tree: InstanceFiles) -> None:
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


def _apply(supervisor: Supervisor, only: set[str] | None, deadline: Deadline) -> None:
    changes = supervisor.reread()
    added, changed, removed = ({*found} if only is None else {*found} & only for found in changes)
    try:
        for ended in supervisor.stopping(changed | removed, deadline):
            # Each comes back as soon as it has ended: one that takes long to end keeps no other waiting.
            supervisor.remove(ended)
            supervisor.add([program for program in ended if program in changed])
            for program in ended:
                print(f"{program}: {'restarted' if program in changed else 'stopped'}", flush=True)
    except LateError:
        _add(supervisor, added)
        raise
    _add(supervisor, added)


def _add(supervisor: Supervisor, added: set[str]) -> None:
    supervisor.add(sorted(added))
    for program in sorted(added):
        print(f"{program}: started")


def _status(places: Paths, given: argparse.Namespace) -> int:
    tree = _read(places)
    code = _report(status.rows(places, select(tree, given.instance), tree, Supervisor(places, given.timeout)), tree)
    if not given.instance:
        for path in tree.passed_over:
            print(f"skipped, because it looks like a backup file: {printable(path)}")
    return code


def _report(rows: Sequence[status.Row], tree: InstanceFiles) -> int:
    say_broken(PROGRAM, tree)
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    print(status.table(rows, width))
    if any(row.broken for row in rows):
        return EX_CONFIG
    return 0 if rows and all(row.runs for row in rows) else 1


def _check(places: Paths, given: argparse.Namespace) -> int:
    warnings: Sequence[str] = ()
    try:
        tree = _read(places)
        rows = status.rows(places, select(tree, given.instance), tree, Supervisor(places, given.timeout))
        warnings = tree.warnings
    except (ForbiddenError, PermissionError) as error:
        rows = states_only.rows(places, given.instance, error)
    code, text = check.nagios(rows, check.Limits(given.warning, given.critical), warnings)
    print(text)
    return code


def _import(places: Paths, given: argparse.Namespace) -> int:
    from elworkers.control.imports import report

    tree = _read(places)
    say_broken(PROGRAM, tree)
    chosen = select(tree, [f"importer/{name.rpartition('/')[2]}" for name in given.instance] or ["importer"])
    instances = [instance for instance in tree.instances if instance.program in chosen.programs]
    if not instances:
        print(f"{PROGRAM}: there is no importer in {places.config_dir}", file=sys.stderr)
        return EX_CONFIG
    print(report(instances, lambda instance: worker_states.last_said(places.state(instance.program))))
    return 0


def _tail(places: Paths, given: argparse.Namespace) -> int:
    from elworkers.control.tail import show

    show([places.log(program) for program in _selected(places, given.instance).programs], given.lines, given.follow)
    return 0


def _reopen_logs(places: Paths, given: argparse.Namespace) -> int:
    supervisor = Supervisor(places, given.timeout)
    if not supervisor.running():
        print("supervisord does not run; it creates its logs when it starts")
        return 0
    reopen(places, supervisor, Deadline(given.timeout))
    return 0


def _shutdown(places: Paths, given: argparse.Namespace) -> int:
    supervisor = Supervisor(places, given.timeout)
    if not supervisor.running():
        print("supervisord does not run")
        return 0
    deadline = Deadline(given.wait)
    everything = Selection(()).including(set(supervisor.programs()))
    for programs in reversed(everything.by_role()):
        if not given.no_wait:
            supervisor.stop(programs, deadline)
    supervisor.shutdown(None if given.no_wait else deadline)
    return 0


def _read(places: Paths) -> InstanceFiles:
    return read_instances(places.config_dir, environment(places.run_dir))


def _selected(places: Paths, words: Sequence[str]) -> Selection:
    return select(_read(places), words)


_VERBS: dict[str, Callable[[Paths, argparse.Namespace], int]] = {
    "start": _start,
    "stop": _stop,
    "restart": _restart,
    "status": _status,
    "tail": _tail,
    "update": _update,
    "check": _check,
    "import": _import,
    "reopen-logs": _reopen_logs,
    "shutdown": _shutdown,
}

if __name__ == "__main__":
    sys.exit(main())
