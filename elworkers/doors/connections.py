"""Connections come in; an aiohttp server that holds no more of them, and no more of each, than it is told goes out."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

_LONGEST_HEAD = 64 * 1024
_TOO_LONG = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\nContent-Type: text/plain\r\n\r\n"
    b"the head of the request is longer than 64 KiB\n"
)
_LINGER_S = 1.0
_OF_CLIENTS = (HttpProcessingError, web.RequestPayloadError, ConnectionError)

log = structlog.get_logger(__name__)

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class _Bugs:
    """What aiohttp takes for its logger: of what it has to say, only our own mistakes are worth a line.

    A request that is none has its answer, and anybody can send thousands of them.
    """

    def debug(self, *_words: Any, **_more: Any) -> None:
        """Nothing."""

    def exception(self, _words: str, *_args: Any, exc_info: BaseException | None = None) -> None:
        """Log it unless the client is to blame."""
        if not isinstance(exc_info, _OF_CLIENTS):
            log.error("a request could not be answered", exc_info=exc_info)


class Connection(web.RequestHandler):
    """One client."""

    __slots__ = ("_head", "_in_head")

    def __init__(self, manager: BoundedServer, **options: Any) -> None:
        super().__init__(manager, **options)
        self._in_head = True
        self._head = 0

    def data_received(self, data: bytes) -> None:
        """Hand on what came, unless a head has no end: aiohttp bounds each of its fields, not all of them together."""
        before = self._request_count
        super().data_received(data)
        if self._request_count != before:
            # Not when the request is taken up: more of its body may have come by then.
            self._in_head = False
            self._head = 0
        elif self._in_head:
            self._head += len(data)
            if self._head > _LONGEST_HEAD and self.transport is not None:
                self.transport.write(_TOO_LONG)
                self.force_close()

    def ends(self) -> None:
        """The request is answered."""
        self._in_head = True


class BoundedServer(web.Server):
    """An HTTP server that slow or silent clients cannot fill.

    Where all connections are taken, the one whose last answer, or beginning, is longest ago makes room.

    Args:
        handler: answers a request.
        most: connections at a time.
        quiet_s: a connection without a whole request for so many seconds is closed.
        longest_line: bytes of a request line.
    """

    def __init__(self, handler: Handler, *, most: int, quiet_s: float, longest_line: int) -> None:
        super().__init__(self._watched)
        self._answer = handler
        self._most = most
        self._said = False
        self._options: dict[str, Any] = {
            "access_log": None,
            "keepalive_timeout": quiet_s,
            "lingering_time": _LINGER_S,
            "max_line_size": longest_line,
            "logger": _Bugs(),
        }
        self._open: OrderedDict[Connection, None] = OrderedDict()

    def __call__(self) -> Connection:
        """The protocol of a new connection."""
        return Connection(self, loop=asyncio.get_running_loop(), **self._options)

    async def _watched(self, request: web.BaseRequest) -> web.StreamResponse:
        connection = request.protocol
        assert isinstance(connection, Connection)  # noqa: S101 - `__call__` makes no others
        try:
            response = await self._answer(request)
            if request.content.is_eof():
                connection.ends()
            else:
                # A body that nobody wants is read for a moment, so that the client sees the reply, and then no more.
                response.force_close()
            return response
        finally:
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
            if not self._said:
                self._said = True
                log.warning("more connections than max_connections; the longest waiting one is closed", most=self._most)
            oldest.force_close()

    def connection_lost(self, handler: web.RequestHandler, exc: BaseException | None = None) -> None:
        """Forget the connection."""
        super().connection_lost(handler, exc)
        assert isinstance(handler, Connection)  # noqa: S101 - `__call__` makes no others
        self._open.pop(handler, None)
