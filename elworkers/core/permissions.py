# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Applies the modes and groups that operators ask for to files and folders.

Files of ours hold personal data. Without a configuration they are 0640, and folders 0750, less what the umask
forbids.
"""

from __future__ import annotations

import grp
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from elworkers.core.errors import ConfigurationError

DATA_FILE, DATA_FOLDER = 0o640, 0o750
_UMASK = 0o027
_SETGID = 0o2000


def narrow_umask() -> int:
    """Have files and folders of this process be 0640 and 0750 at most; gives its umask."""
    umask = os.umask(_UMASK)
    os.umask(umask | _UMASK)
    return umask | _UMASK


def mode(text: str) -> int:
    """Return the mode of a file, as chmod(1) has it in digits; its owner has to be able to use it."""
    if not re.fullmatch(r"0?[67][0-7]{2}", text):
        raise ValueError("a mode of three digits of which the first is 6 or 7, as 0640")
    return int(text, 8)


def unix_group(text: str) -> int:
    """Return a group of this host, by name or number; gives its number."""
    try:
        return int(text) if re.fullmatch("[0-9]{1,9}", text) else grp.getgrnam(text).gr_gid
    except KeyError:
        raise ValueError("the name or number of a group of this host") from None


@dataclass(frozen=True)
class Permissions:
    """Who may read what is made.

    Attributes:
        mode: of a file; those who may read it may list its folder. None: as the umask has it.
        group: its number; None: that of the process, or of the folder where that has the set-group-ID bit.
    """

    mode: int | None = None
    group: int | None = None

    def of_file(self, made: int) -> None:
        """Give them to a file that was just made.

        Raises:
            OSError: this process may not.
        """
        if self.group is not None:
            os.fchown(made, -1, self.group)
        if self.mode is not None:
            os.fchmod(made, self.mode & 0o666)

    def of_folder(self, folder: Path) -> None:
        """Give them to a folder; what is made in it later has its group.

        Raises:
            OSError: this process may not.
        """
        if self.group is not None:
            os.chown(folder, -1, self.group)
        if self.mode is not None or self.group is not None:
            mode = _folders_of(DATA_FILE if self.mode is None else self.mode)
            folder.chmod(mode | (_SETGID if self.group is not None else 0))

    @property
    def umask(self) -> int | None:
        """What forbids more than the mode to files and folders alike; None where there is none."""
        return None if self.mode is None else 0o777 & ~_folders_of(self.mode)


def _folders_of(mode: int) -> int:
    """Return the mode of folders whose files have this one."""
    return mode | (mode & 0o444) >> 2


BY_UMASK = Permissions()
"""As the umask has it."""


def of_run_folder(environ: Mapping[str, str]) -> Permissions:
    """Return the permissions of `EVENTLOGGING_RUN_MODE` and `EVENTLOGGING_RUN_GROUP`.

    Raises:
        ConfigurationError: a value that is none.
    """
    return Permissions(
        _read_variable(environ, "EVENTLOGGING_RUN_MODE", mode),
        _read_variable(environ, "EVENTLOGGING_RUN_GROUP", unix_group),
    )


def _read_variable(environ: Mapping[str, str], name: str, read: Callable[[str], int]) -> int | None:
    text = environ.get(name, "")
    try:
        return read(text) if text else None
    except ValueError as error:
        raise ConfigurationError(f"{name}: {text!r}; expected {error}") from None
