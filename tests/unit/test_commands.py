# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""What every command has in common: its help, its version, and what it answers to a wrong command line."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from elworkers import __version__
from elworkers.config.arguments import Option, RoleSpec, help_text

BIN = Path(sys.executable).parent
PROJECT = tomllib.loads((Path(__file__).parent.parent.parent / "pyproject.toml").read_text(encoding="utf-8"))
COMMANDS = sorted(PROJECT["project"]["scripts"])
VERBS = {
    "eventloggingctl": (
        *("start", "stop", "restart", "status", "tail", "update", "check", "reopen-logs", "shutdown", "import"),
    ),
    "eventlogging-schema": ("migrate-tables",),
    "eventlogging-devstack": ("up", "down", "env", "status"),
}
WITH_VERBS = [(command, verb) for command, verbs in VERBS.items() for verb in verbs]


def run(*words: str) -> subprocess.CompletedProcess[str]:
    command = [BIN / words[0], *words[1:]]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_wrong_command_line_ends_with_2(command: str) -> None:
    done = run(command, "--no-such-option")
    assert done.returncode == 2
    assert not done.stdout
    assert command in done.stderr


@pytest.mark.parametrize("words", [(command,) for command in COMMANDS] + WITH_VERBS)
def test_the_help_can_be_read_in_columns(words: tuple[str, ...]) -> None:
    done = run(*words, "--help")
    assert done.returncode == 0
    assert done.stdout.startswith(f"usage: {words[0]}")
    for line in done.stdout.splitlines():
        # A name is on a line of its own, or two blanks stand between it and its text.
        assert re.fullmatch(r"  -\S*( [A-Z]\S*)?(, -\S*( [A-Z]\S*)?)*(  +\S.*)?", line) or not line.startswith("  -"), (
            line
        )


@pytest.mark.parametrize("command", COMMANDS)
def test_the_version_is_told(command: str) -> None:
    assert __version__ in run(command, "--version").stdout


@pytest.mark.parametrize("length", [20, 24, 25, 40])
def test_a_long_name_never_runs_into_its_text(length: int) -> None:
    flag = "--" + "x" * (length - 8)
    text = help_text(RoleSpec("role", "Flows.", (), (Option(flag, "word " * 40),)))
    assert re.search(rf"^  {flag} VALUE(  |$)", text, re.MULTILINE)
    assert max(map(len, text.splitlines())) <= 120
