# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Lists the names that a Python file defines, without executing any of it."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from pathlib import Path

Names = dict[str, ast.AST]
"""Each name with what makes it: a definition, an import, or the value that is assigned; `*` is all of another one."""


def names(file: Path) -> Names:
    """Return the names that a module's file defines at its top level.

    Raises:
        OSError: it cannot be read.
        SyntaxError, ValueError: it is no Python.
    """
    return _made(ast.parse(file.read_bytes()).body)


def _made(body: Sequence[ast.stmt]) -> Names:
    made: Names = {}
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            made[node.name] = node
        elif isinstance(node, ast.Import | ast.ImportFrom):
            made.update({(one.asname or one.name.partition(".")[0]): node for one in node.names})
        else:
            made.update(_assigned(node))
            for field in ("body", "orelse", "finalbody"):
                made.update(_made(getattr(node, field, [])))
            for branch in (*getattr(node, "handlers", ()), *getattr(node, "cases", ())):
                made.update(_made(branch.body))
    return made


def _assigned(statement: ast.stmt) -> Names:
    """Return the names that a statement assigns, also inside of it (`with … as`, `for`, `:=`)."""
    found = {one.id: one for one in ast.walk(statement) if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)}
    if isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value is not None:
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        return {**found, **{one.id: statement.value for one in targets if isinstance(one, ast.Name)}}
    return dict(found)
