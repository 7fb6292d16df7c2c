# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Limits the time of a call that may never come back."""

from __future__ import annotations

from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TypeVar

_Result = TypeVar("_Result")


class TimeLimit:
    """Calls with a limit, each in a thread of its own, that is abandoned when its time is up.

    Args:
        most_abandoned: threads that may be running so; with that many, no call is begun.
    """

    def __init__(self, most_abandoned: int) -> None:
        self._most_abandoned = most_abandoned
        self._abandoned: list[Thread] = []

    def call(self, function: Callable[[], _Result], seconds: float) -> _Result:
        """Return what the function gives, or raises.

        Args:
            function: runs in another thread; what it does after the limit is ignored.
            seconds: of waiting.

        Raises:
            TimeoutError: it takes longer, or too many earlier ones have not come back either.
        """
        self._abandoned = [thread for thread in self._abandoned if thread.is_alive()]
        if len(self._abandoned) >= self._most_abandoned:
            raise TimeoutError
        ended: SimpleQueue[tuple[_Result | None, BaseException | None]] = SimpleQueue()

        def run() -> None:
            try:
                ended.put((function(), None))
            except BaseException as error:  # noqa: BLE001 - it is raised by who has called
                ended.put((None, error))

        thread = Thread(target=run, name="time limit", daemon=True)
        thread.start()
        try:
            result, error = ended.get(timeout=seconds)
        except Empty:
            self._abandoned.append(thread)
            raise TimeoutError from None
        if error is not None:
            raise error
        return result  # type: ignore[return-value]
