# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Prints an event or an EventError for people to read."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import unquote

from rich.console import Console
from rich.highlighter import JSONHighlighter
from rich.text import Text

from elworkers.core.contracts import Record
from elworkers.core.terminal import printable

_LONGEST_RAW = 2_000


class EventPrinter:
    """Writes events as they come.

    Args:
        console: where to; it knows whether there are colours.
        brief: one line an event, without its fields.
    """

    def __init__(self, console: Console, *, brief: bool) -> None:
        self._console = console
        self._brief = brief
        self.valid = 0
        self.invalid = 0

    def event(self, record: Record) -> None:
        """Show what a line has become."""
        event: dict[str, Any] = record.event or {}
        if record.valid:
            self.valid += 1
            self._head("valid  ", "bold green", event["schema"], event["revision"], str(event["wiki"]))
            self._fields(event["event"])
        else:
            self.invalid += 1
            error = event["event"]
            self._head("INVALID", "bold red", error["schema"], error["revision"], error["message"])
            self._raw(error["rawEvent"])

    def failed(self, reason: str) -> None:
        """Show that an event could not be validated."""
        text = Text.assemble(("cannot be validated", "bold yellow"), printable(f": {reason}"))
        self._console.print(text, soft_wrap=True)

    def _head(self, word: str, style: str, schema: Any, revision: Any, detail: str) -> None:
        text = Text.assemble((word, style), "  ", (printable(f"{schema}"), "bold"), printable(f" {revision}  {detail}"))
        self._console.print(text, soft_wrap=True)

    def _fields(self, fields: Any) -> None:
        if not self._brief:
            text = json.dumps(fields, indent=2, sort_keys=True, ensure_ascii=False)
            self._console.print(JSONHighlighter()(printable(text, keep="\n")), soft_wrap=True)

    def _raw(self, line: str) -> None:
        if self._brief:
            return
        text = line.partition("\t")[0]
        if text.startswith("?"):
            text = unquote(text.replace("+", " ")).strip("?;")
        try:
            self._fields(json.loads(text[text.find("{") :]))
        except (ValueError, RecursionError):
            self._console.print(Text(printable(f"  {text[:_LONGEST_RAW]}")), soft_wrap=True)
