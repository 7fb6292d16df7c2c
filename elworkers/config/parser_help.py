# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Formats what all commands' `--help` has in common: its width, and examples at its end."""

from __future__ import annotations

import argparse
import shutil
import textwrap
from collections.abc import Sequence
from typing import Any

_NARROWEST, _WIDEST = 60, 120
"""Limits of the width, in columns; a width that is not known is the widest."""


def help_width() -> int:
    """Return the width of `--help` in columns: the terminal's, within limits."""
    return max(_NARROWEST, min(shutil.get_terminal_size((_WIDEST, 24)).columns, _WIDEST)) - 1


def parser_settings(description: str, *examples: str) -> dict[str, Any]:
    """Return the keyword arguments of an ArgumentParser that starts with a description and ends with examples.

    Args:
        description: what the command does, as a sentence.
        examples: its lines.
    """
    return {
        "description": textwrap.fill(description, help_width()),
        "epilog": example_section(examples),
        "formatter_class": argparse.RawDescriptionHelpFormatter,
    }


def example_section(lines: Sequence[str]) -> str:
    """Return the examples under their heading; what begins with a blank or a `#` belongs to another line."""
    count = sum(not line.startswith((" ", "#")) for line in lines)
    return "\n".join(["example:" if count == 1 else "examples:", *(f"  {line}" for line in lines)])
