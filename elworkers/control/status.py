"""What supervisord and the pool parents say comes in; rows for operators, and the Nagios check, go out."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from elworkers.control.instances import Tree
from elworkers.control.places import Places
from elworkers.control.selection import Selection
from elworkers.control.supervisor import Info, Supervisor
from elworkers.control.table import aligned

OK, CRITICAL, UNKNOWN = 0, 2, 3
"""Exit codes of a Nagios check."""

_HEADINGS = ("ROLE", "INSTANCE", "STATE", "PID", "UPTIME", "WORKERS", "")
_LONGEST_NOTE = 200
_TAIL = 4096


@dataclass(frozen=True)
class Row:
    """One instance.

    Attributes:
        state: supervisord's word for it, BROKEN where its file is and nothing runs.
        alive, wanted: workers; None where the pool parent has not said.
        idle: those without a partition.
        note: the last word of its log where it does not run; what is wrong with its file where it is broken.
    """

    role: str
    name: str
    state: str
    pid: int | None = None
    uptime_s: int = 0
    alive: int | None = None
    wanted: int | None = None
    idle: int = 0
    note: str = ""
    broken: bool = False

    @property
    def runs(self) -> bool:
        """Whether the program and all of its workers run."""
        return self.state == "RUNNING" and (self.wanted is None or self.alive == self.wanted)


def rows(places: Places, selection: Selection, tree: Tree) -> list[Row]:
    """One row for each selected instance, and for each program whose file has gone."""
    supervisor = Supervisor(places)
    known = supervisor.programs() if supervisor.running() else {}
    broken = {item.title.replace("/", "-", 1): str(item.error) for item in tree.broken}
    found = [_row(places, program, known.get(program), broken.get(program)) for program in selection.programs]
    files = {instance.program for instance in tree.instances} | set(broken)
    if len(selection.programs) == len(files):
        found += [
            _row(places, program, info, "its file has gone; `update` stops it")
            for program, info in sorted(known.items())
            if program not in files
        ]
    return found


def _row(places: Places, program: str, info: Info | None, wrong: str | None) -> Row:
    role, _, name = program.partition("-")
    if info is None:
        state = "BROKEN" if wrong else "STOPPED"
        return Row(role, name, state, note=wrong or "", broken=wrong is not None)
    pid = info["pid"] or None
    alive, wanted, idle = _workers(places, program, pid)
    note = wrong or ""
    if info["statename"] != "RUNNING" and not note:
        note = info["spawnerr"] or _last_word(places, program)
    uptime_s = info["now"] - info["start"] if pid else 0
    return Row(role, name, info["statename"], pid, uptime_s, alive, wanted, idle, note, wrong is not None)


def _workers(places: Places, program: str, pid: int | None) -> tuple[int | None, int | None, int]:
    try:
        said: dict[str, Any] = json.loads(places.state(program).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None, None, 0
    if pid is None or said.get("pid") != pid:
        return None, None, 0
    alive = sum(worker["pid"] is not None for worker in said["workers"])
    idle = sum(worker["state"] == "idle" for worker in said["workers"])
    return min(alive, int(said["wanted"])), int(said["wanted"]), idle


def _last_word(places: Places, program: str) -> str:
    """What the log ends with: its last line that gives a reason, or else its last line."""
    try:
        with places.log(program).open("rb") as log:
            log.seek(0, 2)
            log.seek(max(0, log.tell() - _TAIL))
            lines = log.read().decode("utf-8", "replace").strip().splitlines()
    except OSError:
        return ""
    for line in reversed(lines):
        with contextlib.suppress(ValueError, AttributeError):
            entry = json.loads(line)
            if entry.get("reason"):
                return f"{entry['reason']}"
    return lines[-1] if lines else ""


def table(found: Sequence[Row]) -> str:
    """The rows under headings, each column as wide as it has to be."""
    return aligned([_HEADINGS, *(_cells(row) for row in found)])


def _cells(row: Row) -> tuple[str, ...]:
    workers = "-" if row.wanted is None else f"{row.alive}/{row.wanted}"
    if row.idle:
        workers += f" ({row.idle} idle)"
    uptime = "-" if row.pid is None else _duration(row.uptime_s)
    note = row.note if row.broken or row.state != "RUNNING" else ""
    return (row.role, row.name, row.state, str(row.pid or "-"), uptime, workers, note[:_LONGEST_NOTE])


def _duration(seconds: int) -> str:
    days, rest = divmod(max(0, seconds), 86_400)
    clock = f"{rest // 3600}:{rest // 60 % 60:02}:{rest % 60:02}"
    return f"{days}d {clock}" if days else clock


def nagios(found: Sequence[Row]) -> tuple[int, str]:
    """Exit code and text of the check."""
    if not found:
        return UNKNOWN, "UNKNOWN: no EventLogging jobs are configured"
    stopped = [f"{row.role}/{row.name}" for row in found if not row.runs]
    if stopped:
        return CRITICAL, f"CRITICAL: Stopped EventLogging jobs: {' '.join(stopped)}"
    return OK, f"OK: {len(found)} EventLogging jobs are running."
