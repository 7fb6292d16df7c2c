# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Shares what workers report with their parent, in shared memory."""

from __future__ import annotations

import json
import mmap
import os
import struct
import time
import zlib
from collections.abc import Mapping
from typing import Any, NamedTuple

from elworkers.core.worker_state import State

_SLOT_BYTES = mmap.PAGESIZE
_SLOT = struct.Struct("=Bdq")
_TEXT = struct.Struct("=II")
_TEXT_AT = 64
_MOST_TEXT = _SLOT_BYTES - _TEXT_AT - _TEXT.size
_REASON_BYTES, _WHAT_BYTES, _WHY_BYTES = 1_000, 300, 300
"""As JSON, in which a character takes up to twelve."""
MOST_WORKERS = 1024
_BYTES = _SLOT_BYTES * MOST_WORKERS
LAYOUT = f"{_SLOT.format} {_TEXT.format} {_TEXT_AT} {_SLOT_BYTES} {MOST_WORKERS} {[*State.__members__.items()]}"
"""What memory that another version has written has to say of itself, to be understood."""
CRASHED = "crashed: "
"""What the last reason of a worker that crashes begins with."""


class Snapshot(NamedTuple):
    """What a worker says: its state, its last sign of life (monotonic seconds), how many records it has read."""

    state: State
    alive: float
    records: int


class Remarks(NamedTuple):
    """What a worker says at greater length.

    Attributes:
        reason: why it cannot work, or why it crashed; empty while all is well.
        since: monotonic seconds at which that began.
        aside: what it has set aside, and why.
        aside_since: and since when, in s since the epoch.
        more: how many others it has set aside, for whose names there was no room.
        remarks: what is not as it was configured, and how it is; as far as there is room.
    """

    reason: str = ""
    since: float = 0.0
    aside: Mapping[str, str] = {}
    more: int = 0
    aside_since: Mapping[str, int] = {}
    remarks: Mapping[str, str] = {}


class Scoreboard:
    """One slot for each worker, made by the parent before it forks.

    Args:
        file: descriptor of memory that another image of this process has made; None: new memory.

    Attributes:
        file: descriptor of its memory.
    """

    def __init__(self, file: int | None = None) -> None:
        if file is None:
            file = os.memfd_create("board", os.MFD_CLOEXEC)
            os.ftruncate(file, _BYTES)
        self.file = file
        self._memory = mmap.mmap(file, _BYTES)
        self._free = list(range(MOST_WORKERS - 1, -1, -1))

    @staticmethod
    def fits(file: int) -> bool:
        """Return whether the memory is as large as a scoreboard's."""
        return os.fstat(file).st_size == _BYTES

    def slot(self, number: int) -> Slot:
        """Return a slot that is in use, by its number."""
        self._free.remove(number)
        return Slot(self._memory, number)

    def free_slot(self) -> Slot:
        """Return an unused slot."""
        return Slot(self._memory, self._free.pop())

    def give_back(self, slot: Slot) -> None:
        """Release the slot for another worker."""
        self._free.append(slot.number)


class Slot:
    """What one worker reports: a few numbers often, a text when it changes.

    One writer, one reader and no lock: a torn read of the numbers shows for half a second and decides nothing; one of
    the text is seen by its checksum, and what was told before stands until the next look.
    """

    def __init__(self, memory: mmap.mmap, number: int) -> None:
        self.number = number
        self._memory = memory
        self._at = number * _SLOT_BYTES
        self._records = 0
        self._read: tuple[int, Remarks] = (0, Remarks())

    def report(self, state: State) -> None:
        """Report the state, which is also a sign of life. Intervals are not to depend on the wall clock."""
        _SLOT.pack_into(self._memory, self._at, state, time.monotonic(), self._records)

    def read(self, records: int) -> None:
        """See `worker_state.StateReporter.read`."""
        self._records += records

    def snapshot(self) -> Snapshot:
        """Return what the worker reported last."""
        state, alive, records = _SLOT.unpack_from(self._memory, self._at)
        return Snapshot(State(state), alive, records)

    def set_remarks(self, remarks: Remarks) -> None:
        """Write the remarks, cut to the space there is."""
        text = _encoded(remarks)
        at = self._at + _TEXT_AT
        self._memory[at + _TEXT.size : at + _TEXT.size + len(text)] = text
        _TEXT.pack_into(self._memory, at, len(text), zlib.crc32(text))

    def remarks(self) -> Remarks:
        """Return the remarks that the worker has written last."""
        at = self._at + _TEXT_AT
        length, checksum = _TEXT.unpack_from(self._memory, at)
        if length and checksum != self._read[0]:
            text = self._memory[at + _TEXT.size : at + _TEXT.size + length]
            if zlib.crc32(text) == checksum:
                self._read = checksum, Remarks(**json.loads(text))
        return self._read[1] if length else Remarks()

    def clear(self) -> None:
        """Forget the worker that was here."""
        _SLOT.pack_into(self._memory, self._at, State.STARTING, time.monotonic(), 0)
        _TEXT.pack_into(self._memory, self._at + _TEXT_AT, 0, 0)


def _encoded(remarks: Remarks) -> bytes:
    cut = {"reason": _cut(remarks.reason, _REASON_BYTES), "aside": {}, "aside_since": {}, "remarks": {}}
    found: dict[str, Any] = {**remarks._asdict(), **cut}
    room = _MOST_TEXT - len(json.dumps(found)) - len(str(len(remarks.aside)))
    more = remarks.more
    for what, why in remarks.aside.items():
        name, since = _cut(what, _WHAT_BYTES), remarks.aside_since.get(what)
        entry = {"aside": {name: _cut(why, _WHY_BYTES)}, "aside_since": {} if since is None else {name: since}}
        room -= len(json.dumps(entry))
        if room >= 0:
            found["aside"] |= entry["aside"]
            found["aside_since"] |= entry["aside_since"]
        else:
            more += 1
    for what, how in remarks.remarks.items():
        remark = {_cut(what, _WHAT_BYTES): _cut(how, _WHY_BYTES)}
        room -= len(json.dumps(remark))
        if room >= 0:
            found["remarks"] |= remark
    return json.dumps({**found, "more": more}).encode()


def _cut(text: str, most: int) -> str:
    while len(json.dumps(text)) > most:
        text = text[: len(text) * 3 // 4] + "…"
    return text
