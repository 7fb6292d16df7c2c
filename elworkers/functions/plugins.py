# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Reads lists of schemas, and where functions are, from a folder of the original's plug-ins.

Its files are read, and never executed.
"""

from __future__ import annotations

import ast
import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from elworkers.functions.source import Names, names

FOLDER = "EVENTLOGGING_PLUGIN_DIR"
DEFAULT = "/usr/local/lib/eventlogging"
"""The original's variable, and the folder without it."""


def schema_list(name: str, env: Mapping[str, str]) -> frozenset[str]:
    """Return the schemas of a list that a plug-in's file has under a name; none where there is no such list."""
    for _, made in _files(env):
        with contextlib.suppress(KeyError, ValueError, TypeError):
            value = ast.literal_eval(made[name])
            if isinstance(value, tuple | list | set) and all(isinstance(one, str) for one in value):
                return frozenset(value)
    return frozenset()


def file_defining(function: str, env: Mapping[str, str]) -> Path | None:
    """Return the file of a plug-in that defines a function."""
    return next((file for file, made in _files(env) if isinstance(made.get(function), ast.FunctionDef)), None)


def _files(env: Mapping[str, str]) -> Iterator[tuple[Path, Names]]:
    folder = Path(env.get(FOLDER) or DEFAULT)
    with contextlib.suppress(OSError):
        for file in sorted(folder.glob("*.py")):
            with contextlib.suppress(OSError, SyntaxError, ValueError):
                yield file, names(file)
