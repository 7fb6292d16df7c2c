"""Events come by one after the other; one that uses up its time is interrupted."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

from elworkers.errors import OutOfTime

_TICKS = 4


class Budget:
    """Processor time for each event; implements `contracts.Budget`.

    One interval timer a batch (setitimer(2), ITIMER_PROF) looks four times within a budget whether the event at hand is
    still the same, which costs an event no more than adding one to a number. It counts processor time, so that a
    worker that was stopped or waits for the network blames no event. Only the main thread may use it: the handler
    raises there, also out of a regular expression (Python's `re` looks for signals).

    Args:
        seconds: of processor time that an event may use, within a quarter.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._event = 0
        self._seen = 0
        self._ticks = 0
        self._at_work = False
        signal.signal(signal.SIGPROF, self._look)

    def _look(self, _number: int, _frame: FrameType | None) -> None:
        if not self._at_work:
            return
        if self._event != self._seen:
            self._seen, self._ticks = self._event, 1
            return
        self._ticks += 1
        if self._ticks > _TICKS:
            # Again a tick later, should this one be swallowed where Python ignores exceptions (a finalizer).
            self._ticks = _TICKS
            raise OutOfTime

    @contextlib.contextmanager
    def batch(self) -> Iterator[None]:
        """See `contracts.Budget.batch`."""
        tick_s = self.seconds / _TICKS
        signal.setitimer(signal.ITIMER_PROF, tick_s, tick_s)
        try:
            yield
        finally:
            self._at_work = False
            signal.setitimer(signal.ITIMER_PROF, 0)

    def begin(self) -> None:
        """See `contracts.Budget.begin`."""
        self._event += 1
        self._at_work = True

    def end(self) -> None:
        """See `contracts.Budget.end`."""
        self._at_work = False
