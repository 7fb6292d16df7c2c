# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Receives events by HTTP."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Sequence

from elworkers.connectors.http.connections import BoundedServer
from elworkers.connectors.http.intake import Intake
from elworkers.connectors.http.request_handler import HandlerConfig, RequestHandler
from elworkers.connectors.http.shutdown import leave
from elworkers.connectors.spool.listener import Failed, LineKeeper
from elworkers.core.errors import RetryableError
from elworkers.core.sockets import BACKLOG, Address, bind_sockets

_TURNS = 8
"""Turns of the event loop within which a connection is answered."""
_ENDS_WITHIN_S = 2.0
_CUT_AFTER_S = 0.1


class HttpListener:
    """An HTTP server on a thread of its own; implements `listener.Listener`.

    Args:
        address: host and port to bind; port 0 for a free one (see `address`).
        config: how it answers.
        sockets: those that listen there already, which are this listener's own from now on; none: it binds some.

    Raises:
        RetryableError: the address cannot be bound.
    """

    def __init__(self, address: tuple[str, int], config: HandlerConfig, sockets: Sequence[socket.socket] = ()) -> None:
        self._config = config
        self._sockets = list(sockets) or bind_sockets(Address("http", *address))
        name = self._sockets[0].getsockname()
        self.address: tuple[str, int] = (name[0], name[1])
        self._loop: asyncio.AbstractEventLoop | None = None
        self._server: BoundedServer | None = None
        self._ended = asyncio.Event()
        self._ready = threading.Event()
        self._thread: threading.Thread | None = None

    def open(self, keeper: LineKeeper, failed: Failed) -> None:
        """See `listener.Listener.open`."""
        self._thread = threading.Thread(target=self._run, args=(keeper, failed), name="beacon", daemon=True)
        self._thread.start()
        self._ready.wait()

    def _run(self, keeper: LineKeeper, failed: Failed) -> None:
        try:
            asyncio.run(self._serve(keeper))
        except OSError as error:
            failed(RetryableError(f"http://{self.address[0]}:{self.address[1]}: {error.strerror}"))
        finally:
            self._ready.set()

    async def _serve(self, keeper: LineKeeper) -> None:
        self._loop = asyncio.get_running_loop()
        intake = Intake(self._config.lines, keeper)
        handler = RequestHandler(self._config, intake)
        limits = self._config.limits
        self._server = server = BoundedServer(handler.answer, limits)
        # asyncio accepts a whole backlog in one go; so many newcomers would push each other out before they are read.
        at_once = max(1, limits.connections // _TURNS)
        listening: list[asyncio.Server] = []
        for one in self._sockets:
            listening.append(await self._loop.create_server(server, sock=one, backlog=at_once))
            one.listen(BACKLOG)

        def stop_accepting() -> None:
            for one in listening:
                one.close()

        self._ready.set()
        await self._ended.wait()
        await leave(server, stop_accepting, _ENDS_WITHIN_S)
        await server.shutdown(_CUT_AFTER_S)
        intake.close()

    def close(self) -> None:
        """Answer what is under way, and release the address."""
        if self._thread is not None:
            if self._loop is not None and self._thread.is_alive():
                self._loop.call_soon_threadsafe(self._ended.set)
            self._thread.join()
        for one in self._sockets:
            one.close()
        self._config.lines.close()
