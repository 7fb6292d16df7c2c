# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Reads a small regular file; pipes, devices and folders of its name are errors."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path


def read(path: Path, most: int) -> bytes:
    """Return all bytes of a regular file.

    Raises:
        OSError: it is none (EINVAL), has more bytes than `most` (EFBIG), or cannot be read.
    """
    with open(path, "rb", opener=_without_waiting) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "is no regular file")
        data = file.read(most + 1)
    if len(data) > most:
        raise OSError(errno.EFBIG, f"has more than {most} bytes")
    return data


def _without_waiting(path: str, flags: int) -> int:
    # A pipe would make us wait until somebody writes into it.
    return os.open(path, flags | os.O_NONBLOCK)
