# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Turns signals into a request to stop that a main thread can wait for."""

from __future__ import annotations

import contextlib
import os
import signal
import weakref
from types import FrameType

from elworkers.core.polling import readable


def _close(pid: int, *ends: int) -> None:
    # A child may have other files by these numbers.
    if os.getpid() == pid:
        for end in ends:
            os.close(end)


class Stop:
    """Remembers that this process was asked to end.

    The handler only records. Waiting is done on a pipe: `threading.Event` takes a lock in `set()` that the
    interrupted main thread may be holding.
    """

    def __init__(self) -> None:
        self.requested = False
        self._reader, self._writer = os.pipe()
        for end in (self._reader, self._writer):
            os.set_blocking(end, False)
        weakref.finalize(self, _close, os.getpid(), self._reader, self._writer).atexit = False

    def listen(self, *signals: signal.Signals) -> None:
        """Take these signals as the request."""
        for number in signals:
            signal.signal(number, self._record)

    def _record(self, _number: int, _frame: FrameType | None) -> None:
        self.request()

    def request(self) -> None:
        """Ask to end; may be called any number of times."""
        self.requested = True
        with contextlib.suppress(BlockingIOError):
            os.write(self._writer, b".")

    def wait(self, seconds: float) -> bool:
        """Wait up to `seconds`, or until the request; return whether it has come."""
        if not self.requested:
            readable([self._reader], seconds)
        return self.requested
