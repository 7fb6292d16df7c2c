# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""The options of all URIs come in; the tables of docs/instances.md go out. If run, writes them there.

A comment says which table stands below it: `<!-- options: output mysql -->`, or, where another table has the rest,
`<!-- options: output mysql without sqlite -->`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from elworkers.config.options import KAFKA_TOPICS, STORES
from elworkers.config.uris import Options
from elworkers.connectors.registry import sink_specs, source_specs

PAGE = Path(__file__).parent.parent / "docs" / "instances.md"
NOT_SHOWN = "no text"
"""The help of an option that no URI can give a value."""

_MARK = re.compile(r"<!-- options: (\w+) (\w+)(?: without (\w+))? -->\n\n(?:\|.*\n)*")


def tables() -> Mapping[tuple[str, str], Options]:
    """The options of each direction and scheme."""
    return {
        **{("input", scheme): spec.options for scheme, spec in source_specs().items()},
        **{("output", scheme): spec.options for scheme, spec in sink_specs().items()},
        ("topics", "kafka"): KAFKA_TOPICS,
        **{("store", scheme): options for scheme, options in STORES.items()},
    }


def shown(text: str) -> set[tuple[str, str]]:
    """The direction and scheme of each table that the page has."""
    return {(mark[1], mark[2]) for mark in _MARK.finditer(text)}


def page(text: str) -> str:
    """The page with its tables as the registry has them."""
    known = tables()

    def table(mark: re.Match[str]) -> str:
        direction, scheme, without = mark.groups()
        elsewhere = known[direction, without] if without else {}
        lines = [mark[0].partition("\n")[0], "", "| option | default | what it does |", "|---|---|---|"]
        for name, option in known[direction, scheme].items():
            if name not in elsewhere and option.help != NOT_SHOWN:
                default = "" if option.default is None else str(option.default)
                lines.append(f"| `{name}` | {default} | {option.help} |")
        return "\n".join([*lines, ""])

    return _MARK.sub(table, text)


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
