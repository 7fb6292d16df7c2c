"""What workers say of themselves comes in through shared memory; their parent reads it there."""

from __future__ import annotations

import mmap
import struct
import time
from typing import NamedTuple

from elworkers.runtime.loop import State

_SLOT = struct.Struct("=Bdq")
_SLOT_BYTES = 32
MOST_WORKERS = 1024


class Said(NamedTuple):
    """What a worker says: its state, its last sign of life in seconds since the epoch, how many records it has read."""

    state: State
    alive: float
    records: int


class SharedBoard:
    """One slot for each worker, made by the parent before it forks."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, _SLOT_BYTES * MOST_WORKERS)
        self._free = list(range(MOST_WORKERS - 1, -1, -1))

    def free_slot(self) -> Slot:
        """A slot that nobody else has."""
        return Slot(self._memory, self._free.pop())

    def give_back(self, slot: Slot) -> None:
        """Somebody else may have the slot."""
        self._free.append(slot.number)


class Slot:
    """What one worker says; implements `loop.Board`.

    One writer, one reader and no lock: a torn read shows for half a second and decides nothing.
    """

    def __init__(self, memory: mmap.mmap, number: int) -> None:
        self.number = number
        self._memory = memory
        self._at = number * _SLOT_BYTES
        self._records = 0

    def show(self, state: State) -> None:
        """See `loop.Board.show`."""
        _SLOT.pack_into(self._memory, self._at, state, time.time(), self._records)

    def read(self, records: int) -> None:
        """See `loop.Board.read`."""
        self._records += records

    def look(self) -> Said:
        """What the worker said last."""
        state, alive, records = _SLOT.unpack_from(self._memory, self._at)
        return Said(State(state), alive, records)

    def clear(self) -> None:
        """Forget the worker that was here."""
        _SLOT.pack_into(self._memory, self._at, State.STARTING, time.time(), 0)
