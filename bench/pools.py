# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Runs a pool of a role's workers by its installed command, and measures what it takes and holds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil

BIN = Path(sys.executable).parent
MIB = 1024 * 1024
WITHIN_S = 180.0


class Pool:
    """A pool parent and its workers, started by entering.

    Args:
        role: as in its command's name.
        words: its arguments.
        run_dir: an existing folder for state and log.
        environ: variables beside this process's own.
    """

    def __init__(self, role: str, words: Sequence[str], run_dir: Path, environ: Mapping[str, str]) -> None:
        self._role = role
        self._command = [str(BIN / f"eventlogging-{role}"), "--name=bench", "--worker-timeout=3600", *words]
        self._run_dir = run_dir
        self._environ = {**os.environ, "EVENTLOGGING_RUN_DIR": str(run_dir), **environ}
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Pool:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log, env=self._environ)
        return self

    def __exit__(self, kind: type[BaseException] | None, _error: BaseException | None, _: TracebackType | None) -> None:
        assert self._process is not None  # noqa: S101 - entered
        self._process.terminate()
        self._process.wait(60)
        if kind is not None:
            print(f"the log is {self._log}", file=sys.stderr)

    @property
    def _log(self) -> Path:
        return self._run_dir / f"{self._role}.log"

    @property
    def parent(self) -> psutil.Process:
        """The parent."""
        assert self._process is not None  # noqa: S101 - entered
        return psutil.Process(self._process.pid)

    def workers(self) -> list[psutil.Process]:
        """Return the workers."""
        return self.parent.children()

    def states(self) -> list[str]:
        """Return what each worker is doing, as the parent says."""
        path = self._run_dir / "state" / f"{self._role}-bench.json"
        said: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"workers": []}
        return [worker["state"] for worker in said["workers"]]

    def wait_at_work(self, workers: int) -> None:
        """Wait until so many workers have something to read, each."""
        wait_for(lambda: self.states() == ["running"] * workers, f"{workers} workers at work; log: {self._log}")

    def cpu_s(self) -> float:
        """Processor seconds of all workers so far."""
        return sum(sum(worker.cpu_times()[:2]) for worker in self.workers())

    def suspend(self) -> None:
        """Stop all workers."""
        for worker in self.workers():
            worker.suspend()

    def resume(self) -> None:
        """Let stopped workers go on."""
        for worker in self.workers():
            worker.resume()


def wait_for(condition: Callable[[], object], what: str) -> None:
    """Wait until something is true.

    Raises:
        TimeoutError: it is not in three minutes.
    """
    deadline = time.monotonic() + WITHIN_S
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {WITHIN_S:.0f} s: {what}")
        time.sleep(0.05)


def rss_mib(process: psutil.Process) -> float:
    """Return what a process holds in memory, with what it shares with others."""
    held: int = process.memory_info().rss
    return held / MIB


def peak_mib(process: psutil.Process) -> float:
    """Return the most that it has held so far (VmHWM, proc(5))."""
    status = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def pss_mib(process: psutil.Process) -> float:
    """Return the same with its share of what it shares."""
    held: int = process.memory_full_info().pss
    return held / MIB
