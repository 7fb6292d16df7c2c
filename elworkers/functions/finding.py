# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Finds where a function is defined, without executing any of its code.

`eventlogging-init` may be run by root, and `eventloggingctl` by a monitoring system: neither imports what a file names.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib.machinery import ModuleSpec
from importlib.metadata import entry_points
from pathlib import Path
from pkgutil import get_importer
from typing import NamedTuple

from elworkers.config.hints import nearest
from elworkers.config.wraps import SCHEMAS, Wrap
from elworkers.core.errors import ConfigurationError
from elworkers.functions import plugins
from elworkers.functions.builtin import BUILTIN, Builtin
from elworkers.functions.source import Names, names

GROUP = "elworkers.functions"
"""Entry points of this group are functions by their names."""

FOLDERS = "EVENTLOGGING_FUNCTION_PATH"
"""The variable with folders, a `:` between two, where modules are looked for behind Python's own path."""

_IMPORT_PATH = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*:[^\W\d]\w*(?:\.[^\W\d]\w*)*")
_EXPECTED = f"expected MODULE:NAME, or the name of an entry point of the group {GROUP}; no plug-in folder is executed"


class ImportPath(NamedTuple):
    """A function of an operator's own.

    Attributes:
        module, name: where it is; the name may have dots.
    """

    module: str
    name: str


def folders(env: Mapping[str, str]) -> tuple[str, ...]:
    """Return the folders of `FOLDERS`.

    Raises:
        ConfigurationError: one is not an absolute path, so that it would be another one for each who starts a program.
    """
    found = tuple(filter(None, env.get(FOLDERS, "").split(":")))
    for folder in found:
        if not folder.startswith("/"):
            raise ConfigurationError(
                f"{FOLDERS}: {folder} is not an absolute path; expected /FOLDER, with a : between two"
            )
    return found


def locate(wrap: Wrap, env: Mapping[str, str]) -> ImportPath | None:
    """Return where a function of an operator's own is to be found; None of one that is built in.

    Raises:
        ConfigurationError: nothing is called so, or it needs a list of schemas.
    """
    builtin = BUILTIN.get(wrap.function)
    if builtin is not None:
        if builtin.list_name and not schemas(wrap, builtin, env):
            where = env.get(plugins.FOLDER) or plugins.DEFAULT
            raise ConfigurationError(
                f"{wrap.title}: it has no list of schemas; expected {SCHEMAS}=NAME,NAME,… as well, "
                f"or {builtin.list_name} = (…) in a plug-in's file in {where}, which is read and not executed"
            )
        return None
    if _IMPORT_PATH.fullmatch(wrap.function):
        return ImportPath(*wrap.function.split(":"))
    found = {} if ":" in wrap.function else _entry_points(tuple(sys.path))
    if wrap.function in found:
        return found[wrap.function]
    plugin = plugins.file_defining(wrap.function, env)
    if plugin is not None:
        way = f"function={plugin.stem}:{wrap.function} and {FOLDERS}={plugin.parent}"
        raise ConfigurationError(f"{wrap.title}: a plug-in of {plugin} is not executed by itself; expected {way}")
    near = nearest(wrap.function, [*BUILTIN, *found])
    hint = f"did you mean {near}?" if near else f"built in are {', '.join(sorted(BUILTIN))}"
    raise ConfigurationError(f"{wrap.title}: there is no such function; {_EXPECTED}; {hint}")


def schemas(wrap: Wrap, builtin: Builtin, env: Mapping[str, str]) -> frozenset[str]:
    """Return the schemas that a function is for: those of `schemas=`, or else of a plug-in's file."""
    if not builtin.list_name:
        return frozenset()
    if wrap.schemas is None:
        return plugins.schema_list(builtin.list_name, env)
    return frozenset(filter(None, (name.strip() for name in wrap.schemas.split(","))))


