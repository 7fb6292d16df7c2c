# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Reads all instance files of a configuration folder, and finds what is wrong with those that cannot work.

The only reader of `/etc/eventlogging.d/<role>s/<name>`.
"""

from __future__ import annotations

import hashlib
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from elworkers import roles
from elworkers.config.argument_files import Environment, read_lines
from elworkers.config.arguments import Arguments
from elworkers.config.hints import nearest
from elworkers.core.errors import ConfigurationError
from elworkers.roles.kafka_groups import conflicts
from elworkers.roles.validate import check_arguments

_FOLDERS = tuple(f"{role}s" for role in roles.ROLES)
NAME = re.compile(r"[A-Za-z0-9._-]{1,100}")
_BACKUP = re.compile(
    r"~$|^#.*#$|^4913$|\.(?:dpkg|ucf)-[^.]*$"
    r"|\.(?:rpmsave|rpmnew|rpmorig|orig|old|bak|rej|disabled|save|swp|swo|cfsaved|pacnew)$"
)
"""What editors, package managers and operators call a file that is not to be read: `4913` is Vim's."""


@dataclass(frozen=True)
class Instance:
    """One instance file that can be run.

    Attributes:
        role: in the singular.
        name: of the file.
        path: absolute.
        sha256: of the file's content, 64 hex digits.
        arguments: as the role takes them.
        exposed: the line of a password that everybody on this host can read, or None.
    """

    role: str
    name: str
    path: Path
    sha256: str
    arguments: Arguments
    exposed: int | None = None

    @property
    def program(self) -> str:
        """Its name in supervisord: role and instance."""
        return f"{self.role}-{self.name}"

    @property
    def title(self) -> str:
        """Its name for operators: `role/name`."""
        return f"{self.role}/{self.name}"


@dataclass(frozen=True)
class InvalidInstance:
    """One that cannot be run: its `role/name` as far as it has one, and why."""

    title: str
    error: ConfigurationError


@dataclass(frozen=True)
class InstanceFiles:
    """All of a configuration folder, in the order in which instances are started.

    Attributes:
        backups: the backup files in it, as paths below it.
        unknown_folders: a warning for each folder that is no role's.
    """

    instances: tuple[Instance, ...]
    invalid: tuple[InvalidInstance, ...]
    backups: tuple[str, ...] = ()
    unknown_folders: tuple[str, ...] = ()

    @property
    def warnings(self) -> list[str]:
        """What works, but should not stay as it is."""
        return [
            f"{one.path}:{one.exposed}: a password stands in a file that everybody on this host may read; "
            "take that right away, or write ${file:/PATH} in its place"
            for one in self.instances
            if one.exposed is not None
        ]

    @property
    def notes(self) -> list[str]:
        """The names in files that mean nothing here or are deprecated, once each."""
        found_at: dict[str, list[str]] = {}
        for one in self.instances:
            found = [(f"{name} means nothing here ({why})", argument) for name, why, argument in one.arguments.passed]
            found += [
                (f"{old} is deprecated; write {new}", argument) for old, new, argument in one.arguments.deprecated
            ]
            for note, argument in found:
                found_at.setdefault(note, []).append(f"{one.title}:{argument.line}")
        return [f"{note}: {', '.join(found)}" for note, found in found_at.items()]


