# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Asks Linux for what Python has no function for: which process dies with which, and what `ps` shows."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import signal

import setproctitle

_PR_SET_PDEATHSIG = 1
_M_ARENA_MAX = -8
_CONTAINERS = 20_000
# Loaded here, because right after a fork no lock may be taken.
_LIBC = ctypes.CDLL(None, use_errno=True)


def die_with_parent(number: signal.Signals, parent: int) -> bool:
    """Have the kernel send this process a signal when its parent ends (prctl(2), PR_SET_PDEATHSIG).

    Args:
        number: the signal.
        parent: pid of the parent as it was before; it may have ended before the kernel was asked.

    Returns:
        False where the parent has ended already.
    """
    if _LIBC.prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    return os.getppid() == parent


def is_running(pid: int) -> bool:
    """Return whether there is such a process, perhaps a zombie that its parent has not waited for yet."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def use_one_arena() -> None:
    """Have glibc allocate memory of all threads in one arena (mallopt(3), M_ARENA_MAX); before there are others.

    Otherwise each thread has an arena of its own, where what others free stays: 17 of 100 MiB of a processor's worker.
    Threads do not wait for each other there, since the interpreter runs one at a time.
    """
    with contextlib.suppress(AttributeError):
        # Other libraries of C have no such call, nor arenas.
        _LIBC.mallopt(_M_ARENA_MAX, 1)


def collect_rarely() -> None:
    """Have Python look for garbage in cycles every 20,000 containers instead of every 700.

    There is hardly any, and each look goes through the records of a batch: 6 % of a processor's time.
    """
    gc.set_threshold(_CONTAINERS, *gc.get_threshold()[1:])


def give_memory_back() -> None:
    """Give the operating system what was freed, also below what is in use (malloc_trim(3)).

    Garbage in cycles, as connections that were cut leave it, is looked for first: it is large, and not many containers.
    """
    gc.collect()
    with contextlib.suppress(AttributeError):
        _LIBC.malloc_trim(0)


def title(role: str, instance: str, what: str) -> None:
    """Show `eventlogging-<role> <instance> [<what>]` in the process list, and with it no URI."""
    setproctitle.setproctitle(f"eventlogging-{role} {instance} [{what}]")
