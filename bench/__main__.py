# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Runs every measurement, and writes tables, figures and a plot to bench/results/: `python -m bench`, or `make bench`.

One after the other, each in a process of its own, on one development stack. Takes about an hour.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.plot import draw
from elworkers.devstack import Stack

RESULTS = Path(__file__).parent / "results"
MEASUREMENTS: Mapping[str, tuple[str, ...]] = {
    "stage": (),
    "processor": (),
    "drivers": (),
    "latency": (),
    "consumer_mysql": (),
    "import_hdfs": (),
    "http_door": (),
    "flat": ("--million=10",),
    "memory": (),
}
"""Name of the module, and what it is told."""


def main(words: list[str] | None = None) -> int:
    """Measure, and write.

    Returns:
        0 when everything ran and all that is wanted was reached; 1 otherwise.
    """
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", action="append", choices=tuple(MEASUREMENTS), help="may be given again")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--stack", type=Path, default=Path(".run/bench"))
    given = parser.parse_args(words)
    given.results.mkdir(parents=True, exist_ok=True)
    missed = []
    try:
        for name in given.only or MEASUREMENTS:
            file = given.results / f"{name}.json"
            options = [f"--json={file}", f"--stack={given.stack}", *MEASUREMENTS[name]]
            if subprocess.run([sys.executable, "-m", f"bench.{name}", *options], check=False).returncode:
                missed.append(name)
    finally:
        Stack(given.stack).down()
    found = {name: file for name in MEASUREMENTS if (file := _read(given.results / f"{name}.json"))}
    (given.results / "README.md").write_text(page(found), encoding="utf-8")
    draw([table for one in found.values() for table in one["tables"]], given.results / "rates.svg")
    if missed:
        print(f"bench: {', '.join(missed)}: failed, or did not reach what is wanted", file=sys.stderr)
    return 1 if missed else 0


def _read(file: Path) -> dict[str, Any] | None:
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else None


def page(found: Mapping[str, dict[str, Any]]) -> str:
    """Return all tables on one page of Markdown."""
    lines = [
        "# Results",
        "",
        "Written by `make bench`. Only ratios within one table compare; machines and their load differ.",
        "",
    ]
    lines += ["![rates and processor time](rates.svg)", ""]
    for name, one in found.items():
        versions = ", ".join(f"{package} {version}" for package, version in one["versions"].items())
        lines += [f"## {name}", "", f"{one['date']} · {one['machine']} · Python {one['python']}, {versions}", ""]
        for table in one["tables"]:
            lines += [f"**{table['title']}**", "", *_rows(table), *_ratios(table), *_notes(table)]
    return "\n".join(lines).rstrip() + "\n"


def _rows(table: Mapping[str, Any]) -> list[str]:
    if not table["rows"]:
        return []
    heading = [f"| | {table['unit']}/s | CPU s per 100,000 |", "|---|---:|---:|"]
    rows = [f"| {row['what']} | {row['events_per_s']:,.0f} | {row['cpu_s_per_100k']:.2f} |" for row in table["rows"]]
    return [*heading, *rows, ""]


def _ratios(table: Mapping[str, Any]) -> list[str]:
    if not table["ratios"]:
        return []
    rows = []
    for one in table["ratios"]:
        reached = ("yes" if one["reached"] else "no") if one["wanted"] else ""
        rows.append(f"| {one['what']} | {one['value']:.2f} | {one['wanted']} | {reached} |")
    return ["| ratio | | wanted | reached |", "|---|---:|---|---|", *rows, ""]


def _notes(table: Mapping[str, Any]) -> list[str]:
    return ["```", *table["notes"], "```", ""] if table["notes"] else []


if __name__ == "__main__":
    sys.exit(main())
