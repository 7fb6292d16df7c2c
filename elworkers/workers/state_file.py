# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Writes and reads the JSON file of what a pool parent knows of its workers."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import structlog

from elworkers import __version__
from elworkers.core.permissions import DATA_FOLDER

_WRITE_EVERY_S = 5.0

log = structlog.get_logger(__name__)


class WorkerState(NamedTuple):
    """One worker.

    Monotonic seconds are those of this host since its boot, which every process sees alike.

    Attributes:
        worker: its index.
        pid: None while no process runs.
        state: what it is doing.
        restarts: how often it was started again.
        since: start of its process in seconds since the epoch.
        alive: its last sign of life in monotonic seconds.
        records: how many it has read.
        reason: why it cannot work for now; empty where it can.
        reason_since: monotonic seconds at which that began.
        aside: what it has set aside, and why.
        more_aside: how many other things it has set aside.
        aside_since: when it did, in s since the epoch.
        crashes: how often it has died within the last ten minutes.
        crash: how it died the last time, and the reason that it reported.
        done: whether it has ended with its work done.
        remarks: what is not as it was configured, and how it is.
    """

    worker: int
    pid: int | None
    state: str
    restarts: int
    since: float
    alive: float
    records: int
    reason: str = ""
    reason_since: float = 0.0
    aside: Mapping[str, str] = {}
    more_aside: int = 0
    aside_since: Mapping[str, int] = {}
    crashes: int = 0
    crash: str = ""
    done: bool = False
    remarks: Mapping[str, str] = {}

    @property
    def gist(self) -> tuple[object, ...]:
        """What is worth writing at once when it changes."""
        return self._replace(since=0.0, alive=0.0, records=0)


class ParentState(NamedTuple):
    """Which image of a parent this is.

    Attributes:
        renewals: how often the process has executed itself anew.
        read: `file` and `sha256` of the instance file, and `at` when it was read, in seconds since the epoch.
        replacing: whether workers of before are still to be replaced.
        refusals: how often this image has stayed because the next could not work.
        refusal: why, the last time.
    """

    renewals: int = 0
    read: Mapping[str, object] = {}
    replacing: bool = False
    refusals: int = 0
    refusal: str = ""


class StateFile:
    """Writes at once when a worker's process or state changes, and now and then for the counts."""

    def __init__(self, path: Path | None, role: str, instance: str) -> None:
        self._path = path
        self._fixed = {
            "role": role,
            "instance": instance,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "version": __version__,
            "started": time.time(),
        }
        self._written: tuple[object, ...] = ()
        self._written_at = 0.0

    def write(self, wanted: int, workers: list[WorkerState], image: ParentState | None = None) -> None:
        """Write the file atomically where something worth it has changed; a failure is logged, never raised."""
        if self._path is None:
            return
        gist = (wanted, image, *(worker.gist for worker in workers))
        if gist == self._written and time.monotonic() - self._written_at < _WRITE_EVERY_S:
            return
        self._written, self._written_at = gist, time.monotonic()
        content = {
            **self._fixed,
            **(image or ParentState())._asdict(),
            "written": self._written_at,
            "wanted": wanted,
            "workers": [worker._asdict() for worker in workers],
        }
        scratch = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        try:
            self._path.parent.mkdir(DATA_FOLDER, parents=True, exist_ok=True)
            scratch.write_text(json.dumps(content), encoding="utf-8")
            scratch.replace(self._path)
        except OSError as error:
            log.warning(
                "state file not written", code="state_file_not_written", path=str(self._path), reason=str(error)
            )
            with contextlib.suppress(OSError):
                scratch.unlink(missing_ok=True)
