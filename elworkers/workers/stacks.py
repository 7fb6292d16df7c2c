# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Passes the stacks of a process that hangs or dies in C code to its parent."""

from __future__ import annotations

import os

_LONGEST = 64 * 1024


class Stacks:
    """Where `faulthandler` of a worker writes to: memory that its parent can read (memfd_create(2)).

    It writes from within a signal handler, past every log, and line by line. Whoever collects these lines can make one
    log line of them.

    Args:
        file: descriptor of memory that another image of this process has made; None: new memory.

    Attributes:
        file: the descriptor to write to.
    """

    def __init__(self, file: int | None = None) -> None:
        self.file = os.memfd_create("stacks", os.MFD_CLOEXEC) if file is None else file
        self._size = 0

    def take_if_complete(self) -> str:
        """Return what was written, once no more has come since the last look; empty until then."""
        size, self._size = self._size, os.fstat(self.file).st_size
        return self.take() if self._size and size == self._size else ""

    def take(self) -> str:
        """Return what was written until now, without more than its first 64 KiB; it is taken out."""
        text = os.pread(self.file, _LONGEST, 0).decode("utf-8", "replace")
        os.ftruncate(self.file, 0)
        os.lseek(self.file, 0, os.SEEK_SET)
        self._size = 0
        return text

    def close(self) -> None:
        """Let go of the memory."""
        os.close(self.file)
