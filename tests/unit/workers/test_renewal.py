# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""What starts a pool's parent once more."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from elworkers.workers.renewal import own_command


@pytest.mark.parametrize(
    ("first", "interpreter"),
    [
        (b"#!/opt/v1/bin/python", "/opt/v1/bin/python"),
        (b"#!/opt/v1/bin/python -E", "/opt/v1/bin/python"),
        (b"#!/usr/bin/env python3", "python3"),
        (b"#!/bin/sh\n'''exec' /opt/v1/bin/python \"$0\" \"$@\"", "/opt/v1/bin/python"),
    ],
)
def test_a_script_is_started_by_its_own_name(tmp_path: Path, first: bytes, interpreter: str) -> None:
    script = tmp_path / "eventlogging-forwarder"
    script.write_bytes(first + b"\nimport elworkers\n\xff")
    script.chmod(0o755)
    assert own_command([interpreter, str(script), "@file"]) == [str(script), "@file"]
    # Somebody has chosen another interpreter.
    assert own_command(["/usr/bin/python", str(script), "@file"]) == [sys.executable, str(script), "@file"]
    script.chmod(0o644)
    assert own_command([interpreter, str(script), "@file"]) == [sys.executable, str(script), "@file"]


@pytest.mark.parametrize(
    "words", [["-m", "elworkers", "forwarder"], ["-E", "/no/such/script"], ["/no/such/script"], []]
)
def test_anything_else_is_started_by_this_interpreter(words: list[str]) -> None:
    assert own_command(["python3", *words]) == [sys.executable, *words]
