# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Builds the check's rows from state files alone, for users who may not ask supervisord."""

from __future__ import annotations

import json
import stat
from collections.abc import Sequence

import psutil

from elworkers.control import worker_states
from elworkers.control.paths import Paths
from elworkers.control.selection import select_titles
from elworkers.control.status import Row
from elworkers.roles.instances import titles


def rows(paths: Paths, names: Sequence[str], denial: Exception) -> list[Row]:
    """Return a row for each selected instance; what is wrong with its file is not known here.

    Args:
        paths: where the states are.
        names: `ROLE[/NAME]`; all instances without.
        denial: the error that this user got from supervisord's socket.

    Raises:
        ConfigurationError: the configuration folder cannot be read, or there is no such instance.
        Exception: the denial, if the states are not open to this user (EVENTLOGGING_RUN_GROUP, _MODE).
    """
    try:
        # A group that may look in without anybody having said so (root's, as a rule) is told as before.
        if not paths.states.stat().st_mode & (stat.S_ISGID | stat.S_IROTH):
            raise denial
        next(paths.states.iterdir(), None)
        return [_row(paths, program) for program in select_titles(titles(paths.config_dir), names).programs]
    except OSError:
        raise denial from None


def _row(paths: Paths, program: str) -> Row:
    role, _, name = program.partition("-")
    path = paths.state(program)
    try:
        pid = int(json.loads(path.read_text(encoding="utf-8"))["pid"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return Row(role, name, "STOPPED")
    # One whose pid is another process's by now has not written for long, and is shown as waiting for that.
    if not psutil.pid_exists(pid):
        return Row(role, name, "STOPPED")
    return Row(role, name, "RUNNING", pid, workers=worker_states.read(path, pid))
