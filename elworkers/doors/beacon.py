"""An address comes in; a door that is an HTTP server goes out."""

from __future__ import annotations

import asyncio
import socket
import threading

from elworkers.doors.connections import BoundedServer
from elworkers.doors.desk import Answers, Desk
from elworkers.doors.door import Failed, Keeper
from elworkers.doors.intake import Intake
from elworkers.errors import RetryableError
from elworkers.sockets import bound

_BACKLOG = 1_024
_TURNS = 8
"""A connection is answered within so many turns of the event loop."""
_ENDS_WITHIN_S = 2.0


class BeaconDoor:
    """An HTTP server on a thread of its own; implements `door.Door`.

    Args:
        place: host and port to bind; port 0 for a free one (see `address`).
        answers: what it says.

    Raises:
        RetryableError: the address cannot be bound.
    """

    def __init__(self, place: tuple[str, int], answers: Answers) -> None:
        self._answers = answers
        # For TCP it only lets us have an address whose last connections are still dying.
        self._socket = bound("http", *place, socket.SOCK_STREAM, SO_REUSEADDR=1)
        name = self._socket.getsockname()
        self.address: tuple[str, int] = (name[0], name[1])
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended = asyncio.Event()
        self._ready = threading.Event()
        self._thread: threading.Thread | None = None

    def open(self, keeper: Keeper, failed: Failed) -> None:
        """See `door.Door.open`."""
        self._thread = threading.Thread(target=self._run, args=(keeper, failed), name="beacon", daemon=True)
        self._thread.start()
        self._ready.wait()

    def _run(self, keeper: Keeper, failed: Failed) -> None:
        try:
            asyncio.run(self._serve(keeper))
        except OSError as error:
            failed(RetryableError(f"http://{self.address[0]}:{self.address[1]}: {error.strerror}"))
        finally:
            self._ready.set()

    async def _serve(self, keeper: Keeper) -> None:
        self._loop = asyncio.get_running_loop()
        intake = Intake(self._answers.lines, keeper)
        desk = Desk(self._answers, intake)
        limits = self._answers.limits
        server = BoundedServer(desk.answer, limits)
        # asyncio accepts a whole backlog in one go; so many newcomers would push each other out before they are read.
        at_once = max(1, limits.connections // _TURNS)
        listening = await self._loop.create_server(server, sock=self._socket, backlog=at_once)
        self._socket.listen(_BACKLOG)
        self._ready.set()
        await self._ended.wait()
        listening.close()
        server.pre_shutdown()
        await server.shutdown(_ENDS_WITHIN_S)
        intake.close()

    def close(self) -> None:
        """Answer what is under way, and let go of the address."""
        if self._thread is not None:
            if self._loop is not None and self._thread.is_alive():
                self._loop.call_soon_threadsafe(self._ended.set)
            self._thread.join()
        self._socket.close()
        self._answers.lines.close()
