# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Defines the roles, one module each: its arguments, its checks and its pipeline."""

from __future__ import annotations

import difflib
import importlib
from types import ModuleType

from elworkers.core.errors import ConfigurationError

ROLES = ("forwarder", "processor", "multiplexer", "consumer", "importer", "reporter")
"""In the order in which init starts them."""


def singular(text: str) -> str:
    """Return a role's name; `processor` and `processors` are both accepted.

    Raises:
        ConfigurationError: there is no such role; names the nearest.
    """
    name = text.removesuffix("s")
    if name in ROLES:
        return name
    nearest = difflib.get_close_matches(text, ROLES, n=1)
    hint = f"did you mean {nearest[0]}?" if nearest else f"expected one of {', '.join(ROLES)}"
    raise ConfigurationError(f"there is no role {text!r}; {hint}")


def module(role: str) -> ModuleType:
    """Return the module of a role, with its `SPEC`, `check` and `build` (reporter and importer have `run`)."""
    return importlib.import_module(f"elworkers.roles.{singular(role)}")
