# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Asks parents to execute themselves again in place, and waits for the result."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from elworkers.control.command_line import PROGRAM
from elworkers.control.deadline import Deadline
from elworkers.control.paths import Paths
from elworkers.control.supervisor import Info, Supervisor
from elworkers.core.terminal import printable
from elworkers.roles.instances import Instance

RENEWED = ("forwarder",)
"""Roles whose instances are not stopped for another file or version: nobody sends again what they would miss."""
_USR2 = "USR2"
_POLL_INTERVAL_S = 0.05


def _has_changed(paths: Paths, instance: Instance) -> bool:
    """Return whether its parent has read another file than is there now, or was asked to and could not.

    False also if it has not reported what it has read.
    """
    state = _read_state(paths, instance)
    if instance.role not in RENEWED or "read" not in state:
        return False
    return bool(state.get("refusal")) or state["read"].get("sha256") != instance.sha256


def renewable(paths: Paths, instances: Sequence[Instance], programs: Mapping[str, Info]) -> list[Instance]:
    """Return those that run, and that know the signal: another program, or an earlier version, would be ended by it."""
    return [
        one for one in instances if one.role in RENEWED and _runs(_read_state(paths, one), programs.get(one.program))
    ]


def _runs(state: Mapping[str, Any], info: Info | None) -> bool:
    return info is not None and bool(info["pid"]) and state.get("pid") == info["pid"] and "renewals" in state


def renew_changed(
    paths: Paths, supervisor: Supervisor, instances: Sequence[Instance], deadline: Deadline | None
) -> int:
    """Have those renewed whose file is another one, and start those that do not run; see `renew`."""
    programs = supervisor.programs()
    changed = [one for one in instances if one.program in programs and _has_changed(paths, one)]
    stopped = [one.program for one in changed if not programs[one.program]["pid"]]
    supervisor.start(stopped)
    for program in stopped:
        print(f"{program}: started")
    return renew(paths, supervisor, renewable(paths, changed, programs), deadline)


def renew(paths: Paths, supervisor: Supervisor, instances: Sequence[Instance], deadline: Deadline | None) -> int:
    """Have all of them renewed at the same time, and say of each how it ended.

    Args:
        instances: of `renewable`.
        deadline: to be done; None: they are only asked.

    Returns:
        0, or 1 where one goes on as it was, or is not done.
    """
    failed = 0
    before = {one.program: _read_state(paths, one) for one in instances}
    supervisor.signal(before, _USR2)
    for program, trouble in _renewed(paths, before, instances, deadline) if deadline else ():
        if trouble:
            failed = 1
            print(f"{PROGRAM}: {program} {printable(trouble)}", file=sys.stderr)
        else:
            print(f"{program}: restarted", flush=True)
    return failed


def _renewed(
    paths: Paths, before: Mapping[str, Mapping[str, Any]], instances: Sequence[Instance], deadline: Deadline
) -> Iterator[tuple[str, str]]:
    """Yield each program, and the reason why it was not renewed, or an empty text."""
    left = list(instances)
    while left:
        for one in list(left):
            reason = _reason(before[one.program], _read_state(paths, one))
            trouble = f"keeps its previous configuration: {reason}" if reason else reason
            if trouble is None and deadline.over():
                trouble = f"has not replaced its workers within {deadline}; see `status`"
            if trouble is not None:
                left.remove(one)
                yield one.program, trouble
        if left:
            time.sleep(_POLL_INTERVAL_S)


def _reason(before: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    """Return why a parent was not renewed: empty if it was, None if that is not known yet."""
    if now.get("pid") != before["pid"]:
        return "" if now.get("pid") else None
    if now["renewals"] > before["renewals"]:
        return None if now["replacing"] else str(now["refusal"])
    return str(now["refusal"]) if now["refusals"] > before["refusals"] else None


def _read_state(paths: Paths, instance: Instance) -> dict[str, Any]:
    try:
        state = json.loads(paths.state(instance.program).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return state if isinstance(state, dict) else {}
