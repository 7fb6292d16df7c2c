# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Checks that an extra of pyproject.toml is installed where it is needed."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec

from elworkers.core.errors import EX_CONFIG, ConfigurationError
from elworkers.core.terminal import printable

_IMPORTER = ("fsspec", "rich")

EXTRAS = {
    "http": ("aiohttp",),
    "hdfs": _IMPORTER,
    "parquet": (*_IMPORTER, "pyarrow"),
    "dev": ("aiohttp", "rich", "jgo"),
}
"""The packages that each brings, by the names that they are imported by."""


def needs(extra: str, what: str) -> None:
    """Do nothing where the extra is installed; nothing is imported for that.

    Args:
        extra: of `EXTRAS`.
        what: what cannot work without it, for the operator.

    Raises:
        ConfigurationError: it is not; its text has how to install it.
    """
    missing = [name for name in EXTRAS[extra] if find_spec(name) is None]
    if missing:
        not_installed = f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed"
        raise ConfigurationError(f"{what} needs the extra {extra}: pip install 'elworkers[{extra}]' ({not_installed})")


def run(extra: str, program: str, module: str) -> int:
    """Run the `main` of a module that cannot be imported without an extra.

    Args:
        extra: of `EXTRAS`.
        program: the command, as it is typed.
        module: its full name.

    Returns:
        What that returns; `EX_CONFIG` where the extra is not installed.
    """
    try:
        needs(extra, "this command")
    except ConfigurationError as error:
        print(f"{program}: {printable(str(error))}", file=sys.stderr)
        return EX_CONFIG
    code: int = import_module(module).main()
    return code
