# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Reads the bodies of POST requests, up to a size and within a time."""

from __future__ import annotations

import asyncio
from collections.abc import Sized

from aiohttp import HttpVersion11, web
from aiohttp.client_exceptions import ClientError

from elworkers.connectors.http.connections import Connection
from elworkers.connectors.http.limits import Limits, RefusedError, retry_later


class Uploads:
    """The bodies that are under way.

    Args:
        limits: how long and how large each may be.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    async def body_of(self, request: web.BaseRequest) -> bytes:
        """Return the body of one request.

        Raises:
            RefusedError: it is too large, too slow, or broken off, or has to make room for others.
        """
        most = self._limits.body_bytes
        if (request.content_length or 0) > most:
            raise RefusedError(413, f"a body of {request.content_length} bytes; expected at most {most}")
        connection = request.protocol
        assert isinstance(connection, Connection)  # noqa: S101 - `BoundedServer` makes no others
        try:
            if request.content.is_eof():
                # Read at once: when the client is gone after one more turn of the event loop, what is here is gone too.
                body = request.content.read_nowait()
                self._check(body)
            else:
                body = await self._in_time(request, connection)
        except (ClientError, web.RequestPayloadError, ConnectionError) as error:
            raise RefusedError(400, f"the body cannot be read: {error}") from None
        connection.server.is_complete(connection)
        return body

    async def _in_time(self, request: web.BaseRequest, connection: Connection) -> bytes:
        """Return the body, as one task that can be cancelled for others' sake."""
        if connection.evicted:
            raise retry_later("too many requests are under way")
        upload = asyncio.ensure_future(self._read(request, connection))
        connection.upload = upload
        try:
            await asyncio.wait({upload}, timeout=self._limits.quiet_s)
            if upload.cancelled():
                raise retry_later("too many requests are under way")
            if not upload.done():
                raise RefusedError(408, f"the body was not whole within {self._limits.quiet_s:g} s")
            return upload.result()
        finally:
            connection.upload = None
            upload.cancel()

    async def _read(self, request: web.BaseRequest, connection: Connection) -> bytes:
        # A client of HTTP/1.0 would take it for the answer (RFC 9110, section 10.1.1).
        if request.version >= HttpVersion11 and request.headers.get("Expect", "").lower() == "100-continue":
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.writer.output_size = 0
        packed = "Content-Encoding" in request.headers
        parts = bytearray()
        async for chunk in request.content.iter_any():
            parts += chunk
            self._check(parts)
            if packed:
                connection.server.holds(connection, len(chunk))
        return bytes(parts)

    def _check(self, body: Sized) -> None:
        most = self._limits.body_bytes
        if len(body) > most:
            raise RefusedError(413, f"a body of more than {most} bytes; expected at most {most}")
