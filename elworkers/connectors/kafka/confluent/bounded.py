# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Bounds calls of librdkafka that have no time limit of their own: a commit waits for a coordinator for ever."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, TypeVar

_Result = TypeVar("_Result")
_Calls = SimpleQueue[tuple[Callable[[], Any], Future[Any]] | None]


class Bounded:
    """Calls in a thread of its own, which is left behind where a call does not return.

    An executor's threads would not do: the end of the process waits for them.
    """

    def __init__(self) -> None:
        self._calls: _Calls | None = None

    def call(self, call: Callable[[], _Result], timeout_s: float) -> _Result:
        """Return what a call returns, and raise what it raises.

        Raises:
            TimeoutError: it has not returned in time; it may still do what it was to do.
        """
        if self._calls is None:
            self._calls = SimpleQueue()
            threading.Thread(target=_run, args=(self._calls,), name="librdkafka calls", daemon=True).start()
        result: Future[_Result] = Future()
        self._calls.put((call, result))
        try:
            return result.result(timeout_s)
        except TimeoutError:
            # The next call gets another thread.
            self.close()
            raise

    def close(self) -> None:
        """Have the thread end, once it can."""
        calls, self._calls = self._calls, None
        if calls is not None:
            calls.put(None)


def _run(calls: _Calls) -> None:
    while (next_one := calls.get()) is not None:
        call, result = next_one
        try:
            result.set_result(call())
        except BaseException as error:  # noqa: BLE001 - it is raised where the result is waited for
            result.set_exception(error)
