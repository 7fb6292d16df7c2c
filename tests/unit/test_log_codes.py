# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Every event that is logged has a code, and docs/operations.md says what to do about each."""

from __future__ import annotations

import ast
import re
from collections import Counter
from functools import cache
from pathlib import Path
from typing import NamedTuple

from elworkers.core.log import UNCODED

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")

METHODS = {
    "debug": "debug",
    "info": "info",
    "warn": "warning",
    "warning": "warning",
    "error": "error",
    "exception": "error",
    "critical": "critical",
    "fatal": "critical",
    "log": "any",
}
CODE = re.compile(r"[a-z]+(?:_[a-z]+)+")
ROW = re.compile(r"^\| `([^`]*)` \| ([a-z, ]*) \| (.*) \| (.*) \|$", re.MULTILINE)


class Call(NamedTuple):
    """A call that logs: where it is, at which level, and its code; None where that is no literal."""

    place: str
    level: str
    code: str | None


def _makes_a_logger(node: ast.AST) -> bool:
    made = node.func if isinstance(node, ast.Call) else None
    name = made.attr if isinstance(made, ast.Attribute) else made.id if isinstance(made, ast.Name) else ""
    return name in {"get_logger", "getLogger"}


def _loggers(tree: ast.Module) -> set[str]:
    """Return the names that are loggers somewhere in a module."""
    made = [node for node in ast.walk(tree) if isinstance(node, ast.Assign) and _makes_a_logger(node.value)]
    return {target.id for node in made for target in node.targets if isinstance(target, ast.Name)}


def _is_logger(node: ast.AST, names: set[str]) -> bool:
    return _makes_a_logger(node) or (isinstance(node, ast.Name) and node.id in {*names, "logging"})


def _code(call: ast.Call) -> str | None:
    for keyword in call.keywords:
        if keyword.arg == "code" and isinstance(keyword.value, ast.Constant) and isinstance(keyword.value.value, str):
            return keyword.value.value
    return None


def calls_in(text: str, path: str) -> list[Call]:
    """Return the calls that log in a module; a method of a logger that is handed on has no code either."""
    tree = ast.parse(text)
    names = _loggers(tree)
    called = {id(node.func): node for node in ast.walk(tree) if isinstance(node, ast.Call)}
    found = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr in METHODS and _is_logger(node.value, names)
    ]
    return [
        Call(f"{path}:{node.lineno}", METHODS[node.attr], _code(called[id(node)]) if id(node) in called else None)
        for node in sorted(found, key=lambda node: node.lineno)
    ]


@cache
def all_calls() -> list[Call]:
    modules = sorted((ROOT / "elworkers").rglob("*.py"))
    return [
        call for path in modules for call in calls_in(path.read_text(encoding="utf-8"), str(path.relative_to(ROOT)))
    ]


def levels() -> dict[str, set[str]]:
    """Return the levels at which each code is logged."""
    found: dict[str, set[str]] = {UNCODED: {"any"}}
    for call in all_calls():
        found.setdefault(call.code or "", set()).add(call.level)
    return found


def rows() -> list[tuple[str, str, str, str]]:
    """Return the rows of the tables of codes: code, level, what has happened, what to do."""
    (section,) = re.findall(r"^## What a log line says$(.*?)^## ", PAGE, re.MULTILINE | re.DOTALL)
    return ROW.findall(section)


def test_every_call_that_logs_has_a_code() -> None:
    assert len(all_calls()) > 100
    assert not [call for call in all_calls() if call.code is None]


def test_every_code_is_well_formed() -> None:
    assert not [call for call in all_calls() if call.code is not None and not CODE.fullmatch(call.code)]
    assert CODE.fullmatch(UNCODED) is None, "nobody can log it by a code of that form"


def test_the_documentation_has_each_code_once_and_no_other() -> None:
    documented = Counter(row[0] for row in rows())
    assert documented == Counter(levels().keys())


def test_the_documentation_names_the_level_of_each_code() -> None:
    assert {code: set(level.split(", ")) for code, level, _, _ in rows()} == levels()


def test_the_documentation_says_of_each_code_what_to_do() -> None:
    assert not [row for row in rows() if not (row[2].strip() and row[3].strip())]


def test_calls_that_log_are_found_however_they_are_written() -> None:
    text = """
import structlog, logging
log = structlog.get_logger(__name__)
log.info("a", code="one_thing")
log.error("b", reason=1)
log.warning("c", code=name)
structlog.get_logger().exception("d", **more)
logging.getLogger("x").setLevel(1)
logging.warning("e")
tell = log.debug
def f():
    other = structlog.get_logger(__name__)
    other.log(30, "f", code=f"x_{y}")
    others.info("g")
"""
    assert calls_in(text, "m") == [
        Call("m:4", "info", "one_thing"),
        Call("m:5", "error", None),
        Call("m:6", "warning", None),
        Call("m:7", "error", None),
        Call("m:9", "warning", None),
        Call("m:10", "debug", None),
        Call("m:13", "any", None),
    ]
