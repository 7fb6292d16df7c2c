# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Connectors by their schemes: what checking a URI costs, and what is known of each."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import elworkers

PACKAGE = Path(elworkers.__file__).parent

URIS = {
    "input": (
        "kafka:///k:1?topic=t",
        "udp://h:1",
        "stdin:",
        "file:///f",
        "http://h:1/beacon/event",
        "varnish:///frontend",
    ),
    "output": ("kafka:///k:1?topic=t", "udp://h:1", "stdout:", "file:///f", "mysql://u@h/d", "sqlite:///f"),
    "folder": ("file:///f", "hdfs://u@h:1/f", "webhdfs://u@h:1/f"),
}
_HEAVY = ("aiohttp", "importlib.metadata", "pykafka", "pymysql", "sqlalchemy", "structlog", "fsspec", "asyncio")


def test_checking_a_uri_of_any_scheme_imports_nothing_heavy() -> None:
    code = f"""
import sys
from elworkers.connectors.registry import bundled, check_sink, check_source, check_storage
checked = [check_source(text) for text in {URIS["input"]}] + [check_sink(text) for text in {URIS["output"]}]
checked += [check_storage(text) for text in {URIS["folder"]}]
assert {{one.uri.scheme for one in checked}} == set(bundled())
print(*(set({_HEAVY}) & sys.modules.keys()))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def _compares_a_scheme(node: ast.AST) -> bool:
    return isinstance(node, ast.Compare) and any(
        isinstance(side, ast.Attribute) and side.attr == "scheme" for side in (node.left, *node.comparators)
    )


def test_only_connectors_and_the_configuration_tell_schemes_apart() -> None:
    # These are no schemes of inputs and outputs: an Address has `udp` or `http`, a Wrap `map` or `filter`,
    # browsers and wikis have URLs.
    others = {"core/sockets.py", "functions/loading.py", "devserver/guard.py", "schema/wiki_check.py"}
    found = {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if any(map(_compares_a_scheme, ast.walk(ast.parse(path.read_bytes()))))
    }
    assert {name for name in found if not name.startswith(("config/", "connectors/"))} == others


def test_uris_are_taken_apart_by_the_registry_and_the_configuration_alone() -> None:
    words = "from elworkers.config.uris import"
    for path in PACKAGE.rglob("*.py"):
        if path.parent.name not in ("config", "connectors"):
            for line in path.read_text(encoding="utf-8").splitlines():
                assert not (line.startswith(words) and "parse" in line.split()), path
