# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Rows for operators, and the Nagios check."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elworkers import __version__
from elworkers.control import worker_states
from elworkers.control.check import CRITICAL, OK, UNKNOWN, WARNING, Limits, nagios
from elworkers.control.status import Row, table
from elworkers.control.worker_states import WorkerStates

FINE = Row("processor", "client-side-00", "RUNNING", 42, 90_061, WorkerStates(3, 3, 1))
SHORT = Row("processor", "client-side-01", "RUNNING", 43, 5, WorkerStates(1, 2))
ENDED = Row("consumer", "mysql", "EXITED", note="configuration: no database")
BROKEN = Row("consumer", "files", "RUNNING", 44, 5, WorkerStates(1, 1), note="files:2: no such option", invalid=True)
DYING = WorkerStates(1, 1, crashes=4, crash="exit code 1: crashed: KeyError: 76")
CRASHING = Row("consumer", "sql", "RUNNING", 45, 5, DYING)
ASIDE = Row("processor", "p", "RUNNING", 46, 5, WorkerStates(1, 1, aside={"schema Foo/3": "no type 'timestamp'"}))


def waiting(seconds: float, reason: str = "MySQL db1:3306: Connection refused") -> Row:
    return Row("consumer", "mysql", "RUNNING", 47, 600, WorkerStates(1, 1, reason=reason, waits_s=seconds))


def test_a_row_says_what_is_missing_and_who_is_idle() -> None:
    lines = table([FINE, SHORT, ENDED, BROKEN]).splitlines()
    assert lines[0].split() == ["ROLE", "INSTANCE", "STATE", "PID", "UPTIME", "WORKERS"]
    assert lines[1].endswith("RUNNING  42   1d 1:01:01  3/3 (1 idle)")
    assert lines[2].endswith("0:00:05     1/2")
    assert lines[4] == "    configuration: no database"
    assert lines[6] == "    files:2: no such option"


def test_a_row_says_who_waits_and_crashes_and_what_is_set_aside() -> None:
    text = table([waiting(312), CRASHING, ASIDE], 80)
    assert max(map(len, text.splitlines())) <= 80
    assert "(0:05:12): MySQL db1:3306: Connection refused\n" in table([waiting(312)]) + "\n"
    assert "consumer   mysql     WAITING" in text
    assert "UTC (0:05:12): MySQL db1:3306: Connection refused" in " ".join(text.split())
    assert "consumer   sql       CRASHING" in text
    assert "died 4 times in ten minutes; exit code 1: crashed: KeyError: 76" in text
    assert "RUNNING" in text
    assert "set aside: schema Foo/3: no type 'timestamp'" in text


def test_it_is_said_who_runs_another_version() -> None:
    assert "version" not in table([Row("processor", "p", "RUNNING", 46, 5, WorkerStates(1, 1, version=__version__))])
    shown = table([Row("processor", "p", "RUNNING", 46, 5, WorkerStates(1, 1, version="0.0.9"))])
    assert shown.endswith(f"\n    runs version 0.0.9; `restart` starts {__version__}")


def test_it_is_said_since_when_something_is_set_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 1_480_007_200.0)
    aside = {"topic a": "quota", "topic b": "zstd"}
    row = Row(
        "importer", "all", "RUNNING", 48, 5, WorkerStates(1, 1, aside=aside, aside_since={"topic a": 1_480_000_000})
    )
    shown = table([row])
    assert "set aside since 2016-11-24 15:06:40 UTC (2:00:00): topic a: quota\n" in shown
    assert "set aside: topic b: zstd" in shown
    _, text = nagios([row])
    assert "topic a since 2016-11-24 15:06:40 UTC (2:00:00) (quota), topic b (zstd)" in text


def test_the_check_counts_workers_too() -> None:
    assert nagios([FINE]) == (OK, "OK: 1 EventLogging jobs are running.")
    assert nagios([FINE, BROKEN]) == (
        WARNING,
        "WARNING: consumer/files keeps its previous configuration; its file is invalid (files:2: no such option)",
    )
    assert nagios([FINE], warnings=["a file"]) == (WARNING, "WARNING: a file")
    code, text = nagios([FINE, SHORT, ENDED])
    assert (code, text) == (
        CRITICAL,
        "CRITICAL: Stopped EventLogging jobs: processor/client-side-01 consumer/mysql",
    )
    assert nagios([])[0] == UNKNOWN


