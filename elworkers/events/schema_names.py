# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Checks the schema names that clients send."""

from __future__ import annotations

import re
from typing import TypeGuard

LONGEST = 63
"""Characters of a schema's name."""

EXPECTED = f"1 to {LONGEST} of A-Z a-z 0-9 _ . / -, with a name other than '.' and '..' before and behind each '/'"
"""What a name is, for messages."""

_SEGMENT = r"(?!\.{1,2}(?:/|\Z))[A-Za-z0-9_.-]+"
_CANONICAL = re.compile(rf"(?=.{{1,{LONGEST}}}\Z){_SEGMENT}(?:/{_SEGMENT})*", re.ASCII | re.DOTALL).fullmatch


def is_title_of(title: object, name: str) -> bool:
    """Return whether the page of the schema wiki with this title is the schema of this name."""
    return isinstance(title, str) and title.removeprefix("Schema:").replace(" ", "_") == name


def is_canonical(name: object) -> TypeGuard[str]:
    """Return whether this is a schema's name in its canonical form.

    `Edit` could be reached as `Edit/.`, `./Edit` and `Edit//` too, each past a blacklist and with a topic, a table and
    counters of its own. Topics, tables and counters are made of canonical names only.
    """
    return isinstance(name, str) and _CANONICAL(name) is not None
