# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Locks a spool's folder, so that one process uses it at a time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

_LOCK = "lock"
"""The file that `spool.Spool` holds locked."""


def wait_for_turn(folder: Path, waits: Callable[[], bool]) -> None:
    """Return as soon as no other process has the spool, or `waits` returns False.

    Args:
        folder: the spool's, which need not be there.
        waits: waits a moment, and returns whether to try again.
    """
    while _is_locked(folder / _LOCK) and waits():
        pass


def _is_locked(path: Path) -> bool:
    try:
        lock = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        # Whoever opens the spool finds out what is wrong with it.
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False
