# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Renders the tables of docs/instances.md from the options of all URIs. If run, writes them there.

A comment says which table stands below it: `<!-- options: output mysql -->`, or, where another table has the rest,
`<!-- options: output mysql without sqlite -->`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from elworkers.config.options import KAFKA_TOPICS
from elworkers.config.types import unsupported
from elworkers.config.uris import Option, Options
from elworkers.connectors.registry import sink_specs, source_specs, storage_specs

PAGE = Path(__file__).parent.parent / "docs" / "instances.md"

_MARK = re.compile(r"<!-- options: (\w+) (\w+)(?: without (\w+))? -->\n\n(?:\|.*\n)*")


def is_shown(option: Option) -> bool:
    """Return whether a URI can give an option a value."""
    return option.type is not unsupported


def tables() -> Mapping[tuple[str, str], Options]:
    """Return the options of each direction and scheme."""
    return {
        **{("input", scheme): spec.options for scheme, spec in source_specs().items()},
        **{("output", scheme): spec.options for scheme, spec in sink_specs().items()},
        ("topics", "kafka"): KAFKA_TOPICS,
        **{("storage", scheme): spec.options or {} for scheme, spec in storage_specs().items()},
    }


def shown(text: str) -> set[tuple[str, str]]:
    """Return the direction and scheme of each table that the page has."""
    return {(mark[1], mark[2]) for mark in _MARK.finditer(text)}


def page(text: str) -> str:
    """Return the page with its tables as the registry has them."""
    known = tables()

    def table(mark: re.Match[str]) -> str:
        direction, scheme, without = mark.groups()
        elsewhere = known[direction, without] if without else {}
        lines = [mark[0].partition("\n")[0], "", "| option | default | what it does |", "|---|---|---|"]
        for name, option in known[direction, scheme].items():
            if name not in elsewhere and is_shown(option):
                default = "" if option.default is None else str(option.default)
                lines.append(f"| `{name}` | {default} | {option.help} |")
        return "\n".join([*lines, ""])

    return _MARK.sub(table, text)


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
