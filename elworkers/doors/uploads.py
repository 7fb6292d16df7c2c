"""POST requests come in; their whole bodies go out, and all of them together stay within bounds."""

from __future__ import annotations

import asyncio
from collections.abc import Sized

from aiohttp import web
from aiohttp.client_exceptions import ClientError

from elworkers.doors.limits import Limits, RefusedError

_BYTES_AT_A_TIME = 32 * 1024 * 1024


class Uploads:
    """The bodies that are under way.

    Where they grow too large together, the one that began first makes room.

    Args:
        limits: how long and how large each may be.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._parts: dict[web.RequestHandler, bytearray] = {}
        self._held = 0

    async def whole(self, request: web.BaseRequest) -> bytes:
        """The body of one request.

        Raises:
            RefusedError: it is too large, too slow, or broken off.
        """
        most = self._limits.body_bytes
        if (request.content_length or 0) > most:
            raise RefusedError(413, f"a body of {request.content_length} bytes; expected at most {most}")
        try:
            if request.content.is_eof():
                # Read at once: when the client is gone after one more turn of the event loop, what is here is gone too.
                body = request.content.read_nowait()
                self._check(body)
                return body
            return await asyncio.wait_for(self._parted(request), self._limits.quiet_s)
        except asyncio.TimeoutError:
            raise RefusedError(408, f"the body was not whole within {self._limits.quiet_s:g} s") from None
        except (ClientError, web.RequestPayloadError, ConnectionError) as error:
            raise RefusedError(400, f"the body cannot be read: {error}") from None

    async def _parted(self, request: web.BaseRequest) -> bytes:
        if request.headers.get("Expect", "").lower() == "100-continue":
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.writer.output_size = 0
        parts = self._parts[request.protocol] = bytearray()
        try:
            async for chunk in request.content.iter_any():
                if request.protocol not in self._parts:
                    raise ConnectionResetError("it has made room for others")
                parts += chunk
                self._held += len(chunk)
                self._check(parts)
                if self._held > _BYTES_AT_A_TIME:
                    self._make_room()
        finally:
            if self._parts.pop(request.protocol, None) is not None:
                self._held -= len(parts)
        return bytes(parts)

    def _check(self, body: Sized) -> None:
        most = self._limits.body_bytes
        if len(body) > most:
            raise RefusedError(413, f"a body of more than {most} bytes; expected at most so many")

    def _make_room(self) -> None:
        oldest = next(iter(self._parts))
        self._held -= len(self._parts.pop(oldest))
        oldest.force_close()
