# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Parses the functions of `map://` and `filter://` around a URI.

As `map://kafka:///HOST:PORT?topic=NAME&function=mysql_mapper`: of the query, `function=` and `schemas=` are the
functions', and all else is the URI's own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from elworkers.core.errors import ConfigurationError

SCHEMES = ("filter", "map")
FUNCTION, SCHEMAS = "function", "schemas"
OPTIONS = frozenset((FUNCTION, SCHEMAS))

_WRAPPED = re.compile(rf"({'|'.join(SCHEMES)}):(?://)?", re.IGNORECASE)
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


class Wrap(NamedTuple):
    """A function that events go through behind an input, or before an output.

    Attributes:
        scheme: of `SCHEMES`.
        function: as it was written.
        schemas: names of the schemas that it is for, as they were written; None where none were.
    """

    scheme: str
    function: str
    schemas: str | None = None

    @property
    def title(self) -> str:
        """What errors begin with."""
        return f"{self.scheme} URI: function={self.function}"


def unwrapped(text: str) -> tuple[str, list[str]]:
    """Return the URI alone, and the schemes before it, the outermost first.

    Raises:
        ConfigurationError: no URI stands behind them.
    """
    schemes: list[str] = []
    while (match := _WRAPPED.match(text)) is not None:
        schemes.append(match[1].lower())
        text = text[match.end() :]
    if schemes and not _URI.match(text):
        raise ConfigurationError(
            f"{schemes[-1]} URI: no URI behind it; expected {schemes[-1]}://SCHEME://…?…&function=NAME"
        )
    return text, schemes


def named(schemes: Sequence[str], options: Sequence[tuple[str, str]]) -> tuple[Wrap, ...]:
    """Return the functions of a URI, in the order of its schemes.

    Args:
        schemes: of `unwrapped`.
        options: those of `OPTIONS` that the query has.

    Raises:
        ConfigurationError: there is not one function for each scheme, or there are two lists of schemas.
    """
    functions = [value for name, value in options if name == FUNCTION]
    lists = [value for name, value in options if name == SCHEMAS]
    if len(functions) != len(schemes):
        count = f"function= is there {len(functions)} times" if functions else "no function"
        each = " for each of " + ", ".join(f"{scheme}://" for scheme in schemes) if len(schemes) > 1 else ""
        raise ConfigurationError(f"{schemes[0]} URI: {count}; expected one function=NAME{each}")
    if len(lists) > 1:
        raise ConfigurationError(f"{schemes[0]} URI: option {SCHEMAS} is given twice; expected it once")
    return tuple(Wrap(scheme, function, *lists) for scheme, function in zip(schemes, functions, strict=True))
