# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Builds the rows of `status` from what supervisord and the pool parents say."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from elworkers import __version__
from elworkers.control import worker_states as workers
from elworkers.control.paths import Paths
from elworkers.control.selection import Selection
from elworkers.control.supervisor import Info, Supervisor
from elworkers.control.worker_states import WorkerStates
from elworkers.core.passwords import without_passwords
from elworkers.core.text_table import duration, format_rows, note, since
from elworkers.roles.instances import InstanceFiles

_HEADINGS = ("ROLE", "INSTANCE", "STATE", "PID", "UPTIME", "WORKERS")
_LONGEST_NOTE = 300
_MOST_ASIDE = 20
_TAIL = 4096


@dataclass(frozen=True)
class Row:
    """One instance.

    Attributes:
        state: supervisord's, or BROKEN if its file is invalid and nothing runs.
        workers: what its pool parent says.
        changed: whether its file is another one than was read.
        note: the last line of its log if it does not run; the error if its file is invalid.
    """

    role: str
    name: str
    state: str
    pid: int | None = None
    uptime_s: int = 0
    workers: WorkerStates = field(default_factory=WorkerStates)
    note: str = ""
    invalid: bool = False
    changed: bool = False

    @property
    def title(self) -> str:
        """Role and name."""
        return f"{self.role}/{self.name}"

    @property
    def runs(self) -> bool:
        """Whether the program and all of its workers run."""
        return self.state == "RUNNING" and (self.workers.wanted is None or self.workers.alive == self.workers.wanted)

    @property
    def works(self) -> bool:
        """Whether it runs, and each of its workers has joined its group, bound its port, or has what else it needs."""
        return self.runs and not (self.waits or self.workers.crashing or self.begins)

    @property
    def begins(self) -> bool:
        """Whether the program runs, but a worker has not come through its start, or nothing is known of them yet."""
        return self.state == "RUNNING" and (self.workers.wanted is None or self.workers.starting > 0)

    @property
    def waits(self) -> bool:
        """Whether the program runs, but a worker cannot work for now."""
        return self.state == "RUNNING" and bool(self.workers.reason)

    @property
    def shown(self) -> str:
        """The state as operators see it."""
        if self.state == "RUNNING" and self.workers.crashing:
            return "CRASHING"
        if self.waits:
            return "WAITING"
        return "STARTING" if self.begins else self.state


def rows(paths: Paths, selection: Selection, configuration: InstanceFiles, supervisor: Supervisor) -> list[Row]:
    """Return a row for each selected instance, and for each program whose file was removed.

    Raises:
        SupervisorError: supervisord runs, but cannot be asked.
    """
    known = supervisor.programs() if supervisor.running() else {}
    invalid = {item.title.replace("/", "-", 1): str(item.error) for item in configuration.invalid}
    present = {instance.program: instance.sha256 for instance in configuration.instances}
    found = [
        _row(paths, program, known.get(program), invalid.get(program), present.get(program))
        for program in selection.programs
    ]
    files = {instance.program for instance in configuration.instances} | set(invalid)
    if len(selection.programs) == len(files):
        found += [
            _row(paths, program, info, "its file was removed; `update` stops it")
            for program, info in sorted(known.items())
            if program not in files
        ]
    return found


def _row(paths: Paths, program: str, info: Info | None, wrong: str | None, present: str | None = None) -> Row:
    role, _, name = program.partition("-")
    if info is None:
        state = "BROKEN" if wrong else "STOPPED"
        return Row(role, name, state, note=wrong or "", invalid=wrong is not None)
    pid = info["pid"] or None
    states = wrong or ""
    if info["statename"] != "RUNNING" and not states:
        states = info["spawnerr"] or _last_log_line(paths, program)
    uptime_s = info["now"] - info["start"] if pid else 0
    found = workers.read(paths.state(program), pid)
    changed = bool(found.sha256 and present) and found.sha256 != present
    return Row(role, name, info["statename"], pid, uptime_s, found, states, wrong is not None, changed)


def _last_log_line(paths: Paths, program: str) -> str:
    """Return the last line of the log that gives a reason, or else its last line."""
    try:
        with paths.log(program).open("rb") as log:
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


def table(found: Sequence[Row], width: int | None = None) -> str:
    """Return the rows under headings, each with its notes below.

    Args:
        found: the rows.
        width: of the terminal, in columns; None: each note is one line.
    """
    heading, *lines = format_rows([_HEADINGS, *(_cells(row) for row in found)])
    noted = ((line, *(note(text, width) for text in _notes(row))) for row, line in zip(found, lines, strict=True))
    return "\n".join([heading, *(text for lines in noted for text in lines)])


def _cells(row: Row) -> tuple[str, ...]:
    states = row.workers
    workers = "-" if states.wanted is None else f"{states.alive}/{states.wanted}"
    if states.idle:
        workers += f" ({states.idle} idle)"
    uptime = "-" if row.pid is None else duration(row.uptime_s)
    return (row.role, row.name, row.shown, str(row.pid or "-"), uptime, workers)


def _notes(row: Row) -> Iterator[str]:
    states = row.workers
    if row.note and (row.invalid or row.state != "RUNNING"):
        yield _note("", row.note)
    if row.changed:
        yield _note("its file has changed since it was read; `update` applies it", "")
    if states.version not in ("", __version__):
        yield _note(f"runs version {states.version}; `restart` starts {__version__}", "")
    if states.renewal_error:
        yield _note("keeps its previous configuration: ", states.renewal_error)
    if states.crashing:
        yield _note(f"died {states.crashes} times in ten minutes; ", states.crash)
    if row.begins and states.wanted is None:
        yield _note("its workers have not reported their state yet", "")
    elif row.shown == "STARTING" and states.starting:
        yield _note(
            f"{states.starting} of {states.wanted} workers have not joined their group, or not bound their port, yet",
            "",
        )
    if row.waits:
        yield _note(f"waits {since(time.time() - states.waits_s)}: ", states.reason)
    named = sorted(states.aside.items())
    for what, why in named[:_MOST_ASIDE]:
        began = states.aside_since.get(what)
        yield _note(f"set aside{'' if began is None else f' {since(began)}'}: {what}: ", why)
    more = len(named[_MOST_ASIDE:]) + states.more_aside
    if more:
        yield _note(f"set aside: {more} more", "")
    for what, text in sorted(states.remarks.items())[:_MOST_ASIDE]:
        yield _note(f"not as configured: {what}: ", text)


def _note(about: str, text: str) -> str:
    safe = without_passwords(text)
    return about + (safe if len(safe) <= _LONGEST_NOTE else f"{safe[: _LONGEST_NOTE - 1]}…")
