# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Bounds an aiohttp server: how many connections it keeps open, and how much it holds of each."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from aiohttp import web
from aiohttp.http_exceptions import BadHttpMessage, HttpProcessingError, LineTooLong

from elworkers.connectors.http.limits import LONGEST_HEAD, RETRY_AFTER_S, SERVER_NAME, Limits
from elworkers.core.operating_system import give_memory_back

_CHUNK = 16 * 1024
"""Bytes that are read of a connection at a time, and of an answer that wait until the client reads."""
_UNREAD = 8 * 1024
"""Bytes of a body at which no more are read until somebody takes these."""
_LINGER_S = 1.0
_MUCH = 8 * 1024 * 1024
_TRIM_AFTER_S = 1.0
_TRIMS = 5
"""How often memory is given back after much was held: connections that were cut linger, and free it only later."""
_OF_CLIENTS = (HttpProcessingError, web.RequestPayloadError, ConnectionError)
_PLAIN = f"Server: {SERVER_NAME}\r\nConnection: close\r\nContent-Type: text/plain\r\n"
_TOO_LONG = (
    f"HTTP/1.1 431 Request Header Fields Too Large\r\n{_PLAIN}\r\nthe head of the request is too long\n".encode()
)
_NO_ROOM = (
    f"HTTP/1.1 503 Service Unavailable\r\nRetry-After: {RETRY_AFTER_S}\r\n{_PLAIN}\r\n"
    "too many requests are under way; try again\n"
).encode()

log = structlog.get_logger(__name__)

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class _ErrorLogFilter:
    """The logger that aiohttp is given: it logs mistakes of this program, and none of clients.

    A request that is none has its answer, and anybody can send thousands of them.
    """

    def debug(self, *_args: Any, **_more: Any) -> None:
        """Do nothing."""

    def exception(self, _message: str, *_args: Any, exc_info: BaseException | None = None) -> None:
        """Log it unless the client is to blame."""
        if not isinstance(exc_info, _OF_CLIENTS):
            log.error("a request could not be answered", code="http_request_failed", exc_info=exc_info)


class Connection(web.RequestHandler):
    """The connection of one client.

    Attributes:
        server: whose it is.
        held: bytes of requests that are not answered.
        upload: reads the body that is under way; cancelled where it has to make room.
        evicted: made room for others; what it sends now is not taken.
        begun: when it was accepted, in the event loop's seconds.
        asked: whether there was a request on it.
    """

    __slots__ = ("_gone", "_head", "_in_head", "_lingers", "asked", "begun", "evicted", "held", "server", "upload")

    def __init__(self, manager: BoundedServer, **options: Any) -> None:
        super().__init__(manager, **options)
        self.server = manager
        self._in_head = True
        self._head = 0
        self._lingers = False
        loop = asyncio.get_running_loop()
        self._gone: asyncio.Future[None] = loop.create_future()
        self.held = 0
        self.upload: asyncio.Future[bytes] | None = None
        self.evicted = False
        self.asked = False
        self.begun = loop.time()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Read and write in small pieces: there may be a thousand of each at a time."""
        # Of asyncio's transports; 256 KiB unless it is set.
        transport.max_size = _CHUNK  # type: ignore[attr-defined]
        if isinstance(transport, asyncio.WriteTransport):
            transport.set_write_buffer_limits(high=_CHUNK)
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Hand on what came, unless a head has no end: aiohttp bounds each of its fields, not all of them together."""
        before = self._request_count
        if data and not self._lingers:
            self.server.holds(self, len(data))
        super().data_received(data)
        if self._request_count != before:
            # Not when the request is taken up: more of its body may have come by then.
            self._in_head = False
            self._head = 0
        elif self._in_head:
            self._head += len(data)
            if self._head > LONGEST_HEAD + self.max_line_size:
                self._refuse(_TOO_LONG)

    def eof_received(self) -> None:
        """Note that the client sends no more."""
        self._set_gone()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Note that the client is gone."""
        self._set_gone()
        super().connection_lost(exc)

    def _set_gone(self) -> None:
        if not self._gone.done():
            self._gone.set_result(None)

    def evict(self) -> None:
        """Drop an incomplete request to make room; the client is told to send it again."""
        if self.upload is not None:
            self.evicted = True
            self.upload.cancel()
        elif self._in_head and not self._request_in_progress and not self._messages:
            self._refuse(_NO_ROOM)
        else:
            self.evicted = True

    def _refuse(self, answer: bytes) -> None:
        if self.transport is None or self._lingers:
            return
        self.linger()
        self._close = True
        self.transport.write(answer)
        self.transport.write_eof()
        asyncio.get_running_loop().call_later(_LINGER_S, self.force_close)

    def linger(self) -> None:
        """Read and drop what still comes, for a moment, so that the client sees its answer."""
        self._lingers = True

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """Return the response to something that is not an HTTP request."""
        if isinstance(exc, LineTooLong):
            in_line = exc.args[1] == self.max_line_size
            status = 414 if in_line else 431
            message = (
                f"the {'request line' if in_line else 'field'} is too long; expected at most {exc.args[1]} bytes\n"
            )
        elif isinstance(exc, BadHttpMessage) and "Too many headers" in exc.message:
            status, message = 431, f"too many fields; expected at most {self.max_headers}\n"
        response = super().handle_error(request, status, exc, message)
        response.headers["Server"] = SERVER_NAME
        self.linger()
        return response

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send the response; if the connection lingers, wait for the client to read it before closing."""
        done = await super().finish_response(request, resp, start_time)
        if self._lingers and request.content.is_eof() and self.transport is not None:
            self._close = True
            self.transport.write_eof()
            await asyncio.wait({self._gone}, timeout=_LINGER_S)
        return done

    def answered(self, *, complete: bool) -> None:
        """Note that the request has its answer.

        Args:
            complete: nothing more of it comes.
        """
        if complete:
            self._in_head = True
            self.evicted = False
        else:
            self.linger()

    @property
    def has_more(self) -> bool:
        """Whether other requests have been read."""
        return bool(self._messages)