@lru_cache(maxsize=1)
def _entry_points(_path: Sequence[str]) -> Mapping[str, ImportPath]:
    found = {}
    for one in entry_points(group=GROUP):
        module, _, name = one.value.partition(":")
        found[one.name] = ImportPath(module.strip(), name.partition("[")[0].strip())
    return found


def check(wraps: Sequence[Wrap], env: Mapping[str, str]) -> None:
    """Look whether a URI's functions are there, without executing any of their code.

    What only executing it would show, such as names that a module makes as it runs, is left to the start.

    Args:
        wraps: name them.
        env: variables that say where modules are.

    Raises:
        ConfigurationError: one, or its module, is not there, or it is seen to be no function; says what was expected.
    """
    for wrap in wraps:
        import_path = locate(wrap, env)
        fault = _fault(import_path, folders(env)) if import_path is not None else ""
        if fault:
            raise ConfigurationError(f"{wrap.title}: {fault}")
    takers = [wrap for wrap in wraps if wrap.function in BUILTIN and BUILTIN[wrap.function].list_name]
    if wraps and wraps[0].schemas is not None and not takers:
        raise ConfigurationError(f"{wraps[0].title}: it takes no option {SCHEMAS}; expected it left out")


def _fault(import_path: ImportPath, beside: Sequence[str]) -> str:
    spec = _spec(import_path.module, beside)
    if spec is None:
        where = f"in Python's path or {FOLDERS}" if beside else f"in Python's path; {FOLDERS} may name more folders"
        return f"there is no module {import_path.module}; expected one {where}"
    if spec.origin is None or not spec.origin.endswith(".py"):
        return ""
    try:
        made = names(Path(spec.origin))
    except (SyntaxError, ValueError) as error:
        at = f":{error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        return f"{spec.origin}{at} is not valid Python: {getattr(error, 'msg', error)}; expected a module"
    except OSError as error:
        return f"{spec.origin} cannot be read: {error.strerror}; expected a module"
    return _fault_of_name(import_path, made, spec.origin)


def _spec(module: str, beside: Sequence[str]) -> ModuleSpec | None:
    """Return where a module is, without importing the packages around it, as `importlib.util.find_spec` would."""
    name, *parts = module.split(".")
    found = next(filter(None, (finder.find_spec(name, None, None) for finder in sys.meta_path)), None)
    spec = found or _below(name, beside)
    for part in parts:
        if spec is None or spec.submodule_search_locations is None:
            return None
        name = f"{name}.{part}"
        spec = _below(name, list(spec.submodule_search_locations))
    return spec


def _below(name: str, path: Sequence[str]) -> ModuleSpec | None:
    """Return a module in one of these folders; if there is only a folder of its name, one without a loader."""
    portions: list[str] = []
    for folder in path:
        finder = get_importer(folder)
        spec = finder.find_spec(name) if finder is not None else None
        if spec is not None and spec.loader is not None:
            return spec
        portions += (spec.submodule_search_locations or []) if spec is not None else []
    if not portions:
        return None
    folders_only = ModuleSpec(name, None)
    folders_only.submodule_search_locations = portions
    return folders_only


def _fault_of_name(import_path: ImportPath, made: Names, file: str) -> str:
    first, _, rest = import_path.name.partition(".")
    if first not in made:
        if "*" in made or "__getattr__" in made:
            return ""
        near = nearest(first, [name for name in made if not name.startswith("_")])
        return f"{file} has no {first}; {f'did you mean {near}?' if near else 'expected a function of this name'}"
    node = made[first]
    if isinstance(node, ast.AsyncFunctionDef) and not rest:
        return f"{file}:{node.lineno}: {first} is a coroutine; expected a function that gives its result at once"
    if isinstance(node, _NO_FUNCTION):
        return f"{file}:{node.lineno}: {first} is no function; expected one that takes an event"
    return ""


_NO_FUNCTION = (ast.Constant, ast.List, ast.Tuple, ast.Dict, ast.Set, ast.JoinedStr, ast.ListComp, ast.DictComp)
