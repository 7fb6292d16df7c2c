# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Bounds calls of librdkafka that have no time limit of their own: a commit waits for a coordinator for ever."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

_Result = TypeVar("_Result")


class _Call(Generic[_Result]):
    """A call, and what came of it."""

    def __init__(self, call: Callable[[], _Result]) -> None:
        self._call = call
        self._done = threading.Event()
        self._results: list[_Result] = []
        self._error: BaseException | None = None

    def run(self) -> None:
        """Call it."""
        try:
            self._results.append(self._call())
        except BaseException as error:  # noqa: BLE001 - it is raised where the result is waited for
            self._error = error
        finally:
            self._done.set()

    def result(self, timeout_s: float) -> _Result:
        """Return the result, or raise what was raised; TimeoutError: neither is there yet."""
        if not self._done.wait(timeout_s):
            raise TimeoutError
        if self._error is not None:
            raise self._error
        return self._results[0]


class Bounded:
    """Calls in a thread of its own, which is left behind where a call does not return."""

    def __init__(self) -> None:
        self._calls: SimpleQueue[_Call[Any] | None] | None = None

    def call(self, call: Callable[[], _Result], timeout_s: float) -> _Result:
        """Return what a call returns, and raise what it raises.

        Raises:
            TimeoutError: it has not returned in time; it may still do what it was to do.
        """
        if self._calls is None:
            self._calls = SimpleQueue()
            threading.Thread(target=_run, args=(self._calls,), name="librdkafka calls", daemon=True).start()
        made = _Call(call)
        self._calls.put(made)
        try:
            return made.result(timeout_s)
        except TimeoutError:
            # The next call gets another thread.
            self.close()
            raise

    def close(self) -> None:
        """Have the thread end, once it can."""
        calls, self._calls = self._calls, None
        if calls is not None:
            calls.put(None)


def _run(calls: SimpleQueue[_Call[Any] | None]) -> None:
    while (call := calls.get()) is not None:
        call.run()
