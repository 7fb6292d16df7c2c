# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Interrupts an event that uses up its processor time."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

from elworkers.core.contracts import Record
from elworkers.core.errors import EventTimeout

_TICKS = 4
_SIGNALS = {signal.ITIMER_PROF: signal.SIGPROF, signal.ITIMER_REAL: signal.SIGALRM}


class Budget:
    """Time for each event; implements `contracts.Budget`.

    One interval timer a batch (setitimer(2), ITIMER_PROF) looks four times within a budget whether the event at hand is
    still the same, which costs an event no more than saying which one it is. It counts processor time, so that a
    worker that was stopped or waits for the network blames no event. Only the main thread may use it: the handler
    raises there, also out of a regular expression (Python's `re` looks for signals).

    With ITIMER_REAL it counts the ticks of a clock: who sleeps, or waits for the network, is interrupted as well. A
    worker that was stopped gets one tick for all that time.

    Args:
        seconds: that an event may use, within a quarter.
        timer: ITIMER_PROF or ITIMER_REAL; of each a process has one.

    Attributes:
        current_record: the record whose event is at hand; see `contracts.Budget`.
    """

    def __init__(self, seconds: float, timer: int = signal.ITIMER_PROF) -> None:
        self.seconds = seconds
        self._timer = timer
        self.current_record: Record | None = None
        self._seen: Record | None = None
        self._ticks = 0
        signal.signal(_SIGNALS[timer], self._on_tick)

    def _on_tick(self, _number: int, _frame: FrameType | None) -> None:
        if self.current_record is None:
            return
        if self.current_record is not self._seen:
            self._seen, self._ticks = self.current_record, 1
            return
        self._ticks += 1
        if self._ticks > _TICKS:
            # Again a tick later, should this one be swallowed where Python ignores exceptions (a finalizer).
            self._ticks = _TICKS
            raise EventTimeout

    @contextlib.contextmanager
    def batch(self) -> Iterator[None]:
        """See `contracts.Budget.batch`."""
        tick_s = self.seconds / _TICKS
        signal.setitimer(self._timer, tick_s, tick_s)
        try:
            yield
        finally:
            try:
                self.current_record = None
            finally:
                # Also where time runs out on the way here.
                signal.setitimer(self._timer, 0)
                self._seen = None
