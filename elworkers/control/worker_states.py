# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Reads the state file of a pool parent, for `status` and `check`."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_CRASHES_OF_A_LOOP = 2
"""Within ten minutes; one may have been an accident."""

_SILENT_S = 30.0
"""A parent writes every five seconds, unless it is stopped or the disk is full."""


@dataclass(frozen=True)
class WorkerStates:
    """The workers of one instance.

    Attributes:
        alive, wanted: how many run or are done, and how many should; None if the parent has not reported.
        idle: those without a partition.
        starting: those that have not joined their group or bound their port, and wait for no server.
        reason: why one of them waits (the one that has waited longest); empty where none does.
        waits_s: how long it has, in seconds.
        proving: whether all that have waited have what they waited for again, and only have to show it.
        aside: what is set aside, and why.
        more_aside: how many other things are.
        aside_since: when they were, in s since the epoch.
        remarks: what is not as it was configured, and how it is.
        crashes: how often one of them has died within ten minutes.
        crash: how it died the last time.
        sha256: of the instance file that was read; empty if the parent has not reported it.
        version: of the program that the parent runs; empty if it has not reported it.
        renewal_error: why it has not read another one, the last time that it was asked to.
    """

    alive: int | None = None
    wanted: int | None = None
    idle: int = 0
    starting: int = 0
    reason: str = ""
    waits_s: float = 0.0
    proving: bool = False
    aside: Mapping[str, str] = field(default_factory=dict)
    more_aside: int = 0
    aside_since: Mapping[str, int] = field(default_factory=dict)
    remarks: Mapping[str, str] = field(default_factory=dict)
    crashes: int = 0
    crash: str = ""
    sha256: str = ""
    version: str = ""
    renewal_error: str = ""

    @property
    def crashing(self) -> bool:
        """Whether a worker dies again and again."""
        return self.crashes >= _CRASHES_OF_A_LOOP


def read(path: Path, pid: int | None) -> WorkerStates:
    """Return what the file says, where it is that of the process `pid` and can be read."""
    return _load(path, lambda writer: pid is not None and writer == pid)


def read_any(path: Path) -> WorkerStates:
    """Return what the file says, whoever wrote it."""
    return _load(path, lambda _writer: True)


def _load(path: Path, counts: Callable[[int], bool]) -> WorkerStates:
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return _workers(content) if counts(content["pid"]) else WorkerStates()
    except (OSError, ValueError, KeyError, TypeError):
        return WorkerStates()


def _workers(content: Mapping[str, Any]) -> WorkerStates:
    each: list[dict[str, Any]] = content["workers"]
    # One that has done its work is not missing.
    alive, wanted = sum(one["pid"] is not None or one.get("done", False) for one in each), int(content["wanted"])
    now = time.monotonic()
    # A parent of before an update has said less.
    waiting = min((one for one in each if one.get("reason")), key=lambda one: float(one["reason_since"]), default={})
    crashed = max(each, key=lambda one: int(one.get("crashes", 0)), default={})
    reason, since = waiting.get("reason", ""), waiting.get("reason_since", now)
    proving = all(one["state"] in ("running", "idle") for one in each if one.get("reason"))
    if now - content.get("written", now) > _SILENT_S:
        reason, since, proving = "its parent has not written its state since then", content["written"], False
    return WorkerStates(
        alive=min(alive, wanted),
        wanted=wanted,
        idle=sum(one["state"] == "idle" for one in each),
        starting=sum(one["state"] == "starting" and not one.get("reason") for one in each),
        reason=reason,
        waits_s=max(0.0, now - since),
        proving=bool(reason) and proving,
        aside={what: why for one in each for what, why in one.get("aside", {}).items()},
        more_aside=sum(one.get("more_aside", 0) for one in each),
        aside_since={what: since for one in each for what, since in one.get("aside_since", {}).items()},
        remarks={what: text for one in each for what, text in one.get("remarks", {}).items()},
        crashes=crashed.get("crashes", 0),
        crash=crashed.get("crash", ""),
        sha256=content.get("read", {}).get("sha256") or "",
        version=content.get("version", ""),
        renewal_error=content.get("refusal", ""),
    )
