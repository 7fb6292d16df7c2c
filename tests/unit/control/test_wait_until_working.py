# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Until when instances that were started are waited for, by what their parents say."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from elworkers.control import worker_states
from elworkers.control.deadline import Deadline
from elworkers.control.status import Row
from elworkers.control.wait_until_working import wait_until_working

LONG_AGO_S = 60.0


def row(folder: Path, *each: dict[str, Any], wanted: int = 1, **said: Any) -> Row:
    state = folder / "state.json"
    one = {"pid": 2, "state": "running"}
    state.write_text(json.dumps({"pid": 1, "wanted": wanted, "workers": [one | more for more in each], **said}))
    return Row("consumer", "c", "RUNNING", 1, 60, worker_states.read(state, 1))


def trouble() -> dict[str, Any]:
    return {"reason": "Kafka: away", "reason_since": time.monotonic() - LONG_AGO_S}


def looks(*found: Row, wait_s: float = 30.0) -> Row:
    """The row as it is when the wait is over; the last of those that were seen."""
    left = list(found)

    def look() -> Sequence[Row]:
        return [left.pop(0) if len(left) > 1 else left[0]]

    (last,) = wait_until_working(look, Deadline(wait_s))
    assert len(left) == 1
    return last


@pytest.mark.parametrize("state", ["running", "idle"])
def test_one_that_has_what_it_waited_for_is_waited_for_until_it_says_so(tmp_path: Path, state: str) -> None:
    assert looks(row(tmp_path, trouble() | {"state": state}), row(tmp_path, {})).works


@pytest.mark.parametrize("state", ["waiting", "starting"])
def test_one_that_has_waited_for_long_is_not(tmp_path: Path, state: str) -> None:
    last = looks(row(tmp_path, {}, trouble() | {"state": state}, wanted=2))
    assert not last.works
    assert last.shown == "WAITING"


def test_one_whose_parent_stands_still_is_not_waited_for(tmp_path: Path) -> None:
    assert not looks(row(tmp_path, {}, written=time.monotonic() - LONG_AGO_S)).works


def test_one_whose_parent_has_said_nothing_does_not_work(tmp_path: Path) -> None:
    nothing = Row("consumer", "c", "RUNNING", 1, 60)
    assert (nothing.works, nothing.shown) == (False, "STARTING")
    assert looks(nothing, row(tmp_path, {})).works
    assert not looks(nothing, wait_s=0).works
