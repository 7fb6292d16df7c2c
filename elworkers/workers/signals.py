# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Queues signals, so that a process handles them in order when it is ready."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Collection, Iterator
from types import FrameType

from elworkers.core.polling import readable


class SignalQueue:
    """Signals that a handler only notes, and a wait that the next of them ends.

    Args:
        numbers: which.
    """

    def __init__(self, numbers: Collection[signal.Signals]) -> None:
        self._numbers = numbers
        self._noted: list[int] = []
        self._pipe = os.pipe()

    def listen(self) -> None:
        """Note them from now on, also where the image of before has blocked them."""
        for end in self._pipe:
            os.set_blocking(end, False)
        signal.set_wakeup_fd(self._pipe[1], warn_on_full_buffer=False)
        for number in self._numbers:
            signal.signal(number, self._note)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, self._numbers)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self._noted.append(number)

    def take(self) -> Iterator[int]:
        """Yield those that have come, each once."""
        while self._noted:
            yield self._noted.pop(0)

    def wait(self, seconds: float) -> None:
        """Wait for the next one."""
        readable([self._pipe[0]], seconds)
        with contextlib.suppress(BlockingIOError):
            while os.read(self._pipe[0], 512):
                pass

    @contextlib.contextmanager
    def blocked(self) -> Iterator[None]:
        """Block all signals while this is entered; the next image of this process unblocks them when it listens."""
        signal.pthread_sigmask(signal.SIG_BLOCK, self._numbers)
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, self._numbers)

    def close(self) -> None:
        """Close, in a child, what belongs to its parent."""
        for end in self._pipe:
            os.close(end)
