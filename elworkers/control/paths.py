# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Names the files and folders that control commands work with."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_LONGEST_SOCKET = 96
"""Bytes; a Unix socket's path has room for 107, and supervisord adds its pid while it binds (unix(7))."""


@dataclass(frozen=True)
class Paths:
    """Where instances are configured, where their programs live, and where the commands of the roles are."""

    config_dir: Path
    run_dir: Path
    command_dir: Path

    @classmethod
    def given(cls, config_dir: str | None, run_dir: str | None, command_dir: str | None) -> Paths:
        """Return the paths of the command line, else of `EVENTLOGGING_CONFIG_DIR` and so on, else the system's.

        The default folder of the roles' commands is that of the running one.
        """
        config = config_dir or os.environ.get("EVENTLOGGING_CONFIG_DIR") or "/etc/eventlogging.d"
        run = run_dir or os.environ.get("EVENTLOGGING_RUN_DIR") or "/run/eventlogging"
        commands = command_dir or os.environ.get("EVENTLOGGING_COMMAND_DIR") or Path(sys.executable).parent
        return cls(Path(config).absolute(), Path(run).absolute(), Path(commands).absolute())

    @property
    def programs(self) -> Path:
        """The folder of supervisord's program files."""
        return self.run_dir / "supervisor.d"

    @property
    def supervisord_conf(self) -> Path:
        """The configuration of supervisord, as it is rendered."""
        return self.run_dir / "supervisord.conf"

    @property
    def socket(self) -> Path:
        """The Unix socket of supervisord."""
        return self.run_dir / "supervisor.sock"

    @property
    def socket_for_supervisord(self) -> Path:
        """The socket as supervisord and supervisorctl take it; where it is long, they have to be in the run folder."""
        if len(os.fsencode(self.socket)) <= _LONGEST_SOCKET:
            return self.socket
        return Path("/proc/self/cwd", self.socket.name)

    @contextlib.contextmanager
    def reachable(self) -> Iterator[str]:
        """Return a path of the socket that is short enough to connect to.

        Raises:
            OSError: the run folder is not there, or not for this user.
        """
        fd = os.open(self.run_dir, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            yield f"/proc/self/fd/{fd}/{self.socket.name}"
        finally:
            os.close(fd)

    @property
    def supervisord_pid(self) -> Path:
        """The file with supervisord's pid."""
        return self.run_dir / "supervisord.pid"

    @property
    def supervisord_log(self) -> Path:
        """The log of supervisord itself."""
        return self.run_dir / "supervisord.log"

    @property
    def supervisord_lock(self) -> Path:
        """What supervisord has locked while it runs."""
        return self.run_dir / "supervisord.lock"

    @property
    def control_lock(self) -> Path:
        """What a command has locked while it changes something."""
        return self.run_dir / "control.lock"

    @property
    def states(self) -> Path:
        """The folder in which pool parents say how their workers are."""
        return self.run_dir / "state"

    def log(self, program: str) -> Path:
        """Return a program's log file."""
        return self.run_dir / "log" / f"{program}.log"

    def state(self, program: str) -> Path:
        """Return what a program's pool parent says of its workers."""
        return self.states / f"{program}.json"