class BoundedServer(web.Server):
    """An HTTP server that slow or silent clients cannot fill.

    Where all connections are taken, the one whose last answer, or beginning, is longest ago makes room. Where the
    requests that are not answered grow too large together, the one makes room that was longest without progress.

    Args:
        handler: answers a request.
        limits: of connections and of what they hold.

    Attributes:
        leaving: whether each answer is a connection's last.
    """

    def __init__(self, handler: Handler, limits: Limits) -> None:
        super().__init__(self._watched)
        self._answer = handler
        self._most = limits.connections
        self._most_held = limits.held_bytes
        self._reported = False
        self.leaving = False
        self._options: dict[str, Any] = {
            "access_log": None,
            "keepalive_timeout": limits.quiet_s,
            "lingering_time": _LINGER_S,
            "max_line_size": limits.url_bytes,
            "max_field_size": LONGEST_HEAD + 1,
            "read_bufsize": _UNREAD,
            "logger": _ErrorLogFilter(),
        }
        self._open: OrderedDict[Connection, None] = OrderedDict()
        self._under_way: OrderedDict[Connection, None] = OrderedDict()
        self._held = 0
        self._trims_left = 0

    def __call__(self) -> Connection:
        """Return the protocol of a new connection."""
        return Connection(self, loop=asyncio.get_running_loop(), **self._options)

    def holds(self, connection: Connection, more: int) -> None:
        """Note that a connection holds this many bytes of a request, as received or unpacked."""
        connection.held += more
        self._held += more
        self._under_way[connection] = None
        self._under_way.move_to_end(connection)
        while self._held > self._most_held and self._under_way:
            oldest, _ = self._under_way.popitem(last=False)
            self._forget(oldest)
            oldest.evict()
        if self._held > _MUCH:
            if not self._trims_left:
                asyncio.get_running_loop().call_later(_TRIM_AFTER_S, self._trim)
            self._trims_left = _TRIMS

    def is_complete(self, connection: Connection) -> None:
        """Note that the request was read to its end, so that it need not be closed to make room."""
        self._under_way.pop(connection, None)

    def _forget(self, connection: Connection) -> None:
        self._under_way.pop(connection, None)
        self._held -= connection.held
        connection.held = 0

    def _trim(self) -> None:
        # Again and again while there is much, and a few times when there is no more.
        self._trims_left = _TRIMS if self._held > _MUCH else self._trims_left - 1
        give_memory_back()
        if self._trims_left:
            asyncio.get_running_loop().call_later(_TRIM_AFTER_S, self._trim)

    async def _watched(self, request: web.BaseRequest) -> web.StreamResponse:
        connection = request.protocol
        assert isinstance(connection, Connection)  # noqa: S101 - `__call__` makes no others
        connection.asked = True
        try:
            response = await self._answer(request)
            if self.leaving:
                response.force_close()
            complete = request.content.is_eof()
            connection.answered(complete=complete)
            if not complete:
                # A body that nobody wants is read for a moment, so that the client sees the reply, and then no more.
                response.force_close()
            return response
        finally:
            if not connection.has_more:
                self._forget(connection)
            # To the end of the line: for the others it is longer ago now.
            if connection in self._open:
                self._open.move_to_end(connection)

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        """Make room where there is none."""
        super().connection_made(handler, transport)
        assert isinstance(handler, Connection)  # noqa: S101 - `__call__` makes no others
        self._open[handler] = None
        if len(self._open) > self._most:
            oldest, _ = self._open.popitem(last=False)
            if not self._reported:
                self._reported = True
                log.warning(
                    "more connections than max_connections; the longest waiting one is closed",
                    code="http_connection_limit_reached",
                    most=self._most,
                )
            oldest.force_close()

    def connection_lost(self, handler: web.RequestHandler, exc: BaseException | None = None) -> None:
        """Forget the connection."""
        super().connection_lost(handler, exc)
        assert isinstance(handler, Connection)  # noqa: S101 - `__call__` makes no others
        self._open.pop(handler, None)
        self._forget(handler)
