"""What every door is, and what it hands its lines to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from elworkers.errors import ElworkersError

Keep = Callable[[Sequence[bytes], int, bool], int]
"""Takes lines that came at a time (ms since the epoch), on disk when it returns; gives how many had room.

The third says that all of them belong together: then it is all or none. Never raises; one thread at a time calls it.
"""
Failed = Callable[[ElworkersError], None]
"""Told by a door that it can take nothing any more."""


class Door(Protocol):
    """Where lines come in that nobody will send again."""

    def open(self, keep: Keep, failed: Failed) -> None:
        """Begin to take lines, on a thread of the door's own."""

    def close(self) -> None:
        """Hand over what was taken, and let go of everything; never raises."""
