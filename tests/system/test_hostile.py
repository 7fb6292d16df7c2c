"""Hostile lines among good ones, through the installed commands: each good one arrives, each other is accounted for."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hostile import SOUND, capsule, case_lines, invalid_lines, write_schemas
from topology import BIN

DEADLINE_S = 120.0
NUMBERED = 1_000_000


@pytest.fixture(scope="module")
def schemas(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_schemas(tmp_path_factory.mktemp("hostile") / "schemas")


def among_good(lines: list[bytes]) -> Iterator[bytes]:
    """The lines, each between two good ones that carry its number."""
    for at, line in enumerate(lines):
        yield capsule(SOUND, {"a": at}, NUMBERED + at)
        yield line
    yield capsule(SOUND, {"a": len(lines)}, NUMBERED + len(lines))


def processed(lines: list[bytes], schemas: Path) -> list[dict[str, Any]]:
    """What a processor makes of the lines."""
    command = [BIN / "eventlogging-processor", "%j", "stdin:", "stdout:", "--output-invalid", f"--schemas={schemas}"]
    done = subprocess.run(
        command, input=b"\n".join(lines) + b"\n", capture_output=True, check=False, timeout=DEADLINE_S
    )
    assert done.returncode == 0, done.stderr.decode()[-2_000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_every_invalid_line_becomes_an_event_error_and_its_neighbours_go_on(schemas: Path) -> None:
    lines = list(among_good(invalid_lines()))
    made = processed(lines, schemas)
    assert len(made) == len(lines)
    valid = [one["event"] for one in made if one["schema"] != "EventError"]
    assert valid == [{"a": at} for at in range(len(invalid_lines()) + 1)]


def test_each_case_gives_one_event_and_its_neighbours_go_on(schemas: Path) -> None:
    lines = list(among_good(case_lines()))
    made = processed(lines, schemas)
    assert len(made) == len(lines)
    good = {one["uuid"] for one in made if int(one["uuid"], 16) >= NUMBERED and one["schema"] == SOUND}
    assert {f"{NUMBERED + at:032x}" for at in range(len(case_lines()) + 1)} <= good
