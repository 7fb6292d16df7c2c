# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Carries out the verbs of `eventloggingctl` that print what runs, and change nothing.

Each takes the paths and the parsed arguments, and returns an exit code.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence

from elworkers.config.argument_files import environment
from elworkers.control import check, states_only, status, worker_states
from elworkers.control.command_line import PROGRAM
from elworkers.control.control_errors import AccessDeniedError
from elworkers.control.init import print_invalid
from elworkers.control.paths import Paths
from elworkers.control.selection import select
from elworkers.control.supervisor import Supervisor
from elworkers.core.errors import EX_CONFIG
from elworkers.core.terminal import printable
from elworkers.roles.instances import InstanceFiles, read_instances


def print_selected_status(paths: Paths, args: argparse.Namespace) -> int:
    """Print the state of the selected instances."""
    configuration = read_configuration(paths)
    code = print_status(
        status.rows(paths, select(configuration, args.instance), configuration, Supervisor(paths, args.timeout)),
        configuration,
    )
    if not args.instance:
        for path in configuration.backups:
            print(f"skipped, because it looks like a backup file: {printable(path)}")
    return code


def print_status(rows: Sequence[status.Row], configuration: InstanceFiles) -> int:
    """Print what is wrong with files, and a table; return `EX_CONFIG` for an invalid file, 1 if one does not run."""
    print_invalid(PROGRAM, configuration)
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    print(status.table(rows, width))
    if any(row.invalid for row in rows):
        return EX_CONFIG
    return 0 if rows and all(row.runs for row in rows) else 1


def print_check(paths: Paths, args: argparse.Namespace) -> int:
    """Print the Nagios check."""
    warnings: Sequence[str] = ()
    try:
        configuration = read_configuration(paths)
        rows = status.rows(paths, select(configuration, args.instance), configuration, Supervisor(paths, args.timeout))
        warnings = configuration.warnings
    except (AccessDeniedError, PermissionError) as error:
        rows = states_only.rows(paths, args.instance, error)
    code, text = check.nagios(rows, check.Limits(args.warning, args.critical), warnings)
    print(text)
    return code


def print_imports(paths: Paths, args: argparse.Namespace) -> int:
    """Print how far importers are with each topic."""
    from elworkers.control.imports import report

    configuration = read_configuration(paths)
    print_invalid(PROGRAM, configuration)
    chosen = select(configuration, [f"importer/{name.rpartition('/')[2]}" for name in args.instance] or ["importer"])
    instances = [instance for instance in configuration.instances if instance.program in chosen.programs]
    if not instances:
        print(f"{PROGRAM}: there is no importer in {paths.config_dir}", file=sys.stderr)
        return EX_CONFIG
    print(report(instances, lambda instance: worker_states.read_any(paths.state(instance.program))))
    return 0


def print_tail(paths: Paths, args: argparse.Namespace) -> int:
    """Print the last lines of the logs of the selected instances."""
    from elworkers.control.tail import print_logs

    print_logs(
        [paths.log(program) for program in select(read_configuration(paths), args.instance).programs],
        args.lines,
        args.follow,
    )
    return 0


def read_configuration(paths: Paths) -> InstanceFiles:
    """Return all instance files.

    Raises:
        ConfigurationError: their folder cannot be read.
    """
    return read_instances(paths.config_dir, environment(paths.run_dir))
