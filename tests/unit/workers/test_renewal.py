# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""What starts a pool's parent once more."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from waiting import wait_for

from elworkers.workers import renewal as module
from elworkers.workers.handover import Configuration, HandedOver
from elworkers.workers.renewal import Renewal, RenewalError, own_command
from elworkers.workers.scoreboard import LAYOUT, Scoreboard


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


CONFIGURATION = Configuration([("stdin:", "f", 1)], "f", "ab", 7.0)
READS = """
import os
from elworkers.workers import handover
from elworkers.workers.handover import Configuration
file = int(os.environ[handover.VARIABLE])
assert handover.take(os.dup(file)).wanted == 2
handover.add(file, Configuration([("stdin:", "g", 1)], "g", "cd", 8.0))
"""


@pytest.fixture
def handed() -> Iterator[HandedOver]:
    scoreboard = Scoreboard()
    file = os.dup(scoreboard.file)
    yield HandedOver(os.getpid(), 4, 1, 2, (file, LAYOUT), [], [])
    os.close(file)


def renewal(*command: str, handed: HandedOver | None = None) -> Renewal:
    return Renewal(CONFIGURATION, handed, command)


def python(text: str) -> tuple[str, ...]:
    return sys.executable, "-c", text


def answered(one: Renewal) -> Configuration:
    """What the child has read, once it is done."""
    return wait_for(one.check_result, 30.0, "an answer")


def descriptors() -> set[str]:
    """What a renewal opens, and nothing that a client of an earlier test opens or closes meanwhile."""
    found = set()
    for path in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            if str(path.readlink()).startswith(("/memfd:handover", "/memfd:said")):
                found.add(path.name)
    return found


def test_a_child_reads_the_configuration_of_the_next_image(handed: HandedOver) -> None:
    before = descriptors()
    one = renewal(*python(READS))
    assert one.check_result() is None
    assert not one.is_checking
    one.start_check(handed)
    assert one.is_checking
    assert answered(one) == Configuration([("stdin:", "g", 1)], "g", "cd", 8.0)
    assert not one.is_checking
    assert one.check_result() is None
    assert descriptors() == before


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("print('f:2: no such option'); raise SystemExit(78)", "f:2: no such option"),
        ("print('mysql://u:hunter2@h/log: away'); raise SystemExit(78)", r"mysql://u:\*\*\*@h/log: away"),
        ("raise SystemExit(78)", "the check ended with 78"),
        ("print('x' * 5000, 'the end'); raise SystemExit(1)", "^x{900,} the end$"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "the check ended with -9"),
        ("", "the check has left no result"),
    ],
    ids=["reason", "password", "silent", "long", "killed", "nothing"],
)
def test_there_is_no_next_image_where_the_check_says_no(handed: HandedOver, text: str, said: str) -> None:
    before = descriptors()
    one = renewal(*python(text))
    one.start_check(handed)
    with pytest.raises(RenewalError, match=said) as caught:
        answered(one)
    assert len(str(caught.value)) <= 1_000
    assert descriptors() == before
    # And another one can be asked.
    one.start_check(handed)
    with pytest.raises(RenewalError):
        answered(one)


def test_a_check_that_does_not_end_is_ended(handed: HandedOver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CHECKS_WITHIN_S", 0.0)
    one = renewal(*python("import time; time.sleep(3600)"))
    one.start_check(handed)
    with pytest.raises(RenewalError, match="the configuration was not read within 0 s"):
        answered(one)
    assert not one.is_checking


def test_of_an_earlier_child_nobody_wants_to_know(handed: HandedOver, tmp_path: Path) -> None:
    before = descriptors()
    one = renewal(*python(f"import os, time; open('{tmp_path}/' + str(os.getpid()), 'w'); time.sleep(3600)"))
    one.start_check(handed)
    (first,) = wait_for(lambda: list(tmp_path.iterdir()), 30.0, "the first child")
    one.start_check(handed)
    assert not psutil.pid_exists(int(first.name))
    one.cancel()
    assert not one.is_checking
    assert descriptors() == before


def test_a_command_that_is_not_there_leaves_everything_as_it_was(handed: HandedOver) -> None:
    before = descriptors()
    one = renewal("/no/such/command")
    with pytest.raises(RenewalError, match="/no/such/command: No such file or directory"):
        one.start_check(handed)
    with pytest.raises(RenewalError, match="/no/such/command: No such file or directory"):
        one.execute(handed)
    assert descriptors() == before
    # Workers that are started from now on get none of it.
    assert not os.get_inheritable(handed.scoreboard[0])


def test_the_next_image_has_the_pid_of_the_one_before(handed: HandedOver, tmp_path: Path) -> None:
    told = tmp_path / "told"
    text = f"""
import os
from elworkers.workers import handover
found = handover.take(int(os.environ[handover.VARIABLE]))
open({str(told)!r}, "w").write(f"{{os.getpid()}} {{found.renewals}} {{found.shared_scoreboard()[1]}}")
"""
    pid = os.fork()
    if pid == 0:
        try:
            renewal(*python(text)).execute(handed)
        finally:
            os._exit(99)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert told.read_text(encoding="ascii") == f"{pid} 4 True"


def test_images_are_counted(handed: HandedOver) -> None:
    assert renewal("x").number == 0
    assert renewal("x", handed=handed).number == 4
