# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""The check of a user who may not ask supervisord: rows of what pool parents have written."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from elworkers.control import states_only
from elworkers.control.check import CRITICAL, OK, nagios
from elworkers.control.paths import Paths
from elworkers.core.errors import ConfigurationError

REFUSAL = PermissionError(13, "Permission denied")


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    made = Paths(tmp_path / "etc", tmp_path / "run", tmp_path / "bin")
    made.states.mkdir(parents=True)
    made.states.chmod(0o2750)
    for title in ("processors/p", "consumers/c", "consumers/c.dpkg-old"):
        path = made.config_dir / title
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return made


def says(paths: Paths, program: str, pid: int, alive: int = 1) -> None:
    workers = [{"pid": pid if place < alive else None, "state": "running"} for place in range(2)]
    paths.state(program).write_text(json.dumps({"pid": pid, "wanted": 2, "workers": workers}), encoding="utf-8")


def dead_pid() -> int:
    ended = subprocess.Popen(["true"])
    ended.wait()
    return ended.pid


def test_what_runs_is_ok_and_what_has_ended_or_said_nothing_is_not(paths: Paths) -> None:
    says(paths, "consumer-c", os.getpid(), alive=2)
    assert nagios(states_only.rows(paths, ["consumer"], REFUSAL))[0] == OK
    assert nagios(states_only.rows(paths, [], REFUSAL)) == (
        CRITICAL,
        "CRITICAL: Stopped EventLogging jobs: processor/p",
    )
    says(paths, "processor-p", dead_pid(), alive=2)
    assert nagios(states_only.rows(paths, [], REFUSAL))[0] == CRITICAL
    says(paths, "processor-p", os.getpid(), alive=1)
    assert nagios(states_only.rows(paths, [], REFUSAL))[0] == CRITICAL


def test_without_states_the_refusal_stands_and_a_wrong_name_is_named(paths: Paths) -> None:
    with pytest.raises(ConfigurationError, match="did you mean consumer/c"):
        states_only.rows(paths, ["consumer/d"], REFUSAL)
    for gone in (False, True):
        paths.states.rmdir() if gone else paths.states.chmod(0o750)
        with pytest.raises(PermissionError):
            states_only.rows(paths, [], REFUSAL)


@pytest.mark.parametrize("content", ["", "no json", "[]", '{"pid": "x"}', '{"pid": null}', "{}"])
def test_what_is_no_state_is_taken_for_a_stopped_instance(paths: Paths, content: str) -> None:
    paths.state("processor-p").write_text(content, encoding="utf-8")
    (row,) = states_only.rows(paths, ["processor/p"], REFUSAL)
    assert row.state == "STOPPED"
