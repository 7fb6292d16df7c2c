# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Reads instance files and command lines into arguments that know their file and line.

Not argparse's `@file`: that takes `--opt value` on one line for a positional, lets an optional value swallow the next
line, and makes an argument of a blank line.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from elworkers.core import regular_file
from elworkers.core.errors import ConfigurationError
from elworkers.core.passwords import has_password, remember

_LONGEST_SECRET = 10_000

_VARIABLE = re.compile(r"\$\{env:([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}|\$\{file:([^}]*)\}")


@dataclass(frozen=True)
class Argument:
    """One argument and where it was written; `line` counts from 1 and is None on a command line.

    Attributes:
        has_password: whether a password stands in the file itself.
    """

    text: str
    file: str | None = None
    line: int | None = None
    has_password: bool = False

    def error(self, message: str) -> ConfigurationError:
        """Return an error that names this argument's file and line."""
        return ConfigurationError(message, self.file, self.line)


Environment = Mapping[str, str]


def environment(run_dir: Path | None) -> dict[str, str]:
    """Return this process's environment over the NAME=VALUE lines of `<run-dir>/env`."""
    values: dict[str, str] = {}
    if run_dir is not None and (run_dir / "env").is_file():
        for line in (run_dir / "env").read_text(encoding="utf-8").splitlines():
            name, equals, value = line.partition("=")
            if equals and not line.startswith("#"):
                values[name.strip()] = value
    return values | dict(os.environ)


def process_environment() -> dict[str, str]:
    """Return `environment` of the run folder that EVENTLOGGING_RUN_DIR names, if it does."""
    run_dir = os.environ.get("EVENTLOGGING_RUN_DIR")
    return environment(Path(run_dir) if run_dir else None)


def read_lines(data: bytes, name: str, env: Environment) -> list[Argument]:
    """Return the arguments in an instance file: one a line, with `${env:NAME:-default}` and `${file:/PATH}` resolved.

    Raises:
        ConfigurationError: names the line that is not UTF-8, whose variable is not set or whose file cannot be read.
    """
    arguments = []
    for number, raw in enumerate(data.split(b"\n"), 1):
        try:
            text = raw.decode("utf-8").strip("\r").strip()
        except UnicodeDecodeError as error:
            message = f"byte {error.start + 1} of the line is not UTF-8; expected an argument in UTF-8"
            raise ConfigurationError(message, name, number) from None
        if "\0" in text:
            raise ConfigurationError("the line holds a NUL byte; expected an argument", name, number)
        if text and not text.startswith("#"):
            literally = _VARIABLE.sub(lambda match: match[2] or "", text)
            arguments.append(Argument(_resolved(text, env, name, number), name, number, has_password(literally)))
    return arguments


def _resolved(text: str, env: Environment, name: str, number: int) -> str:
    def value(match: re.Match[str]) -> str:
        if match[3] is not None:
            return _content(match[3], name, number)
        found = env.get(match[1])
        if found:
            return found
        if match[2] is None:
            message = f"the variable {match[1]} is not set; set it in the environment or in <run-dir>/env"
            raise ConfigurationError(message, name, number)
        return match[2]

    return _VARIABLE.sub(value, text)


def _content(path: str, name: str, number: int) -> str:
    """Return the one line of a file: a secret, as a rule."""
    if not path.startswith("/"):
        raise ConfigurationError("${file:…} is not an absolute path; expected ${file:/PATH}", name, number)
    try:
        text = regular_file.read(Path(path), 4 * _LONGEST_SECRET + 2).decode("utf-8").strip("\r\n")
    except OSError as error:
        raise ConfigurationError(f"${{file:{path}}} cannot be read: {error.strerror}", name, number) from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"${{file:{path}}} is not UTF-8; expected one line of it", name, number) from None
    if not text or len(text) > _LONGEST_SECRET or "\n" in text or "\0" in text:
        expected = f"expected one line of 1 to {_LONGEST_SECRET} characters"
        raise ConfigurationError(f"${{file:{path}}} holds something else; {expected}", name, number)
    remember(text)
    return text


def _of_file(name: str) -> bytes:
    return Path(name).read_bytes()


def read_command_line(
    argv: Sequence[str], env: Environment, content: Callable[[str], bytes] = _of_file
) -> list[Argument]:
    """Return the arguments of a command line, where `@FILE` stands for the file's lines.

    Args:
        argv: of the command line.
        env: for `${env:NAME}`.
        content: reads a file.

    Raises:
        ConfigurationError: a file cannot be read, or see `read_lines`.
    """
    arguments: list[Argument] = []
    for argument in argv:
        if argument.startswith("@") and len(argument) > 1:
            try:
                arguments += read_lines(content(argument[1:]), argument[1:], env)
            except OSError as error:
                raise ConfigurationError(f"cannot be read: {error.strerror}", argument[1:]) from None
        else:
            arguments.append(Argument(argument))
    return arguments
