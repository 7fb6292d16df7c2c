# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Formats the `--help` of a role from its options."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from typing import Any

from elworkers.config.arguments import Option, RoleSpec, usage
from elworkers.config.parser_help import example_section, help_width
from elworkers.config.types import minutes, non_negative, seconds

_INDENT, _NAME_WIDTH = 2, 24
_TEXT_AT = _INDENT + _NAME_WIDTH + 2
_METAVARS: dict[Callable[[str], Any], str] = {seconds: "SECONDS", non_negative: "SECONDS", minutes: "MINUTES"}


def help_text(spec: RoleSpec) -> str:
    """Return the text of `--help`, as wide as the terminal."""
    width = help_width()
    command = f"eventlogging-{spec.name}"
    lines = [f"usage: {usage(spec)}", f"       {command} @FILE   (a file with one argument a line)", ""]
    lines += [*_wrapped(spec.flow, width), ""]
    if spec.positionals:
        lines.append("arguments:")
        for positional in spec.positionals:
            name = positional.name.upper() + ("…" if positional.many else "")
            lines += _entry(name, positional.help, width)
        lines.append("")
    lines.append("options:")
    for option in spec.options:
        lines += _entry(_with_value(option), option.help + _default(option), width)
    lines += _entry("--check", "check the arguments and exit", width)
    lines += _entry("--help, --version", "print this text or the version and exit", width)
    for note in spec.notes:
        lines += ["", *_wrapped(note, width)]
    if spec.examples:
        lines += ["", example_section(spec.examples)]
    return "\n".join(lines)


def _with_value(option: Option) -> str:
    metavar = option.metavar or _METAVARS.get(option.type, "DIR" if option.flag.endswith("-dir") else "VALUE")
    return option.flag + {"none": "", "required": f" {metavar}", "optional": f"[={metavar}]"}[option.value]


def _default(option: Option) -> str:
    if option.default in (None, False):
        return ""
    return f" (default {option.default:g})" if isinstance(option.default, float) else f" (default {option.default})"


def _entry(name: str, text: str, width: int) -> list[str]:
    """Return a name with its text beside it, or below it where the name is long."""
    lines = _wrapped(text, width - _TEXT_AT)
    beside = [lines.pop(0)] if len(name) <= _NAME_WIDTH else []
    first = f"{' ' * _INDENT}{name:<{_NAME_WIDTH}}  {''.join(beside)}".rstrip()
    return [first, *(" " * _TEXT_AT + line for line in lines)]


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)
