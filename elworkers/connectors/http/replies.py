# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Sends a file as a response, holding one part of it in memory at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

from elworkers.connectors.http.limits import RefusedError

_CHUNK = 16 * 1024


class FileReply(web.StreamResponse):
    """A whole file, read by threads: a slow disk is to stall nobody else.

    Args:
        path: of the file.
        headers: of the answer.
    """

    def __init__(self, path: Path, headers: Mapping[str, str]) -> None:
        super().__init__(headers=headers)
        self._path = path
        self._file: IO[bytes] | None = None

    async def open(self) -> None:
        """Find out whether and how much there is to send.

        Raises:
            RefusedError: it is gone, or cannot be read.
        """
        try:
            self._file, self.content_length = await asyncio.to_thread(_opened, self._path)
        except OSError as error:
            raise RefusedError(404, f"the file cannot be read: {error.strerror}") from None

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Send all of it."""
        writer = await super().prepare(request)
        left = (self.content_length or 0) if request.method != "HEAD" else 0
        try:
            while left and self._file is not None:
                chunk = await asyncio.to_thread(self._file.read, min(left, _CHUNK))
                if not chunk:
                    raise ConnectionResetError("the file has become shorter")
                await self.write(chunk)
                left -= len(chunk)
        finally:
            if self._file is not None:
                self._file.close()
        return writer


def _opened(path: Path) -> tuple[IO[bytes], int]:
    file = path.open("rb")
    return file, path.stat().st_size
