# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Renders the tables of docs/original.md from the registry of the original's names. If run, writes them there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from elworkers.config import inherited
from elworkers.config.inherited import PASSED, READ, REJECTED, NameRule, NameRules
from elworkers.config.wraps import SCHEMES
from elworkers.connectors.connector import SinkSpec, SourceSpec
from elworkers.connectors.registry import sink_specs, source_specs
from elworkers.functions.builtin import BUILTIN
from elworkers.roles import ROLES, module

PAGE = Path(__file__).parent.parent / "docs" / "original.md"
BEGIN, END = "<!-- the tables begin -->\n", "<!-- the tables end -->\n"

_ORDER = (READ, PASSED, REJECTED)
_SHOWN = {READ: "read as `{text}`", PASSED: "passed over: {text}", REJECTED: "rejected; expected {text}"}


def rendered() -> str:
    """All tables: schemes of each direction, functions, parameters of each scheme, and options."""
    parts = [
        _table("Schemes of inputs", inherited.INPUT_SCHEMES, dict.fromkeys((*source_specs(), *SCHEMES))),
        _table("Schemes of outputs", inherited.OUTPUT_SCHEMES, dict.fromkeys((*sink_specs(), *SCHEMES))),
        _functions(),
        *_parameters("Inputs", inherited.INPUTS, source_specs()),
        *_parameters("Outputs", inherited.OUTPUTS, sink_specs()),
        _table("Options of programs", inherited.FLAGS, {}),
        _table("Older names of our own options", _aliases(), {}),
    ]
    return "\n".join(parts)


def _aliases() -> NameRules:
    """What options of roles were called before."""
    options = [one for role in ROLES for one in module(role).SPEC.options]
    return {alias: NameRule(READ, one.flag) for one in options for alias in one.aliases}


def _functions() -> str:
    """The functions of plug-ins that are built in."""
    lines = ["### Functions of `map:` and `filter:`", "", "| name | since | here |", "|---|---|---|"]
    for name, one in BUILTIN.items():
        where = f": `schemas=NAME,NAME,…`, or `{one.list_name}` in a plug-in's file" if one.list_name else ""
        lines.append(f"| `{name}` | {one.since} | {one.does}{where} |")
    return "\n".join([*lines, ""])


def _parameters(what: str, tables: Mapping[str, NameRules], ours: Mapping[str, SourceSpec | SinkSpec]) -> Iterator[str]:
    """A table for each scheme; schemes that know the same share one."""
    done: list[str] = []
    for scheme, ways in tables.items():
        alike = [name for name, others in tables.items() if others == ways]
        if scheme not in done:
            done += alike
            shared = set.intersection(*(set(ours[name].options) for name in alike))
            yield _table(f"{what}: {', '.join(f'`{name}:`' for name in alike)}", ways, dict.fromkeys(shared))


def _table(title: str, ways: NameRules, same: Mapping[str, object]) -> str:
    groups: dict[str, list[str]] = {}
    for name, way in sorted(ways.items(), key=lambda item: (_ORDER.index(item[1].does), item[0])):
        groups.setdefault(_said(way), []).append(name)
    lines = [f"### {title}", "", "| name | here |", "|---|---|"]
    if same:
        lines.append(f"| {_names(same)} | as it is ([instance files](instances.md)) |")
    lines += [f"| {_names(names)} | {said} |" for said, names in groups.items()]
    return "\n".join([*lines, ""])


def _said(way: NameRule) -> str:
    said = _SHOWN[way.does].format(text=way.text)
    if way.does == READ:
        return said + "".join(f", `{old}` as `{new}`" for old, new in way.values.items())
    return said + "".join(f"; `{value}` is passed over" for value in way.values)


def _names(names: object) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names))  # type: ignore[call-overload]


def page(text: str) -> str:
    """The page with its tables as the registry has them."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{rendered()}\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
