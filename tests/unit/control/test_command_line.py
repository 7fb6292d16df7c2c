# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""The words of `eventloggingctl`."""

from __future__ import annotations

import pytest

from elworkers.control.command_line import CHANGING, WAITING, parser

VERBS = ("start", "stop", "restart", "status", "tail", "update", "check", "reopen-logs", "shutdown")


@pytest.mark.parametrize("verb", VERBS)
def test_folders_may_stand_before_and_behind_the_verb(verb: str) -> None:
    before = parser().parse_args(["--run-dir", "/a", verb])
    behind = parser().parse_args([verb, "--run-dir", "/a"])
    assert (before.run_dir, before.run_dir_after) == ("/a", None)
    assert (behind.run_dir, behind.run_dir_after) == (None, "/a")


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_takes_the_bounds_that_it_has(verb: str) -> None:
    given = parser().parse_args([verb])
    assert hasattr(given, "wait") == hasattr(given, "no_wait") == (verb in WAITING)
    assert hasattr(given, "lock_wait") == (verb in CHANGING)
    assert hasattr(given, "timeout") == (verb != "tail")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["start", "--wait=soon"], "argument --wait: 'soon'; expected a number of seconds"),
        (["start", "--wait=-1"], "argument --wait: '-1'; expected a number of seconds"),
        (["start", "--wait=inf"], "argument --wait: 'inf'; expected a number of seconds"),
        (["start", "--wait=nan"], "argument --wait: 'nan'; expected a number of seconds"),
        (["tail", "-n", "-1"], "argument -n/--lines: '-1'; expected a number of lines"),
        (["tail", "--lines=٣"], "argument -n/--lines: '٣'; expected a number of lines"),
        (["status", "--adopt"], "unrecognized arguments: --adopt"),
        (["begin"], "invalid choice: 'begin'"),
        ([], "the following arguments are required: VERB"),
        (["import", "start"], "argument what: invalid choice: 'start'"),
    ],
)
def test_what_is_no_command_is_refused(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parser().parse_args(words)
    assert caught.value.code == 2
    assert said in capsys.readouterr().err


def test_instances_are_taken_as_they_are_given() -> None:
    given = parser().parse_args(["restart", "processors", "consumer/mysql", "--wait", "2.5"])
    assert (given.verb, given.instance, given.wait) == ("restart", ["processors", "consumer/mysql"], 2.5)
    given = parser().parse_args(["check", "--warning=5", "--critical=10"])
    assert (given.warning, given.critical) == (5.0, 10.0)
