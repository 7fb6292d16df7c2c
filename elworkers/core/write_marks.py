# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Notes which offsets are about to be written, for the next reader of the partition.

Small files outlive the process: one for each consumer group and topic, with a slot for each partition. Nothing is
forced to the disk, so that a host that crashes may lose them. They are no more than hints: a file that cannot be used,
or holds something else, is as good as none.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import structlog

from elworkers.core.contracts import Assignment
from elworkers.core.permissions import DATA_FILE, DATA_FOLDER

_SLOT = struct.Struct("=8s8sqq")
_CHECKSUM = struct.Struct("=I")
_SLOT_BYTES = 64

log = structlog.get_logger(__name__)


class WriteMark(NamedTuple):
    """Offsets that a process was about to write, the last one not among them.

    `own`: it was this process.
    """

    begin: int
    end: int
    own: bool


class WriteMarks:
    """The marks of one process.

    Args:
        folder: where the files are; made where it is not there.
        reader: on whose behalf a partition is read: its consumer group.
    """

    def __init__(self, folder: Path, reader: Callable[[Assignment], str]) -> None:
        self._folder = folder
        self._reader = reader
        self._owner = os.urandom(8)
        self._files: dict[str, int] = {}
        self._slots: dict[Assignment, tuple[int, bytes]] = {}
        self._logged = False

    def get(self, partition: Assignment) -> WriteMark | None:
        """Return what was marked last of a partition; None where that was committed, or nothing is known."""
        try:
            file, tag = self._slot(partition)
            content = os.pread(file, _SLOT.size + _CHECKSUM.size, partition.partition * _SLOT_BYTES)
        except OSError as error:
            self._log_once(error)
            return None
        if len(content) < _SLOT.size + _CHECKSUM.size:
            return None
        slot = content[: _SLOT.size]
        whose, owner, begin, end = _SLOT.unpack(slot)
        if whose != tag or _CHECKSUM.unpack(content[_SLOT.size :]) != (zlib.crc32(slot),) or not 0 <= begin < end:
            return None
        return WriteMark(begin, end, owner == self._owner)

    def set(self, partition: Assignment, begin: int, end: int) -> None:
        """Mark these offsets as about to be written."""
        try:
            file, tag = self._slot(partition)
            slot = _SLOT.pack(tag, self._owner, begin, end)
            os.pwrite(file, slot + _CHECKSUM.pack(zlib.crc32(slot)), partition.partition * _SLOT_BYTES)
        except OSError as error:
            self._log_once(error)

    def clear(self, partition: Assignment) -> None:
        """Take back the mark, unless it is another process's by now."""
        mark = self.get(partition)
        if mark is not None and mark.own:
            self.set(partition, 0, 0)

    def _slot(self, partition: Assignment) -> tuple[int, bytes]:
        """Return the file, and what a slot of this partition begins with."""
        slot = self._slots.get(partition)
        if slot is None:
            # An id is more certain than the operator's names of the brokers.
            key = json.dumps([self._reader(partition), partition.topic_id or partition.cluster, partition.topic])
            name = hashlib.blake2b(key.encode(), digest_size=16).hexdigest()
            tag = hashlib.blake2b(f"{key}{partition.partition}".encode(), digest_size=8).digest()
            slot = self._slots[partition] = self._file(name), tag
        return slot

    def _file(self, name: str) -> int:
        if name not in self._files:
            self._folder.mkdir(DATA_FOLDER, parents=True, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
            self._files[name] = os.open(self._folder / name, flags, DATA_FILE)
        return self._files[name]

    def _log_once(self, error: OSError) -> None:
        if not self._logged:
            self._logged = True
            log.warning(
                "what is being written cannot be noted; after a kill it would not be counted as repeated",
                code="repeats_not_marked",
                folder=str(self._folder),
                reason=error.strerror or str(error),
            )
