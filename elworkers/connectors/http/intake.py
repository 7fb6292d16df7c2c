# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Makes the lines of events and stores them on a thread of its own, so that the event loop never waits for a disk."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
import time
from collections import deque
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import structlog

from elworkers.connectors.http.limits import retry_later
from elworkers.connectors.spool.listener import Arrival, LineKeeper, Room
from elworkers.connectors.spool.raw_lines import RawLines, utc
from elworkers.core.errors import RetryableError

_MOST_BYTES = 8 * 1024 * 1024
"""Bytes of events that may wait for the thread."""
_ANSWERED_WITHIN_S = 10.0
_CHECK_AGAIN_S = 0.5
_ENDS_WITHIN_S = 2.0

log = structlog.get_logger(__name__)


class Sender(NamedTuple):
    """The client as a line names it: its address, or nothing, and its user agent."""

    address: bytes
    agent: bytes


class _Request(NamedTuple):
    """A request for the thread; without events it asks how much room there is.

    `came_s` is since the epoch, for its lines; `until` of the monotonic clock, which nobody sets.
    """

    answer: asyncio.Future[Any]
    queries: Sequence[bytes]
    sender: Sender
    came_s: float
    until: float
    size: int
    arrival: Arrival


class Intake:
    """Keeps a slow disk away from the event loop; as many requests as have come meanwhile go to it together.

    Made and used on the event loop, except for what its own thread does.

    Args:
        lines: makes the lines.
        keeper: takes them.
    """

    def __init__(self, lines: RawLines, keeper: LineKeeper) -> None:
        self._lines = lines
        self._keeper = keeper
        self._loop = asyncio.get_running_loop()
        # None is the last.
        self._requests: queue.SimpleQueue[_Request | None] = queue.SimpleQueue()
        self._size = 0
        self._pending: dict[asyncio.Future[Any], _Request] = {}
        self._answers: deque[tuple[_Request, bool | Room]] = deque()
        self._answering = False
        self._timer: asyncio.TimerHandle | None = None
        self._thread = threading.Thread(target=self._run, name="intake", daemon=True)
        self._thread.start()

    async def keep(self, queries: Sequence[bytes], sender: Sender) -> bool:
        """Return whether the events of a request are kept.

        Raises:
            RefusedError: too many wait already, or this one has for too long.
        """
        size = sum(map(len, queries))
        if self._size + size > _MOST_BYTES:
            raise retry_later("too many events wait for the disk")
        answer: asyncio.Future[bool] = self._loop.create_future()
        self._put(answer, queries, sender, size)
        return await answer

    async def room(self, size: int) -> Room:
        """See `listener.LineKeeper.room`.

        Raises:
            RefusedError: the disk does not answer.
        """
        answer: asyncio.Future[Room] = self._loop.create_future()
        self._put(answer, (), Sender(b"", b""), size)
        return await answer

    def _put(
        self,
        answer: asyncio.Future[Any],
        queries: Sequence[bytes],
        sender: Sender,
        size: int,
    ) -> None:
        request = _Request(
            answer, queries, sender, time.time(), time.monotonic() + _ANSWERED_WITHIN_S, size, Arrival((), 0)
        )
        request.arrival.acknowledge = partial(self._send_answer, request)
        self._size += size if queries else 0
        self._pending[answer] = request
        self._requests.put(request)
        if self._timer is None:
            self._timer = self._loop.call_later(_CHECK_AGAIN_S, self._expire_late)

    def _send_answer(self, request: _Request, result: bool | Room) -> None:
        """Hand an answer over to the event loop; may be called on any thread."""
        self._answers.append((request, result))
        if not self._answering:
            self._answering = True
            # A loop that has ended has nobody to tell.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._deliver_answers)

    def _deliver_answers(self) -> None:
        self._answering = False
        while self._answers:
            request, result = self._answers.popleft()
            self._done(request)
            if not request.answer.done():
                request.answer.set_result(result)

    def _done(self, request: _Request) -> None:
        if self._pending.pop(request.answer, None) is not None and request.queries:
            self._size -= request.size

    def _expire_late(self) -> None:
        now = time.monotonic()
        for request in list(self._pending.values()):
            if now < request.until:
                break
            request.arrival.withdrawn = True
            if not request.answer.done():
                request.answer.set_exception(retry_later("the disk, or the output, does not answer in time"))
        waiting = any(not request.answer.done() for request in self._pending.values())
        self._timer = self._loop.call_later(_CHECK_AGAIN_S, self._expire_late) if waiting else None

    def _run(self) -> None:
        last = False
        while not last:
            given = [self._requests.get()]
            given += [self._requests.get() for _ in range(self._requests.qsize())]
            requests = [request for request in given if request is not None]
            last = len(requests) < len(given)
            self._handle([request for request in requests if not request.arrival.withdrawn])

    def _handle(self, requests: Sequence[_Request]) -> None:
        made: list[Arrival] = []
        for request in requests:
            if request.queries:
                made += self._made(request)
        if made:
            self._keeper.keep(made)
        for request in requests:
            if not request.queries:
                self._send_answer(request, self._keeper.room(request.size))

    def _made(self, request: _Request) -> list[Arrival]:
        when = utc(request.came_s)
        try:
            request.arrival.lines = [self._lines.line(query, when, *request.sender) for query in request.queries]
        except RetryableError as error:
            log.error("an event gets no sequence number", code="http_events_not_numbered", reason=str(error))  # noqa: TRY400 - no bug to trace
            self._send_answer(request, False)
            return []
        request.arrival.arrived_ms = int(request.came_s * 1000)
        return [request.arrival]

    def close(self) -> None:
        """Keep what was taken in; a disk that hangs is not waited for."""
        self._requests.put(None)
        self._thread.join(_ENDS_WITHIN_S)
        if self._timer is not None:
            self._timer.cancel()