@pytest.mark.parametrize(
    ("row", "limits", "code", "said"),
    [
        (waiting(59), Limits(), OK, "OK: 1 EventLogging jobs are running."),
        (waiting(61), Limits(), WARNING, "consumer/mysql has waited 0:01:01 (MySQL db1:3306: Connection refused)"),
        (waiting(301), Limits(), CRITICAL, "consumer/mysql has waited 0:05:01"),
        (waiting(61), Limits(90, 900), OK, "OK"),
        (waiting(61), Limits(5, 10), CRITICAL, "0:01:01"),
        (ASIDE, Limits(), WARNING, "processor/p has set aside schema Foo/3 (no type 'timestamp')"),
        (CRASHING, Limits(), CRITICAL, "consumer/sql crashes again and again (exit code 1: crashed: KeyError: 76)"),
    ],
)
def test_the_check_grows_worse_with_time(row: Row, limits: Limits, code: int, said: str) -> None:
    found, text = nagios([row], limits)
    assert found == code
    assert said in text


def test_the_worst_comes_first_and_nothing_is_left_out() -> None:
    code, text = nagios([ASIDE, waiting(100), CRASHING, SHORT])
    assert code == CRITICAL
    assert text.startswith("CRITICAL: Stopped EventLogging jobs: processor/client-side-01; consumer/sql crashes")
    assert text.index("consumer/sql") < text.index("processor/p")
    assert "consumer/mysql has waited" in text


@given(st.text())
def test_what_others_wrote_does_nothing_to_a_terminal_or_to_nagios(text: str) -> None:
    hostile = WorkerStates(1, 1, reason=f"x{text}", waits_s=1e6, aside={text: text}, crashes=9, crash=text)
    row = Row("consumer", "mysql", "RUNNING", 1, 1, hostile)
    code, line = nagios([row])
    assert code == CRITICAL
    assert line.isprintable()
    assert "|" not in line
    shown = table([row, Row("consumer", "a", "EXITED", note=text)], 80)
    assert all(line.isprintable() and len(line) <= 80 for line in shown.split("\n"))


def test_no_password_of_a_note_is_shown() -> None:
    rows = [waiting(9, "mysql://u:secret@db/log: away"), Row("consumer", "a", "EXITED", note="mysql://u:secret@db: no")]
    assert "secret" not in table(rows)
    assert "mysql://u:***@db" in table(rows)
    assert "secret" not in nagios([waiting(999, rows[0].workers.reason)])[1]


STATE: dict[str, Any] = {
    "pid": 7,
    "wanted": 2,
    "workers": [
        {"pid": 8, "state": "idle", "reason": "", "reason_since": 0.0, "crashes": 0, "crash": ""},
        {"pid": 9, "state": "waiting", "reason": "later", "reason_since": 100.0, "crashes": 1, "crash": "exit code 1"},
        {"pid": 9, "state": "waiting", "reason": "first", "reason_since": 50.0, "crashes": 3, "crash": "SIGSEGV"},
    ],
}
for one in STATE["workers"]:
    one |= {"aside": {f"schema S/{one['pid']}": "why"}, "more_aside": 1, "aside_since": {f"schema S/{one['pid']}": 5}}


def test_the_workers_of_a_state_file_are_summed_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "s").write_text(json.dumps(STATE), encoding="utf-8")
    monkeypatch.setattr(time, "monotonic", lambda: 150.0)
    found = worker_states.read(tmp_path / "s", 7)
    assert (found.alive, found.wanted, found.idle) == (2, 2, 1)
    assert (found.reason, found.waits_s) == ("first", 100.0)
    assert (found.crashes, found.crash) == (3, "SIGSEGV")
    assert found.aside == {"schema S/8": "why", "schema S/9": "why"}
    assert found.more_aside == 3
    assert found.aside_since == {"schema S/8": 5, "schema S/9": 5}
    assert worker_states.read(tmp_path / "s", 6) == WorkerStates()


def test_a_parent_that_is_silent_is_taken_for_one_that_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "s").write_text(json.dumps({**STATE, "workers": [], "written": 100.0}), encoding="utf-8")
    monkeypatch.setattr(time, "monotonic", lambda: 120.0)
    assert worker_states.read(tmp_path / "s", 7).reason == ""
    monkeypatch.setattr(time, "monotonic", lambda: 190.0)
    found = worker_states.read(tmp_path / "s", 7)
    assert (found.reason, found.waits_s) == ("its parent has not written its state since then", 90.0)


def test_a_parent_of_before_an_update_is_understood(tmp_path: Path) -> None:
    old = {"pid": 7, "wanted": 1, "workers": [{"pid": 8, "state": "idle", "restarts": 0}]}
    (tmp_path / "s").write_text(json.dumps(old), encoding="utf-8")
    assert worker_states.read(tmp_path / "s", 7) == WorkerStates(1, 1, 1)


@pytest.mark.parametrize("said", [{}, {"pid": 7}, {"pid": 7, "wanted": 1, "workers": [{}]}, [], None])
def test_a_state_file_that_is_none_says_nothing(tmp_path: Path, said: Mapping[str, Any] | None) -> None:
    (tmp_path / "s").write_text(json.dumps(said), encoding="utf-8")
    assert worker_states.read(tmp_path / "s", 7) == WorkerStates()
