# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Measures what `eventloggingctl` and supervisord take for many instance files.

The commands of the roles are stand-ins: they say what a pool parent says in its state file, then sleep.
"""

from __future__ import annotations

import resource
import statistics
import subprocess
from pathlib import Path

import psutil

from bench.pools import BIN
from bench.rounds import Ratio, Table

_FEW, _MANY = 1, 300
_VERBS = ("status", "check", "update")
_STAND_IN = """#!/bin/sh
program=${0##*/eventlogging-}-${1##*/}
workers='[{"worker": 0, "pid": 1, "state": "running", "restarts": 0, "since": 0, "alive": 0, "records": 0}]'
echo "{\\"pid\\": $$, \\"wanted\\": 1, \\"workers\\": $workers}" > "$EVENTLOGGING_RUN_DIR/state/$program.json"
exec sleep 86400
"""
_FILES = {
    "forwarder": ("udp://127.0.0.1:8421", "kafka:///k1:9092,k2:9092?topic=eventlogging-client-side"),
    "processor": (
        "%q %{recvFrom}s %{seqId}d %t %o %{userAgent}i",
        "kafka:///k1:9092,k2:9092?topic=eventlogging-client-side&auto_commit_interval_ms=1000",
        "kafka:///k1:9092,k2:9092?topic=eventlogging_{schema}",
        "kafka:///k1:9092,k2:9092?topic=eventlogging-valid-mixed&blacklist=^(One|Another)$",
        "--sid=client-side",
        "--output-invalid",
    ),
    "consumer": (
        "kafka:///k1:9092,k2:9092?topic=eventlogging-valid-mixed&identity=mysql",
        "mysql://eventlogging:secret@m4-master/log?statsd_host=statsd",
    ),
}


class Site:
    """A configuration folder with so many instance files, a run folder, and what control takes there."""

    def __init__(self, folder: Path, files: int) -> None:
        self._config_dir, self._run_dir, self._commands = (folder / name for name in ("config", "run", "commands"))
        for made in (self._run_dir, self._commands):
            made.mkdir(parents=True)
        for number in range(files):
            role = list(_FILES)[number % len(_FILES)]
            path = self._config_dir / f"{role}s" / f"instance-{number:03}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("\n".join(_FILES[role]) + "\n", encoding="utf-8")
        for role in _FILES:
            command = self._commands / f"eventlogging-{role}"
            command.write_text(_STAND_IN, encoding="utf-8")
            command.chmod(0o755)

    def cpu_s(self, verb: str) -> float:
        """Processor seconds of a verb, and of supervisord while it lasts.

        Raises:
            CalledProcessError: it does not end with 0.
        """
        before = self._supervisord()
        begun = resource.getrusage(resource.RUSAGE_CHILDREN)
        words = [
            "--config-dir",
            str(self._config_dir),
            "--run-dir",
            str(self._run_dir),
            "--command-dir",
            str(self._commands),
        ]
        subprocess.run([BIN / "eventloggingctl", *words, verb], check=True, stdout=subprocess.DEVNULL)
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        own = ended.ru_utime + ended.ru_stime - begun.ru_utime - begun.ru_stime
        return own + self._supervisord() - before

    def _supervisord(self) -> float:
        pid = self._run_dir / "supervisord.pid"
        return sum(psutil.Process(int(pid.read_text())).cpu_times()[:2]) if pid.exists() else 0.0

    def end(self) -> None:
        """End everything."""
        words = ["--config-dir", str(self._config_dir), "--run-dir", str(self._run_dir)]
        subprocess.run([BIN / "eventloggingctl", *words, "shutdown"], check=True)


def measured(folder: Path, rounds: int) -> Table:
    """Return the table of control's costs."""
    sites = {files: Site(folder / f"files-{files}", files) for files in (_FEW, _MANY)}
    taken: dict[tuple[str, int], list[float]] = {}
    try:
        for site in sites.values():
            site.cpu_s("start")
        for _ in range(rounds):
            for verb in _VERBS:
                for files, site in sites.items():
                    taken.setdefault((verb, files), []).append(site.cpu_s(verb))
    finally:
        for site in sites.values():
            site.end()
    costs = {case: statistics.median(seconds) for case, seconds in taken.items()}
    return Table(
        f"{_MANY} instance files: processor seconds of eventloggingctl and supervisord together",
        ratios=[Ratio(verb, costs[verb, _MANY], "≤ 1", costs[verb, _MANY] <= 1) for verb in _VERBS],
        notes=[
            f"{verb}: {costs[verb, _FEW]:.2f} s with one file, then"
            f" {(costs[verb, _MANY] - costs[verb, _FEW]) / (_MANY - _FEW) * 1000:.2f} ms a file"
            for verb in _VERBS
        ],
    )
