# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""What the program uses of its libraries' privates stands in a table, and is there in the installed version.

A private name is one that begins with one underscore. It is a library's where the program

* takes it of an object that is neither `self` nor `cls`, or by `getattr` and its like: its own objects have none of
  that to be taken, so it is somebody else's;
* uses or defines it in a class that derives from the library's, and the library has it there, too;
* imports it.

`KafkaError._TRANSPORT` and its like are none: librdkafka documents its own error codes by these names.

A class that stands before a library's (a mixin) is looked at together with it.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import pytest
from declared import ROOT

import elworkers
from elworkers.connectors.hdfs import privates as of_fsspec
from elworkers.connectors.http import privates as of_aiohttp
from elworkers.connectors.kafka.pykafka import privates as of_pykafka
from elworkers.connectors.sql import privates as of_pymysql
from elworkers.control import privates as of_supervisor

PROGRAM = ROOT / "elworkers"
TABLES: dict[str, tuple[ModuleType, str]] = {
    "pykafka": (of_pykafka, "connectors/kafka/pykafka"),
    "pymysql": (of_pymysql, "connectors/sql"),
    "aiohttp": (of_aiohttp, "connectors/http"),
    "supervisor": (of_supervisor, "control"),
    "fsspec": (of_fsspec, "connectors/hdfs"),
}
"""Library → the module with its table, and the folder whose files may use what is in it."""

DOCUMENTED = {"_replace", "_asdict", "_fields", "_make", "_exit"}
"""Public in spite of the underscore: those of named tuples, and `os._exit`."""

BY_NAME = {"getattr", "setattr", "hasattr", "delattr"}


class Use(NamedTuple):
    """A private name of somebody else, where it stands, and of which of the libraries' classes it may be."""

    name: str
    where: str
    classes: frozenset[str] | None


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name != "_"


def table(library: str) -> dict[str, Mapping[str, str]]:
    return dict(TABLES[library][0].PRIVATES)


def named(node: ast.AST) -> Iterator[tuple[str, int, bool]]:
    """Every private name that is used below a node, its line, and whether of an object of the class itself."""
    for one in ast.walk(node):
        if isinstance(one, ast.Attribute) and is_private(one.attr) and not is_error_code(one):
            yield one.attr, one.lineno, is_own(one.value)
        elif isinstance(one, ast.Call) and isinstance(one.func, ast.Name) and one.func.id in BY_NAME:
            word = one.args[1] if len(one.args) > 1 else None
            if isinstance(word, ast.Constant) and isinstance(word.value, str) and is_private(word.value):
                yield word.value, one.lineno, is_own(one.args[0])


def is_error_code(one: ast.Attribute) -> bool:
    return isinstance(one.value, ast.Name) and one.value.id == "KafkaError" and one.attr.isupper()


def is_own(value: ast.AST) -> bool:
    if isinstance(value, ast.Call):
        return isinstance(value.func, ast.Name) and value.func.id == "super"
    return isinstance(value, ast.Name) and value.id in {"self", "cls"}


def of_others(path: Path) -> Iterator[Use]:
    """What a file takes of objects that are not its classes' own, and what it imports."""
    tree = ast.parse(path.read_bytes())
    file = path.relative_to(PROGRAM)
    for name, line, own in named(tree):
        if not own and name not in DOCUMENTED:
            yield Use(name, f"{file}:{line}", None)
    for one in ast.walk(tree):
        if isinstance(one, ast.ImportFrom) and not (one.module or "").startswith(("elworkers", "__future__")):
            for name in [*(one.module or "").split("."), *(alias.name for alias in one.names)]:
                if is_private(name):
                    yield Use(name, f"{file}:{one.lineno}", None)


@cache
def classes() -> list[type]:
    """Every class of the program that derives from one of a library's."""
    found = {}
    for module in pkgutil.walk_packages(elworkers.__path__, "elworkers."):
        path = PROGRAM.joinpath(*module.name.split(".")[1:])
        source = path.with_suffix(".py") if not module.ispkg else path / "__init__.py"
        if module.name.endswith("__main__") or not mentions(source):
            continue
        for one in vars(importlib.import_module(module.name)).values():
            if isinstance(one, type) and one.__module__ == module.name and foreign(one):
                found[one.__qualname__, module.name] = one
    return list(found.values())


