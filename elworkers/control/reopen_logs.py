# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Has supervisord reopen its logs, for logrotate, and waits until nothing is written to the old ones."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path

from elworkers.control.control_errors import SupervisorError
from elworkers.control.deadline import Deadline
from elworkers.control.paths import Paths
from elworkers.control.supervisor import Supervisor

_POLL_INTERVAL_S = 0.05


def reopen(paths: Paths, supervisor: Supervisor, deadline: Deadline) -> None:
    """Make supervisord open all logs again; return when those that were moved or removed exist again.

    Raises:
        SupervisorError: supervisord could not open one, of which it would end; or has not made one in time.
        OSError: there is no folder for them.
    """
    logs = [paths.supervisord_log]
    logs += [paths.log(program) for program, info in supervisor.programs().items() if info["pid"]]
    owner = paths.socket.stat()
    for log in logs:
        log.parent.mkdir(parents=True, exist_ok=True)
        if not _can_be_opened(log, owner.st_uid, owner.st_gid):
            raise SupervisorError(
                f"{log}: supervisord's user may not write this file, which would end supervisord; no log was reopened"
            )
    supervisor.reopen_logs()
    while missing := [log for log in logs if not log.exists()]:
        if deadline.over():
            raise SupervisorError(f"{missing[0]} was not created within {deadline}")
        time.sleep(_POLL_INTERVAL_S)


def _can_be_opened(path: Path, uid: int, gid: int) -> bool:
    if uid == 0:
        return not path.is_dir()
    try:
        found = path.stat()
    except FileNotFoundError:
        found = path.parent.stat()
        return _may_write(found, uid, gid)
    return stat.S_ISREG(found.st_mode) and _may_write(found, uid, gid)


def _may_write(found: os.stat_result, uid: int, gid: int) -> bool:
    if found.st_uid == uid:
        return bool(found.st_mode & stat.S_IWUSR)
    return bool(found.st_mode & (stat.S_IWGRP if found.st_gid == gid else stat.S_IWOTH))
