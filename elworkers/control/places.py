"""`--config-dir` and `--run-dir` come in; the files and folders that control works with go out."""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

_LONGEST_SOCKET = 96
"""Bytes; a Unix socket's path has room for 107, and supervisord adds its pid while it binds (unix(7))."""


@dataclass(frozen=True)
class Places:
    """Where instances are configured, where their programs live, and where the commands of the roles are."""

    config_dir: Path
    run_dir: Path
    command_dir: Path

    @classmethod
    def given(cls, config_dir: str | None, run_dir: str | None, command_dir: str | None) -> Places:
        """From the command line, else `EVENTLOGGING_CONFIG_DIR` and so on, else the system's.

        The commands of the roles are, where nobody says otherwise, beside the one that runs.
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
        """supervisord's configuration, as it is rendered."""
        return self.run_dir / "supervisord.conf"

    @property
    def socket(self) -> Path:
        """supervisord's Unix socket; in a private temporary folder where the run folder's path is too long for one."""
        wanted = self.run_dir / "supervisor.sock"
        if len(os.fsencode(wanted)) <= _LONGEST_SOCKET:
            return wanted
        digest = hashlib.sha256(os.fsencode(self.run_dir)).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"elworkers-{os.getuid()}-{digest}" / "supervisor.sock"

    def log(self, program: str) -> Path:
        """A program's log file."""
        return self.run_dir / "log" / f"{program}.log"

    def state(self, program: str) -> Path:
        """What a program's pool parent says of its workers."""
        return self.run_dir / "state" / f"{program}.json"
