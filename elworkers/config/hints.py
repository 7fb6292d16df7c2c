# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Suggests the known name that was probably meant by an unknown one."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

_MEANING = {
    **dict.fromkeys(("age", "interval", "period", "sec", "secs", "time"), "seconds"),
    **dict.fromkeys(("count", "events", "length", "records", "rows"), "size"),
    **dict.fromkeys(("group", "sid"), "identity"),
}
"""Words that mean nearly the same as one that names have."""


def nearest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """Return the known name that is nearest by the meaning of its words, else by its letters; None if none is near.

    Args:
        name: with words apart by `_`, `-` or `.`.
        known: others.
        cutoff: how much they have to have in common, from 0 to 1.
    """
    names = list(known)
    by_meaning = {_meaning(one): one for one in names}
    found = difflib.get_close_matches(_meaning(name), by_meaning, n=1, cutoff=cutoff)
    if found:
        return by_meaning[found[0]]
    # Of a misspelt word, letters are all there is.
    return next(iter(difflib.get_close_matches(name, names, n=1, cutoff=cutoff)), None)


def _meaning(name: str) -> str:
    return "_".join(_MEANING.get(word, word) for word in re.split(r"[_.-]", name))
