"""The name of a function comes in; where it is goes out, as far as can be seen without executing any of its code.

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

from elworkers.errors import ConfigurationError
from elworkers.functions.builtin import BUILTIN
from elworkers.hints import nearest
from elworkers.wraps import SCHEMAS, Wrap

GROUP = "elworkers.functions"
"""Entry points of this group are functions by their names."""

FOLDERS = "EVENTLOGGING_FUNCTION_PATH"
"""The variable with folders, a `:` between two, where modules are looked for behind Python's own path."""

_PLACE = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*:[^\W\d]\w*(?:\.[^\W\d]\w*)*")
_EXPECTED = f"expected MODULE:NAME, or the name of an entry point of the group {GROUP}; no plug-in folder is executed"


class Own(NamedTuple):
    """A function of an operator's own.

    Attributes:
        module, name: where it is; the name may have dots.
    """

    module: str
    name: str


def folders(env: Mapping[str, str]) -> tuple[str, ...]:
    """The folders of `FOLDERS`.

    Raises:
        ConfigurationError: one is no path from / on, so that it would be another one for each who starts a program.
    """
    found = tuple(filter(None, env.get(FOLDERS, "").split(":")))
    for folder in found:
        if not folder.startswith("/"):
            raise ConfigurationError(f"{FOLDERS}: {folder} is no path from / on; expected /FOLDER, a : between two")
    return found


def place(wrap: Wrap) -> Own | None:
    """Where a function of an operator's own is to be found; None of one that is built in.

    Raises:
        ConfigurationError: nothing is called so, or it needs a list of schemas.
    """
    builtin = BUILTIN.get(wrap.function)
    if builtin is not None:
        if builtin.list_name and not listed(wrap):
            raise ConfigurationError(
                f"{wrap.title}: its list of schemas stood in a plug-in's file, which is not executed; "
                f"expected {SCHEMAS}=NAME,NAME,… as well, with what {builtin.list_name} had there"
            )
        return None
    if _PLACE.fullmatch(wrap.function):
        return Own(*wrap.function.split(":"))
    found = {} if ":" in wrap.function else _entry_points(tuple(sys.path))
    if wrap.function in found:
        return found[wrap.function]
    near = nearest(wrap.function, [*BUILTIN, *found])
    hint = f"did you mean {near}?" if near else f"built in are {', '.join(sorted(BUILTIN))}"
    raise ConfigurationError(f"{wrap.title}: there is no such function; {_EXPECTED}; {hint}")


def listed(wrap: Wrap) -> frozenset[str]:
    """The schemas that a function is for."""
    return frozenset(filter(None, (name.strip() for name in (wrap.schemas or "").split(","))))


@lru_cache(maxsize=1)
def _entry_points(_path: Sequence[str]) -> Mapping[str, Own]:
    found = {}
    for one in entry_points(group=GROUP):
        module, _, name = one.value.partition(":")
        found[one.name] = Own(module.strip(), name.partition("[")[0].strip())
    return found


def check(wraps: Sequence[Wrap], beside: Sequence[str]) -> None:
    """Look whether a URI's functions are there, without executing any of their code.

    What only executing it would show, such as names that a module makes as it runs, is left to the start.

    Args:
        wraps: name them.
        beside: of `folders`.

    Raises:
        ConfigurationError: one, or its module, is not there, or it is seen to be no function; says what was expected.
    """
    for wrap in wraps:
        own = place(wrap)
        fault = _fault(own, beside) if own is not None else ""
        if fault:
            raise ConfigurationError(f"{wrap.title}: {fault}")
    takers = [wrap for wrap in wraps if wrap.function in BUILTIN and BUILTIN[wrap.function].list_name]
    if wraps and wraps[0].schemas is not None and not takers:
        raise ConfigurationError(f"{wraps[0].title}: it takes no option {SCHEMAS}; expected it left out")


def _fault(own: Own, beside: Sequence[str]) -> str:
    spec = _spec(own.module, beside)
    if spec is None:
        where = f"in Python's path or {FOLDERS}" if beside else f"in Python's path; {FOLDERS} may name more folders"
        return f"there is no module {own.module}; expected one {where}"
    if spec.origin is None or not spec.origin.endswith(".py"):
        return ""
    try:
        tree = ast.parse(Path(spec.origin).read_bytes())
    except (SyntaxError, ValueError) as error:
        at = f":{error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        return f"{spec.origin}{at} is no Python: {getattr(error, 'msg', error)}; expected a module"
    except OSError as error:
        return f"{spec.origin} cannot be read: {error.strerror}; expected a module"
    return _fault_of_name(own, tree, spec.origin)


def _spec(module: str, beside: Sequence[str]) -> ModuleSpec | None:
    """Where a module is, without importing the packages around it, as `importlib.util.find_spec` would."""
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
    """A module in one of these folders; if there is only a folder of its name, one without a loader."""
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


def _fault_of_name(own: Own, tree: ast.Module, file: str) -> str:
    first, _, rest = own.name.partition(".")
    made = _made(tree.body)
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


def _made(body: Sequence[ast.stmt]) -> dict[str, ast.AST]:
    """The names that a module's statements make, each with what makes it; `*` where one imports all of another's."""
    made: dict[str, ast.AST] = {}
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            made[node.name] = node
        elif isinstance(node, ast.Import | ast.ImportFrom):
            made.update({(one.asname or one.name.partition(".")[0]): node for one in node.names})
        else:
            made.update(_assigned(node))
            for field in ("body", "orelse", "finalbody"):
                made.update(_made(getattr(node, field, [])))
            for part in (*getattr(node, "handlers", ()), *getattr(node, "cases", ())):
                made.update(_made(part.body))
    return made


def _assigned(statement: ast.stmt) -> dict[str, ast.AST]:
    """Names that a statement assigns, also inside of it (`with … as`, `for`, `:=`)."""
    names = {one.id: one for one in ast.walk(statement) if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)}
    if isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value is not None:
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        return {**names, **{one.id: statement.value for one in targets if isinstance(one, ast.Name)}}
    return dict(names)
