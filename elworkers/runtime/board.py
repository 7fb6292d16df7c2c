"""What workers say of themselves comes in through shared memory; their parent reads it there."""

from __future__ import annotations

import mmap
import struct
import time

from elworkers.runtime.loop import State

_SLOT = struct.Struct("=Bdq")
_SLOT_BYTES = 32
MOST_WORKERS = 1024


class SharedBoard:
    """One slot for each worker, made by the parent before it forks."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, _SLOT_BYTES * MOST_WORKERS)

    def slot(self, index: int) -> Slot:
        """The slot of the worker with this index."""
        return Slot(self._memory, index)


class Slot:
    """What one worker says; implements `loop.Board`.

    One writer, one reader and no lock: a torn read shows for half a second and decides nothing.
    """

    def __init__(self, memory: mmap.mmap, index: int) -> None:
        self._memory = memory
        self._at = index * _SLOT_BYTES
        self._records = 0

    def show(self, state: State) -> None:
        """See `loop.Board.show`."""
        _SLOT.pack_into(self._memory, self._at, state, time.time(), self._records)

    def read(self, records: int) -> None:
        """See `loop.Board.read`."""
        self._records += records

    def look(self) -> tuple[State, float, int]:
        """State, time of the last sign of life in seconds since the epoch, records read."""
        state, alive, records = _SLOT.unpack_from(self._memory, self._at)
        return State(state), alive, records

    def clear(self) -> None:
        """Forget the worker that was here."""
        _SLOT.pack_into(self._memory, self._at, State.STARTING, time.time(), 0)