def read_instances(config_dir: Path, env: Environment) -> InstanceFiles:
    """Read every instance file; one that is broken keeps no other from being read.

    Args:
        config_dir: with one folder a role, in the plural.
        env: for `${env:NAME}`; see `argument_files.environment`.

    Raises:
        ConfigurationError: the folder itself cannot be read.
    """
    instances: list[Instance] = []
    invalid: list[InvalidInstance] = []
    backups: list[str] = []
    files, unknown_folders = _files(config_dir)
    for path in files:
        if _BACKUP.search(path.name):
            backups.append(str(path.relative_to(config_dir)))
            continue
        try:
            instances.append(_read(path, config_dir, env))
        except ConfigurationError as error:
            invalid.append(InvalidInstance(f"{path.parent.name.removesuffix('s')}/{path.name}", error))
        except OSError as error:
            invalid.append(
                InvalidInstance(path.name, ConfigurationError(f"cannot be read: {error.strerror}", str(path)))
            )
    order = {role: number for number, role in enumerate(roles.ROLES)}
    instances.sort(key=lambda instance: (order[instance.role], instance.name))
    together = {instance.title: instance.arguments for instance in instances}
    for title, conflict in conflicts(together, env).items():
        invalid.append(InvalidInstance(title, conflict))
        instances = [instance for instance in instances if instance.title != title]
    return InstanceFiles(tuple(instances), tuple(invalid), tuple(backups), tuple(unknown_folders))


def titles(config_dir: Path) -> list[str]:
    """Return `role/name` of every instance, also for a user who may read none of the files.

    Raises:
        ConfigurationError: the folder itself, or that of a role, cannot be read.
    """
    found = []
    for path in _files(config_dir)[0]:
        if path.parent == config_dir and path.name in _FOLDERS:
            raise ConfigurationError("the folder cannot be read", str(path))
        if path.parent != config_dir and not _BACKUP.search(path.name):
            found.append(f"{roles.singular(path.parent.name)}/{path.name}")
    return found


def _files(config_dir: Path) -> tuple[list[Path], list[str]]:
    """Return the files of all roles and other files to look at, and complaints about folders that are no role's."""
    files: list[Path] = []
    unknown_folders: list[str] = []
    try:
        folders = sorted(path for path in config_dir.iterdir() if not _hidden(path.name))
    except OSError as error:
        raise ConfigurationError(
            f"the configuration folder cannot be read: {error.strerror}", str(config_dir)
        ) from None
    for folder in folders:
        if not folder.is_dir() or _BACKUP.search(folder.name):
            files.append(folder)
        elif folder.name not in _FOLDERS:
            # The original's have neighbours here, such as services/.
            near = nearest(folder.name, _FOLDERS)
            expected = f"did you mean {near}?" if near else f"those are {', '.join(_FOLDERS)}"
            unknown_folders.append(f"{folder}: is no role's folder, and what is in it is passed over; {expected}")
        else:
            files += _files_of_role(folder)
    return files, unknown_folders


def _files_of_role(folder: Path) -> list[Path]:
    try:
        return [folder / name for name in sorted(path.name for path in folder.iterdir()) if not _hidden(name)]
    except OSError:
        return [folder]


def _hidden(name: str) -> bool:
    # Vim's swap files are hidden as well; they show that somebody is editing.
    return name.startswith(".") and not _BACKUP.search(name)


def _read(path: Path, config_dir: Path, env: Environment) -> Instance:
    file = str(path)
    if path.parent == config_dir:
        raise ConfigurationError(f"is in no role's folder; expected one of {', '.join(_FOLDERS)}", file)
    role = roles.singular(path.parent.name)
    if not NAME.fullmatch(path.name):
        raise ConfigurationError("the name may hold only letters, digits, '.', '_' and '-'", file)
    if path.is_dir():
        raise ConfigurationError("is a folder; expected a file with one argument a line", file)
    if path.is_fifo():
        # Reading it would wait for a writer.
        raise ConfigurationError("is a pipe; expected a file with one argument a line", file)
    try:
        data = path.read_bytes()
        for_everybody = bool(path.stat().st_mode & stat.S_IROTH)
    except OSError as error:
        raise ConfigurationError(f"cannot be read: {error.strerror}", file) from None
    try:
        lines = read_lines(data, file, env)
        arguments = check_arguments(role, lines, env)
    except ConfigurationError as error:
        # An empty file has no line that could carry its name.
        raise error.at(file) from None
    exposed = next((line.line for line in lines if line.has_password), None) if for_everybody else None
    return Instance(role, path.name, path, hashlib.sha256(data).hexdigest(), arguments, exposed)
