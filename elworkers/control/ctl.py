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
from elworkers.control.control_errors import AccessDeniedError, NoSocketError, StopTimeoutError, SupervisorError
from elworkers.control.deadline import Deadline
from elworkers.control.init import print_invalid, provision
from elworkers.control.lock import exclusive
from elworkers.control.paths import Paths
from elworkers.control.renew import renew, renew_changed, renewable
from elworkers.control.reopen_logs import reopen
from elworkers.control.selection import Selection, select
from elworkers.control.supervisor import Supervisor
from elworkers.control.wait_until_working import wait_until_working
from elworkers.core import console
from elworkers.core.errors import EX_CONFIG, ConfigurationError, RetryableError
from elworkers.core.terminal import printable
from elworkers.roles.instances import Instance, InstanceFiles, read_instances


def main(argv: list[str] | None = None) -> int:
    """Run one verb.

    Returns:
        0 when it was done and, for `start`, `restart`, `update` and `status`, everything selected runs; 1 when
        something does not; 2 for wrong arguments; 78 when an instance file is broken or unknown. `check` has Nagios's
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


def _start(paths: Paths, args: argparse.Namespace) -> int:
    configuration = provision(paths)
    if args.adopt:
        _adopt(Supervisor(paths, args.timeout), Deadline(args.wait))
    return _start_all(paths, args, configuration)


def _adopt(supervisor: Supervisor, deadline: Deadline) -> None:
    try:
        supervisor.running()
    except NoSocketError:
        supervisor.adopt(deadline, lambda text: print(text, flush=True))


def _start_all(paths: Paths, args: argparse.Namespace, configuration: InstanceFiles) -> int:
    selection = select(configuration, args.instance)
    supervisor = Supervisor(paths, args.timeout)
    if supervisor.running():
        _add_new(supervisor, selection)
    else:
        supervisor.boot()
        others = set(supervisor.programs()) - set(selection.programs)
        if others and args.instance:
            supervisor.stop(others, Deadline(args.wait))
    for programs in selection.by_role():
        supervisor.start(_valid(configuration, supervisor, programs))
    return _started(supervisor, paths, args, selection, configuration)


def _started(
    supervisor: Supervisor, paths: Paths, args: argparse.Namespace, selection: Selection, configuration: InstanceFiles
) -> int:
    if args.no_wait:
        print_invalid(PROGRAM, configuration)
        return EX_CONFIG if configuration.invalid else 0
    deadline = Deadline(args.wait)
    supervisor.wait_until_started(selection.programs, deadline)
    rows = wait_until_working(lambda: status.rows(paths, selection, configuration, supervisor), deadline)
    return _report(rows, configuration) or (0 if all(row.works for row in rows) else 1)


def _valid(configuration: InstanceFiles, supervisor: Supervisor, programs: Sequence[str]) -> list[str]:
    # One whose file is broken has no program, or one that could only end with 78 if it were started now.
    valid = {instance.program for instance in configuration.instances} & set(supervisor.programs())
    return [program for program in programs if program in valid]


def _add_new(supervisor: Supervisor, selection: Selection) -> None:
    added = set(selection.programs) - set(supervisor.programs())
    if added:
        supervisor.add(sorted(added & set(supervisor.reread().added)))


def _stop(paths: Paths, args: argparse.Namespace) -> int:
    selection = _selected(paths, args.instance)
    supervisor = Supervisor(paths, args.timeout)
    if not supervisor.running():
        print("supervisord does not run; nothing to stop")
        return 0
    known = set(supervisor.programs())
    if not args.instance:
        # Those too whose files have gone meanwhile.
        selection = selection.including(known)
    deadline = Deadline(args.wait)
    for programs in reversed(selection.by_role()):
        if args.no_wait:
            supervisor.request_stop(set(programs) & known)
        else:
            supervisor.stop(set(programs) & known, deadline)
    return 0


def _restart(paths: Paths, args: argparse.Namespace) -> int:
    configuration = provision(paths)
    selection = select(configuration, args.instance)
    supervisor = Supervisor(paths, args.timeout)
    failed = 0
    if supervisor.running():
        deadline = Deadline(args.wait)
        _apply(supervisor, set(selection.programs), deadline)
        renewing = renewable(paths, _chosen(configuration, selection), supervisor.programs())
        # What could not be started again goes on.
        for programs in reversed(selection.by_role()):
            supervisor.stop(
                set(_valid(configuration, supervisor, programs)) - {one.program for one in renewing}, deadline
            )
        failed = renew(paths, supervisor, renewing, None if args.no_wait else deadline)
    return _start_all(paths, args, configuration) or failed


def _update(paths: Paths, args: argparse.Namespace) -> int:
    configuration = provision(paths)
    selection = select(configuration, args.instance)
    supervisor = Supervisor(paths, args.timeout)
    failed = 0
    if not supervisor.running():
        supervisor.boot()
    else:
        _apply(supervisor, set(selection.programs) if args.instance else None, Deadline(args.wait))
        _start_fixed(supervisor, selection, configuration)
        deadline = Deadline(args.wait)
        # One that has just started may have read the file of before.
        supervisor.wait_until_started(selection.programs, deadline)
        failed = renew_changed(paths, supervisor, _chosen(configuration, selection), None if args.no_wait else deadline)
    return _started(supervisor, paths, args, selection, configuration) or failed


def _chosen(configuration: InstanceFiles, selection: Selection) -> list[Instance]:
    return [instance for instance in configuration.instances if instance.program in selection.programs]


def _start_fixed(supervisor: Supervisor, selection: Selection, configuration: InstanceFiles) -> None:
    # Ended by a configuration error; the file is as it was before the slip, so that nothing in it has changed.
    valid = {instance.program for instance in configuration.instances} & set(selection.programs)
    ended = [
        name
        for name, info in supervisor.programs().items()
        if name in valid and info["statename"] == "EXITED" and info["exitstatus"] == EX_CONFIG
    ]
    supervisor.start(ended)
    for program in ended:
        print(f"{program}: started")


def _apply(supervisor: Supervisor, selected: set[str] | None, deadline: Deadline) -> None:
    changes = supervisor.reread()
    added, changed, removed = ({*found} if selected is None else {*found} & selected for found in changes)
    try:
        for ended in supervisor.stopping(changed | removed, deadline):
            # Each comes back as soon as it has ended: one that takes long to end keeps no other waiting.
            supervisor.remove(ended)
            supervisor.add([program for program in ended if program in changed])
            for program in ended:
                print(f"{program}: {'restarted' if program in changed else 'stopped'}", flush=True)
    except StopTimeoutError:
        _add(supervisor, added)
        raise
    _add(supervisor, added)


def _add(supervisor: Supervisor, added: set[str]) -> None:
    supervisor.add(sorted(added))
    for program in sorted(added):
        print(f"{program}: started")


def _status(paths: Paths, args: argparse.Namespace) -> int:
    configuration = _read(paths)
    code = _report(
        status.rows(paths, select(configuration, args.instance), configuration, Supervisor(paths, args.timeout)),
        configuration,
    )
    if not args.instance:
        for path in configuration.backups:
            print(f"skipped, because it looks like a backup file: {printable(path)}")
    return code


def _report(rows: Sequence[status.Row], configuration: InstanceFiles) -> int:
    print_invalid(PROGRAM, configuration)
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    print(status.table(rows, width))
    if any(row.invalid for row in rows):
        return EX_CONFIG
    return 0 if rows and all(row.runs for row in rows) else 1


def _check(paths: Paths, args: argparse.Namespace) -> int:
    warnings: Sequence[str] = ()
    try:
        configuration = _read(paths)
        rows = status.rows(paths, select(configuration, args.instance), configuration, Supervisor(paths, args.timeout))
        warnings = configuration.warnings
    except (AccessDeniedError, PermissionError) as error:
        rows = states_only.rows(paths, args.instance, error)
    code, text = check.nagios(rows, check.Limits(args.warning, args.critical), warnings)
    print(text)
    return code


def _import(paths: Paths, args: argparse.Namespace) -> int:
    from elworkers.control.imports import report

    configuration = _read(paths)
    print_invalid(PROGRAM, configuration)
    chosen = select(configuration, [f"importer/{name.rpartition('/')[2]}" for name in args.instance] or ["importer"])
    instances = [instance for instance in configuration.instances if instance.program in chosen.programs]
    if not instances:
        print(f"{PROGRAM}: there is no importer in {paths.config_dir}", file=sys.stderr)
        return EX_CONFIG
    print(report(instances, lambda instance: worker_states.read_any(paths.state(instance.program))))
    return 0


def _tail(paths: Paths, args: argparse.Namespace) -> int:
    from elworkers.control.tail import print_logs

    print_logs([paths.log(program) for program in _selected(paths, args.instance).programs], args.lines, args.follow)
    return 0


def _reopen_logs(paths: Paths, args: argparse.Namespace) -> int:
    supervisor = Supervisor(paths, args.timeout)
    if not supervisor.running():
        print("supervisord does not run; it creates its logs when it starts")
        return 0
    reopen(paths, supervisor, Deadline(args.timeout))
    return 0


def _shutdown(paths: Paths, args: argparse.Namespace) -> int:
    supervisor = Supervisor(paths, args.timeout)
    if not supervisor.running():
        print("supervisord does not run")
        return 0
    deadline = Deadline(args.wait)
    everything = Selection(()).including(set(supervisor.programs()))
    for programs in reversed(everything.by_role()):
        if not args.no_wait:
            supervisor.stop(programs, deadline)
    supervisor.shutdown(None if args.no_wait else deadline)
    return 0


def _read(paths: Paths) -> InstanceFiles:
    return read_instances(paths.config_dir, environment(paths.run_dir))


def _selected(paths: Paths, argv: Sequence[str]) -> Selection:
    return select(_read(paths), argv)


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
