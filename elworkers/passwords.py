"""A text comes in; the same without the passwords of URIs in it goes out."""

from __future__ import annotations

import re

_PASSWORD = re.compile(r"(?P<before>[a-z][a-z0-9+.-]*://[^/\s:@'\"]*:)[^\s'\"]*(?=@)", re.IGNORECASE)


def without_passwords(text: str) -> str:
    """The text with the password of every URI in it replaced by `***`."""
    return _PASSWORD.sub(r"\g<before>***", text)
