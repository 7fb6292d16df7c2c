# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""What every command has in common: its help, its version, and what it answers to a wrong command line."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from elworkers import __version__
from elworkers.config.arguments import Option, RoleSpec
from elworkers.config.role_help import help_text

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


def run(*words: str, columns: int = 100) -> subprocess.CompletedProcess[str]:
    command = [BIN / words[0], *words[1:]]
    env = os.environ | {"COLUMNS": str(columns)}
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=env)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_wrong_command_line_ends_with_2(command: str) -> None:
    done = run(command, "--no-such-option")
    assert done.returncode == 2
    assert not done.stdout
    assert command in done.stderr


@pytest.mark.parametrize("words", [(command,) for command in COMMANDS] + WITH_VERBS)
def test_the_help_can_be_read_in_80_columns(words: tuple[str, ...]) -> None:
    done = run(*words, "--help", columns=80)
    assert done.returncode == 0
    assert done.stdout.startswith(f"usage: {words[0]}")
    _, what, *_, example = done.stdout.rstrip().split("\n\n")
    assert re.fullmatch(r"[A-Z][^.].*\.", what, re.DOTALL), "it begins with what it does"
    assert re.fullmatch(rf"examples?:\n  .*{' '.join(words)}.*", example, re.DOTALL), "it ends with an example"
    for line in done.stdout.splitlines():
        assert_is_in_columns(line, 80)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_can_be_read_in_200_columns(command: str) -> None:
    for line in run(command, "--help", columns=200).stdout.splitlines():
        assert_is_in_columns(line, 200)


def assert_is_in_columns(line: str, columns: int) -> None:
    """A name is on a line of its own, or two blanks stand between it and its text."""
    assert len(line) < columns, line
    entry = r"  -\S*( [A-Z]\S*)?(, -\S*( [A-Z]\S*)?)*(  +\S.*)?"
    assert re.fullmatch(entry, line) or not line.startswith("  -"), line


@pytest.mark.parametrize("command", COMMANDS)
def test_the_version_is_told(command: str) -> None:
    assert __version__ in run(command, "--version").stdout


@pytest.mark.parametrize("length", [20, 24, 25, 40])
def test_a_long_name_never_runs_into_its_text(length: int) -> None:
    flag = "--" + "x" * (length - 8)
    text = help_text(RoleSpec("role", "Flows.", (), (Option(flag, "word " * 40),)))
    assert re.search(rf"^  {flag} VALUE(  |$)", text, re.MULTILINE)
    assert max(map(len, text.splitlines())) <= 120
