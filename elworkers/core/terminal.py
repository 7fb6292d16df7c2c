# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Removes what a terminal would obey from text that others wrote."""

from __future__ import annotations

import codecs
import json
import re

_NOT_ASCII = re.compile(r"[^ -~]+")


def printable(text: str, keep: str = "") -> str:
    r"""Return the text without what a terminal obeys: control characters, line ends, changes of direction.

    Each becomes what JSON writes for it (`\u001b`, `\n`), so that a line of JSON stays one and keeps its meaning. Names
    of schemas, and messages of clients and servers were written by others.

    Args:
        text: by anybody.
        keep: characters that stay, such as a line end.
    """
    if text.isprintable():
        return text
    return _NOT_ASCII.sub(
        lambda found: "".join(
            character if character.isprintable() or character in keep else _escaped(character) for character in found[0]
        ),
        text,
    )


def _escaped(character: str) -> str:
    return json.dumps(character)[1:-1]


class Bytes:
    r"""Makes a byte stream such text, chunk by chunk, line ends and tabs kept; other bytes than UTF-8 become `\xff`."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")

    def text(self, chunk: bytes) -> str:
        """Return the text of the next chunk; a character that is not yet complete comes with the one after it."""
        return printable(self._decoder.decode(chunk), keep="\n\t")
