# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Carries out the verbs of `eventloggingctl` that change what runs.

Each takes the paths and the parsed arguments, and returns an exit code.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from elworkers.control import status
from elworkers.control.command_line import PROGRAM
from elworkers.control.control_errors import NoSocketError, StopTimeoutError
from elworkers.control.deadline import Deadline
from elworkers.control.init import print_invalid, provision
from elworkers.control.inspection import print_status, read_configuration
from elworkers.control.paths import Paths
from elworkers.control.renew import renew, renew_changed, renewable
from elworkers.control.reopen_logs import reopen
from elworkers.control.selection import Selection, select
from elworkers.control.supervisor import Supervisor
from elworkers.control.wait_until_working import wait_until_working
from elworkers.core.errors import EX_CONFIG
from elworkers.roles.instances import Instance, InstanceFiles


def start(paths: Paths, args: argparse.Namespace) -> int:
    """Start the selected instances, and supervisord if it does not run."""
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
    return print_status(rows, configuration) or (0 if all(row.works for row in rows) else 1)


def _valid(configuration: InstanceFiles, supervisor: Supervisor, programs: Sequence[str]) -> list[str]:
    # One whose file is broken has no program, or one that could only end with 78 if it were started now.
    valid = {instance.program for instance in configuration.instances} & set(supervisor.programs())
    return [program for program in programs if program in valid]


def _add_new(supervisor: Supervisor, selection: Selection) -> None:
    added = set(selection.programs) - set(supervisor.programs())
    if added:
        supervisor.add(sorted(added & set(supervisor.reread().added)))


def stop(paths: Paths, args: argparse.Namespace) -> int:
    """Stop the selected instances, in the reverse order of roles."""
    selection = select(read_configuration(paths), args.instance)
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


def restart(paths: Paths, args: argparse.Namespace) -> int:
    """Restart the selected instances; forwarders are renewed in place."""
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


def update(paths: Paths, args: argparse.Namespace) -> int:
    """Start, restart or stop the instances whose files were added, changed or removed."""
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


def reopen_logs(paths: Paths, args: argparse.Namespace) -> int:
    """Make supervisord open its logs again."""
    supervisor = Supervisor(paths, args.timeout)
    if not supervisor.running():
        print("supervisord does not run; it creates its logs when it starts")
        return 0
    reopen(paths, supervisor, Deadline(args.timeout))
    return 0


def shutdown(paths: Paths, args: argparse.Namespace) -> int:
    """Stop every instance and supervisord."""
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
