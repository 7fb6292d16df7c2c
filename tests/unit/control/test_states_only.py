# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""The check of a user who may not ask supervisord."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from elworkers.control.control_errors import ForbiddenError
from elworkers.control.paths import Paths
from elworkers.control.states_only import rows
from elworkers.core.errors import ConfigurationError

REFUSAL = ForbiddenError("supervisord may not be asked")
WORKERS = [{"pid": 8, "state": "running", "restarts": 0}]


@pytest.fixture
def places(tmp_path: Path) -> Paths:
    made = Paths(tmp_path / "etc", tmp_path / "run", tmp_path)
    for name in ("processors/a", "processors/b", "consumers/mysql"):
        path = made.config_dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("", encoding="utf-8")
    made.states.mkdir(parents=True)
    made.states.chmod(0o755)
    return made


def say(places: Paths, program: str, pid: object) -> None:
    places.state(program).write_text(json.dumps({"pid": pid, "wanted": 1, "workers": WORKERS}), encoding="utf-8")


def test_what_parents_have_written_is_enough(places: Paths) -> None:
    say(places, "processor-a", os.getpid())
    say(places, "processor-b", 2**22)
    found = {row.title: row for row in rows(places, [], REFUSAL)}
    assert {title: row.state for title, row in found.items()} == {
        "processor/a": "RUNNING",
        "processor/b": "STOPPED",
        "consumer/mysql": "STOPPED",
    }
    assert found["processor/a"].runs
    assert found["processor/a"].pid == os.getpid()


@pytest.mark.parametrize("content", ["", "no json", "[]", '{"pid": "x"}', '{"pid": null}', "{}"])
def test_what_is_no_state_is_taken_for_a_stopped_one(places: Paths, content: str) -> None:
    places.state("processor-a").write_text(content, encoding="utf-8")
    (row,) = rows(places, ["processor/a"], REFUSAL)
    assert row.state == "STOPPED"


def test_states_that_nobody_has_opened_are_not_looked_at(places: Paths) -> None:
    say(places, "processor-a", os.getpid())
    places.states.chmod(0o750)
    with pytest.raises(ForbiddenError, match="supervisord may not be asked"):
        rows(places, [], REFUSAL)
    # To a group.
    places.states.chmod(0o2750)
    assert len(rows(places, [], REFUSAL)) == 3


def test_where_nothing_was_written_the_refusal_is_what_counts(places: Paths) -> None:
    places.states.rmdir()
    with pytest.raises(ForbiddenError):
        rows(places, [], REFUSAL)


def test_an_instance_that_there_is_not_is_refused_here_too(places: Paths) -> None:
    with pytest.raises(ConfigurationError, match=r"there is no instance processor/c; did you mean"):
        rows(places, ["processor/c"], REFUSAL)
