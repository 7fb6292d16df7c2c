# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Runs cases in turns, and makes a table of their medians and ratios."""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

_PACKAGES = ("pykafka", "jsonschema", "jsonschema-rs", "orjson", "PyMySQL", "SQLAlchemy", "fsspec", "aiohttp")


class Taken(NamedTuple):
    """What one run took: events (or rows, requests), seconds by the clock, processor seconds of what is measured."""

    events: int
    wall_s: float
    cpu_s: float


class Row(NamedTuple):
    """One case: medians of all rounds."""

    what: str
    events_per_s: float
    cpu_s_per_100k: float


class Ratio(NamedTuple):
    """One case beside another: the median of the ratios of each round.

    Attributes:
        what: says which by which.
        value: the ratio.
        wanted: what it should be, as `≥ 0.8`; empty where nothing is asked.
        reached: whether it is.
    """

    what: str
    value: float
    wanted: str = ""
    reached: bool = True


@dataclass
class Table:
    """What one measurement says.

    Attributes:
        title: what was measured, with sizes.
        unit: what the rows count.
        rows, ratios: see there.
        notes: sentences below the table.
    """

    title: str
    unit: str = "events"
    rows: list[Row] = field(default_factory=list)
    ratios: list[Ratio] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def text(self) -> str:
        """Return the table for a terminal."""
        width = max((len(row.what) for row in self.rows), default=0) + 2
        lines = [self.title]
        if self.rows:
            lines.append(f"{'':<{width}}{self.unit + '/s':>12}{'CPU s per 100,000':>20}")
        lines += [f"{row.what:<{width}}{row.events_per_s:>12,.0f}{row.cpu_s_per_100k:>20.2f}" for row in self.rows]
        lines += [
            f"{one.what}: {one.value:.2f}"
            + (f" ({one.wanted}{'' if one.reached else ', NOT reached'})" * bool(one.wanted))
            for one in self.ratios
        ]
        return "\n".join(lines + self.notes)


def in_turns(cases: Mapping[str, Callable[[], Taken]], rounds: int) -> dict[str, list[Taken]]:
    """Run each case once a round, so that a machine that slows down slows down all of them."""
    taken: dict[str, list[Taken]] = {name: [] for name in cases}
    for _ in range(rounds):
        for name, case in cases.items():
            taken[name].append(case())
    return taken


def timed(work: Callable[[], int]) -> Taken:
    """Clock and processor time of this process; `work` says how many events it was."""
    began, cpu = time.perf_counter(), time.process_time()
    events = work()
    return Taken(events, time.perf_counter() - began, time.process_time() - cpu)


def row(what: str, taken: Sequence[Taken]) -> Row:
    """Medians of all rounds."""
    return Row(
        what,
        statistics.median(one.events / one.wall_s for one in taken),
        statistics.median(one.cpu_s / one.events * 100_000 for one in taken),
    )


def ratio(
    what: str,
    taken: Sequence[Taken],
    beside: Sequence[Taken],
    of: Callable[[Taken], float] = lambda one: one.events / one.wall_s,
    at_least: float | None = None,
    at_most: float | None = None,
) -> Ratio:
    """Return the median of the ratios of each round, of rates where nothing else is said."""
    value = statistics.median(of(one) / of(other) for one, other in zip(taken, beside, strict=True))
    if at_least is not None:
        return Ratio(what, value, f"≥ {at_least:g}", value >= at_least)
    if at_most is not None:
        return Ratio(what, value, f"≤ {at_most:g}", value <= at_most)
    return Ratio(what, value)


def cpu_per_event(one: Taken) -> float:
    """Processor seconds of an event; for `ratio`."""
    return one.cpu_s / one.events


def command(
    name: str,
    measure: Callable[[argparse.Namespace], Sequence[Table]],
    words: Sequence[str] | None = None,
    options: Callable[[argparse.ArgumentParser], None] = lambda _: None,
    rounds: int = 5,
) -> int:
    """Do what every `python -m bench.NAME` does: measure, print, and keep the figures where `--json FILE` asks for it.

    Returns:
        0 when all that is wanted was reached; 1 otherwise.
    """
    parser = argparse.ArgumentParser(prog=f"python -m bench.{name}", description=sys.modules["__main__"].__doc__)
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--stack", type=Path, default=Path(".run/bench"), help="folder of the development stack")
    parser.add_argument("--json", type=Path, help="write machine, versions and figures there")
    options(parser)
    given = parser.parse_args(words)
    tables = measure(given)
    print("\n\n".join(table.text() for table in tables))
    if given.json:
        figures = [
            {
                "title": table.title,
                "unit": table.unit,
                "rows": [one._asdict() for one in table.rows],
                "ratios": [one._asdict() for one in table.ratios],
                "notes": table.notes,
            }
            for table in tables
        ]
        found = {"name": name, **machine(), "tables": figures}
        given.json.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return 0 if all(one.reached for table in tables for one in table.ratios) else 1


def machine() -> dict[str, object]:
    """Return what was measured on, and with which versions."""
    model = ""
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    cores = subprocess.run(["nproc"], capture_output=True, text=True, check=True).stdout.strip()
    return {
        "date": time.strftime("%Y-%m-%d"),
        "machine": f"{model}, {cores} cores",
        "python": platform.python_version(),
        "versions": {name: found for name in _PACKAGES if (found := _version(name))},
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except ModuleNotFoundError:
        return ""
