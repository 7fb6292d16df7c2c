# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Log lines: who speaks, and no password."""

from __future__ import annotations

import io
import json
import logging
import os
import re
import subprocess
import sys

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from elworkers.core import log


def test_every_line_is_json_with_role_instance_worker_and_host(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("info", role="processor", instance="client-side-00", worker=1)
    structlog.get_logger("x").info("started", workers=4)
    line = json.loads(capsys.readouterr().err)
    assert {"role": "processor", "instance": "client-side-00", "worker": 1, "event": "started"}.items() <= line.items()
    assert line["host"]
    assert line["timestamp"].endswith("Z")


def test_when_how_bad_the_code_and_what_come_first(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("info", role="processor", worker=1)
    structlog.get_logger("x").info("started", workers=4, code="pool_started")
    line = json.loads(capsys.readouterr().err)
    assert list(line)[:4] == ["timestamp", "level", "code", "event"]
    assert line["code"] == "pool_started"


def test_what_others_log_has_a_code_too(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("info")
    logging.getLogger("library").error("failed")
    structlog.get_logger("a connector of others").warning("no code")
    library, uncoded = map(json.loads, capsys.readouterr().err.splitlines())
    assert (library["code"], library["event"], library["logger"]) == ("library_message", "failed", "library")
    assert (uncoded["code"], uncoded["event"]) == (log.UNCODED, "no code")


def test_on_a_terminal_the_code_stands_behind_everything_else(monkeypatch: pytest.MonkeyPatch) -> None:
    told = io.StringIO()
    monkeypatch.setattr(told, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stderr", told)
    log.configure(role="processor")
    structlog.get_logger().warning("worker died", code="worker_died", how="exit code 1")
    shown = re.sub(r"\x1b\[[0-9;]*m", "", told.getvalue())
    assert re.search(r"\[warning *\] worker died .*how='exit code 1'.* code=worker_died$", shown)


def test_passwords_in_uris_are_hidden_also_in_tracebacks_and_other_libraries(
    capsys: pytest.CaptureFixture[str],
) -> None:
    log.configure("info", role="consumer")
    secret = "mysql://user:s3cret@host/log"
    structlog.get_logger("x").warning("cannot connect", uri=secret)
    try:
        raise ValueError(secret)
    except ValueError:
        structlog.get_logger("x").exception("crashed")
    logging.getLogger("library").error("failed for %s", secret)
    written = capsys.readouterr().err
    assert len(written.splitlines()) == 3
    assert "s3cret" not in written
    assert "mysql://user:***@host/log" in written


@given(st.text(), st.recursive(st.text(), st.lists, max_leaves=5))
def test_whatever_is_logged_is_one_line_of_json_that_does_nothing_to_a_terminal(event: str, value: object) -> None:
    line = log._line({"event": event, "value": value})
    assert line.isprintable()
    assert json.loads(line) == {"event": event, "value": value}


def test_passwords_are_hidden_in_lists_and_objects_too(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("info", role="consumer")
    structlog.get_logger("x").info("aside", found={"table": ["mysql://u:s3cret@h/db"]})
    assert json.loads(capsys.readouterr().err)["found"] == {"table": ["mysql://u:***@h/db"]}


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_lines_are_json_in_every_encoding(encoding: str) -> None:
    program = r"""
from elworkers.core import log
log.configure(role="forwarder")
import structlog
structlog.get_logger().info("caf\u00e9 \U0001f600 \x9b31m \u202e \ud800")
"""
    env = {**os.environ, "PYTHONIOENCODING": f"{encoding}:backslashreplace"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, timeout=60, env=env)
    assert json.loads(done.stderr.decode(encoding))["event"] == "caf\u00e9 \U0001f600 \x9b31m \u202e \ud800"
    assert done.stderr.decode(encoding).strip().isprintable()


def test_what_python_itself_prints_becomes_log_lines() -> None:
    program = """
import threading, warnings
from elworkers.core import log
log.configure(role="forwarder")

class Bad:
    def __del__(self):
        raise KeyError("finalizer")

Bad()
thread = threading.Thread(target=lambda: 1 / 0)
thread.start()
thread.join()
warnings.warn("a warning\\nof two lines")
raise ValueError("the end")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    entries = [json.loads(line) for line in done.stderr.splitlines()]
    assert [(entry["code"], entry["event"]) for entry in entries] == [
        ("unraisable_exception", "exception ignored by Python"),
        ("uncaught_exception", "uncaught exception"),
        ("library_warning", "a library warns"),
        ("uncaught_exception", "uncaught exception"),
    ]
    assert (entries[2]["warning"], entries[2]["kind"]) == ("a warning\nof two lines", "UserWarning")
    assert entries[2]["where"].startswith("<string>:")
    said = [entry.get("exception", entry["event"]) for entry in entries]
    for word in ("finalizer", "ZeroDivisionError", "the end"):
        assert any(word in text for text in said)


def test_a_deep_recursion_is_told_on_a_terminal_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    told = io.StringIO()
    monkeypatch.setattr(told, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stderr", told)
    log.configure()

    def deeper(held: list[object]) -> None:
        deeper([held] * 3)

    try:
        deeper([])
    except RecursionError:
        structlog.get_logger().exception("too deep")
    assert "RecursionError" in told.getvalue()
    assert len(told.getvalue()) < 20_000
