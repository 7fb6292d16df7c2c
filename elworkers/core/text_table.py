# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Formats rows of text as a table."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from elworkers.core.terminal import printable

_INDENT = "    "


def format_table(lines: Sequence[Sequence[str]]) -> str:
    """Return the lines with each column padded to its longest text; the first line holds the headings."""
    return "\n".join(format_rows(lines))


def format_rows(lines: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of the same table."""
    safe = [[printable(text) for text in line] for line in lines]
    widths = [max(map(len, column)) for column in zip(*safe, strict=True)]
    return ["  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() for line in safe]


def note(text: str, width: int | None) -> str:
    """Return a note to the line above, indented.

    Args:
        width: of the terminal, in columns, which the note is broken to fit; None: it stays one line, so that it can be
            searched.
    """
    if width is None:
        return _INDENT + printable(text)
    shape = textwrap.TextWrapper(width, initial_indent=_INDENT, subsequent_indent=f"{_INDENT}  ")
    shape.break_on_hyphens = False
    return shape.fill(printable(text))


def duration(seconds: int) -> str:
    """Return a number of seconds as `3d 4:05:06`."""
    days, rest = divmod(max(0, seconds), 86_400)
    clock = f"{rest // 3600}:{rest // 60 % 60:02}:{rest % 60:02}"
    return f"{days}d {clock}" if days else clock


def since(began: float) -> str:
    """Return when something began, and how long ago that is.

    Args:
        began: s since the epoch. The wall clock's, which outlives processes and starts of the machine.
    """
    at = datetime.fromtimestamp(began, UTC)
    return f"since {at:%Y-%m-%d %H:%M:%S} UTC ({duration(round(time.time() - began))})"
