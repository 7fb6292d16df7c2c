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

from elworkers.connectors.http.limits import come_again
from elworkers.connectors.spool.listener import Arrival, LineKeeper, Room
from elworkers.connectors.spool.raw_lines import RawLines, utc
from elworkers.core.errors import RetryableError

_MOST_BYTES = 8 * 1024 * 1024
"""Of events that wait for the thread."""
_ANSWERED_WITHIN_S = 10.0
_LOOK_AGAIN_S = 0.5
_ENDS_WITHIN_S = 2.0

log = structlog.get_logger(__name__)


class Sender(NamedTuple):
    """What a line says of the client: its address, or nothing, and its user agent."""

    address: bytes
    agent: bytes


class _Job(NamedTuple):
    """Of one request; without events it asks how much room there is.

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
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._size = 0
        self._pending: dict[asyncio.Future[Any], _Job] = {}
        self._said: deque[tuple[_Job, bool | Room]] = deque()
        self._telling = False
        self._look: asyncio.TimerHandle | None = None
        self._thread = threading.Thread(target=self._run, name="intake", daemon=True)
        self._thread.start()

    async def keep(self, queries: Sequence[bytes], sender: Sender) -> bool:
        """Return whether the events of a request are kept.

        Raises:
            RefusedError: too many wait already, or this one has for too long.
        """
        size = sum(map(len, queries))
        if self._size + size > _MOST_BYTES:
            raise come_again("too many events wait for the disk")
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
        job = _Job(answer, queries, sender, time.time(), time.monotonic() + _ANSWERED_WITHIN_S, size, Arrival((), 0))
        job.arrival.told = partial(self._tell, job)
        self._size += size if queries else 0
        self._pending[answer] = job
        self._jobs.put(job)
        if self._look is None:
            self._look = self._loop.call_later(_LOOK_AGAIN_S, self._look_for_late)

    def _tell(self, job: _Job, word: bool | Room) -> None:
        """Hand an answer over to the event loop; may be called on any thread."""
        self._said.append((job, word))
        if not self._telling:
            self._telling = True
            # A loop that has ended has nobody to tell.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._answer)

    def _answer(self) -> None:
        self._telling = False
        while self._said:
            job, word = self._said.popleft()
            self._done(job)
            if not job.answer.done():
                job.answer.set_result(word)

    def _done(self, job: _Job) -> None:
        if self._pending.pop(job.answer, None) is not None and job.queries:
            self._size -= job.size

    def _look_for_late(self) -> None:
        now = time.monotonic()
        for job in list(self._pending.values()):
            if now < job.until:
                break
            job.arrival.withdrawn = True
            if not job.answer.done():
                job.answer.set_exception(come_again("the disk, or the output, does not answer in time"))
        waiting = any(not job.answer.done() for job in self._pending.values())
        self._look = self._loop.call_later(_LOOK_AGAIN_S, self._look_for_late) if waiting else None

    def _run(self) -> None:
        last = False
        while not last:
            given = [self._jobs.get()]
            given += [self._jobs.get() for _ in range(self._jobs.qsize())]
            jobs = [job for job in given if job is not None]
            last = len(jobs) < len(given)
            self._take([job for job in jobs if not job.arrival.withdrawn])

    def _take(self, jobs: Sequence[_Job]) -> None:
        made: list[Arrival] = []
        for job in jobs:
            if job.queries:
                made += self._made(job)
        if made:
            self._keeper.keep(made)
        for job in jobs:
            if not job.queries:
                self._tell(job, self._keeper.room(job.size))

    def _made(self, job: _Job) -> list[Arrival]:
        when = utc(job.came_s)
        try:
            job.arrival.lines = [self._lines.line(query, when, *job.sender) for query in job.queries]
        except RetryableError as error:
            log.error("an event gets no sequence number", code="http_events_not_numbered", reason=str(error))  # noqa: TRY400 - no bug to trace
            self._tell(job, False)
            return []
        job.arrival.came_ms = int(job.came_s * 1000)
        return [job.arrival]

    def close(self) -> None:
        """Keep what was taken in; a disk that hangs is not waited for."""
        self._jobs.put(None)
        self._thread.join(_ENDS_WITHIN_S)
        if self._look is not None:
            self._look.cancel()
