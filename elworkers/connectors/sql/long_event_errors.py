# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Shortens an EventError that is too long for its table. Pure: no database here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

SCHEMA = "EventError"

_RAW, _MESSAGE = "event_rawEvent", "event_message"


class ColumnWidth(NamedTuple):
    """The largest number of characters, or of bytes, that a column of text holds."""

    most: int
    in_bytes: bool

    def cut(self, text: str) -> str:
        """Return the text, or as much of its beginning as the column holds."""
        if not self.in_bytes:
            return text[: self.most]
        written = text.encode(errors="replace")
        return text if len(written) <= self.most else written[: self.most].decode(errors="ignore")


def fitted(capsule: Mapping[str, Any], widths: Mapping[str, ColumnWidth]) -> Mapping[str, Any]:
    """Return the capsule itself where it fits, else one whose rawEvent is cut and whose message says so."""
    event = capsule.get("event")
    if not isinstance(event, dict):
        return capsule
    raw, message = event.get("rawEvent"), event.get("message")
    if isinstance(raw, str) and _RAW in widths:
        cut_text = widths[_RAW].cut(raw)
        if cut_text != raw:
            message = f"(rawEvent cut from {len(raw)} to {len(cut_text)} characters) {message}"
            raw = cut_text
    if isinstance(message, str) and _MESSAGE in widths:
        cut_text = widths[_MESSAGE].cut(message)
        message = message if cut_text == message else f"{cut_text[:-3]}..."
    if raw is event.get("rawEvent") and message == event.get("message"):
        return capsule
    return {**capsule, "event": {**event, "rawEvent": raw, "message": message}}
