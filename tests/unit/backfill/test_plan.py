# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Command lines of `eventlogging-backfill`, and state files that it cannot go on with."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from elworkers.backfill import command
from elworkers.backfill.plan import plan
from elworkers.backfill.state import State, locked
from elworkers.core.errors import EX_CONFIG, EX_USAGE, ConfigurationError, RetryableError

TOPIC = "kafka:///k1:9092?topic=raw"
DATABASE = "mysql://u:hunter2@h/log"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "events.log"
    path.write_bytes(b"{}\n")
    return path


def said(capsys: pytest.CaptureFixture[str], code: int, *argv: str) -> str:
    """The one line that a wrong command line comes to."""
    assert command.main(list(argv)) == code
    shown = capsys.readouterr()
    assert "hunter2" not in shown.out + shown.err
    (line,) = shown.err.splitlines()
    return line


@pytest.mark.parametrize(
    ("argv", "code", "expected"),
    [
        (["%j", "LOG", "stdout:", "--from=noon"], EX_USAGE, "expected a time as 2016-07-29T12:00:00Z or 2016-07-29"),
        (["%j", "LOG", "stdout:", "--from=2016-07-29"], EX_CONFIG, "--from and --to are only for topics"),
        (["%j", "LOG", TOPIC, "stdout:"], EX_CONFIG, "INPUT: files and topics; expected one of the two"),
        (["%j", TOPIC, "kafka:///k2:9092?topic=raw", "stdout:"], EX_CONFIG, "topics of several clusters"),
        (["%j", "LOG", "LOG", "stdout:"], EX_CONFIG, "events.log is given twice; expected it once"),
        (["%j", "/no/such/log", "stdout:"], EX_CONFIG, "INPUT /no/such/log: does not exist; expected log files"),
        (["%j", "/", "stdout:"], EX_CONFIG, "INPUT /: is not a file; expected log files"),
        (["%j", "file:///x?follow=True", "stdout:"], EX_CONFIG, "option follow; expected files without options"),
        (["%j", "udp://127.0.0.1:1", "stdout:"], EX_CONFIG, "cannot be continued after an interruption"),
        (["%j", "LOG", "stdout:", f"--output-invalid={DATABASE}"], EX_CONFIG, "expected a Kafka topic or a file"),
        (["%z", "LOG", "stdout:"], EX_CONFIG, "%z"),
        (["%j", "LOG"], EX_USAGE, "INPUT is missing; expected eventlogging-backfill FORMAT INPUT… OUTPUT"),
    ],
)
def test_what_cannot_work_is_said_in_a_line(
    log: Path, capsys: pytest.CaptureFixture[str], argv: list[str], code: int, expected: str
) -> None:
    assert expected in said(capsys, code, *(str(log) if one == "LOG" else one for one in argv))


def test_a_command_line_can_be_checked(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["%j", str(log), DATABASE, "--check"]) == 0
    assert capsys.readouterr().out == "eventlogging-backfill: the arguments are valid\n"
    assert list(log.parent.iterdir()) == [log]


def test_what_an_earlier_run_has_left_is_no_input(log: Path) -> None:
    left = [log.with_name(log.name + end) for end in (".rejected", ".backfill", ".backfill.lock", ".backfill.new")]
    for path in left:
        path.touch()
    made = plan(["%j", str(log), *map(str, left), "stdout:"])
    assert made.paths == (log,)
    assert made.state == log.with_name("events.log.backfill")
    assert plan(["%j", TOPIC, "stdout:"]).state == Path.cwd() / "raw.backfill"


def test_a_state_file_tells_backfills_apart_and_hides_passwords(log: Path, tmp_path: Path) -> None:
    path = tmp_path / "state"
    first = plan(["%j", str(log), DATABASE])
    State(path, first.identity).save()
    assert "hunter2" not in path.read_text(encoding="utf-8")
    State(path, first.identity)
    other = plan(["%j", str(log), "stdout:"])
    with pytest.raises(ConfigurationError, match=r"whose output is mysql://h/log, not stdout:.*--again to begin anew"):
        State(path, other.identity)
    assert not State(path, other.identity, again=True).begun


@pytest.mark.parametrize("content", [b"", b"torn", b"[]", b'{"files": {}}'])
def test_what_is_no_state_file_is_said(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "state"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match="is not a state file; expected --state FILE with another name"):
        State(path, {})


def test_a_folder_in_its_place_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read: Is a directory"):
        State(tmp_path, {})
    with (
        pytest.raises(ConfigurationError, match="cannot be written there: No such file or directory"),
        locked(tmp_path / "no" / "state"),
    ):
        pass
    state = State(tmp_path / "no" / "state", {})
    with pytest.raises(RetryableError, match="cannot be written: No such file or directory"):
        state.save()


def test_a_file_is_read_on_only_while_it_is_the_same(log: Path, tmp_path: Path) -> None:
    state = State(tmp_path / "state", {})
    known = state.begin(log)
    known.position, known.size = 3, 3
    assert state.begin(log) is known
    with log.open("ab") as file:
        file.write(b"more\n")
    assert (state.begin(log).position, state.begin(log).size) == (3, -1)
    os.replace(log, f"{log}.1")  # noqa: PTH105 - as logrotate does
    with pytest.raises(RetryableError, match=r"events\.log: cannot be read: No such file"):
        state.begin(log)
    log.write_bytes(b"another\n")
    assert (state.begin(log).position, state.begin(log).size) == (0, -1)