def mentions(source: Path) -> bool:
    return any(f"elworkers.{folder.replace('/', '.')}" in dotted(source) for _, folder in TABLES.values())


def dotted(source: Path) -> str:
    return ".".join(source.relative_to(ROOT).with_suffix("").parts)


def foreign(one: type) -> list[type]:
    return [base for base in one.__mro__ if base.__module__.partition(".")[0] in TABLES]


@cache
def body(one: type) -> ast.ClassDef:
    tree = ast.parse(Path(inspect.getfile(one)).read_bytes())
    return next(node for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node.name == one.__name__)


@cache
def has(one: type) -> frozenset[str]:
    """The private names that a library's class has, be it only on its objects."""
    names = {name for base in foreign(one) for name in vars(base)}
    for base in foreign(one):
        for node in ast.walk(body(base)):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and is_own(node.value):
                names.add(node.attr)
    return frozenset(filter(is_private, names))


def in_classes() -> Iterator[Use]:
    """What the program's classes use or define of what they have from a library's."""
    for one in classes():
        bases = foreign(one)
        theirs = frozenset[str]().union(*(has(base) for base in bases))
        known = frozenset(f"{base.__module__}.{base.__qualname__}" for base in bases)
        for ours in one.__mro__:
            if ours.__module__.partition(".")[0] != "elworkers":
                continue
            file = Path(inspect.getfile(ours)).relative_to(PROGRAM)
            uses = [(name, line) for name, line, own in named(body(ours)) if own]
            uses += [(node.name, node.lineno) for node in body(ours).body if isinstance(node, ast.FunctionDef)]
            for name, line in uses:
                if name in theirs:
                    yield Use(name, f"{file}:{line}", known)


@cache
def uses() -> list[Use]:
    return [*in_classes(), *(use for path in sorted(PROGRAM.rglob("*.py")) for use in of_others(path))]


def allows(library: str, use: Use) -> bool:
    return use.where.startswith(TABLES[library][1] + "/") and any(
        use.name in names and (use.classes is None or of in use.classes) for of, names in table(library).items()
    )


def test_whatever_is_used_stands_in_a_table() -> None:
    others = [f"{use.where}: {use.name}" for use in uses() if not any(allows(library, use) for library in TABLES)]
    assert not others, "private names of others that are in no table:\n" + "\n".join(others)


@pytest.mark.parametrize("library", TABLES)
def test_whatever_stands_in_a_table_is_used(library: str) -> None:
    used = {use.name for use in uses() if allows(library, use)}
    assert {name for names in table(library).values() for name in names} == used


def found(path: str) -> type:
    module, _, name = path.rpartition(".")
    one = getattr(importlib.import_module(module), name)
    assert isinstance(one, type)
    return one


@pytest.mark.parametrize(
    ("path", "name"), [(path, name) for library in TABLES for path, names in table(library).items() for name in names]
)
def test_the_installed_version_has_it(path: str, name: str) -> None:
    assert name in has(found(path)), f"{path} has no {name} any more; see where the program uses it"


@pytest.mark.parametrize("library", TABLES)
def test_each_has_its_reason(library: str) -> None:
    assert all(len(why.split()) >= 3 for names in table(library).values() for why in names.values())


class Stranger:
    """Not of a library, so that nothing of it is looked for."""


def test_a_name_that_is_no_longer_there_is_found() -> None:
    (path, names), *_ = table("aiohttp").items()
    assert "_no_such_name" not in has(found(path))
    assert set(names) <= has(found(path))
    assert not foreign(Stranger)


@pytest.mark.parametrize(
    "text",
    [
        "def take(consumer):\n    return consumer._made_up",
        "def take(consumer):\n    return getattr(consumer, '_made_up', None)",
        "def take(self):\n    return self._consumer._made_up.name",
        "from pykafka.consumer import _made_up",
        "from pykafka._made_up import Consumer",
    ],
)
def test_a_use_is_found_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(sys.modules[__name__], "PROGRAM", tmp_path)
    path = tmp_path / "connectors/kafka/source.py"
    path.parent.mkdir(parents=True)
    path.write_text(text, encoding="utf-8")
    (use,) = [use for use in of_others(path) if use.name == "_made_up"]
    assert use.where == f"connectors/kafka/source.py:{text.count(chr(10)) + 1}"
    assert not allows("pykafka", use)
