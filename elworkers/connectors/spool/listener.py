# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Defines what a listener does, and what it hands its lines to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from elworkers.core.errors import ElworkersError

Acknowledge = Callable[[bool], None]
"""Called once, by any thread, with whether lines are kept: on disk, or acknowledged by the output. Never raises."""


@dataclass(eq=False)
class Arrival:
    """Lines that came at the same time.

    Attributes:
        lines: without the LF that ends them.
        arrived_ms: when, ms since the epoch.
        acknowledge: of a client that can send them again; all of them are kept, or none. None: nobody can, so that each
            line that is kept is worth it, and the others are counted.
        withdrawn: the client waits no longer.
    """

    lines: Sequence[bytes]
    arrived_ms: int
    acknowledge: Acknowledge | None = None
    withdrawn: bool = False


class Room(NamedTuple):
    """What would happen to the next request.

    Attributes:
        status: `ok`, `straight` where it goes to the output past the disk, or `full` where it is refused.
        waiting_bytes: bytes of lines that are on disk.
        max_bytes: the most that may be.
        reason: why it is not `ok`.
    """

    status: str
    waiting_bytes: int
    max_bytes: int
    reason: str = ""


class LineKeeper(Protocol):
    """Takes lines. One thread at a time calls it; file work is done there, which may take its time. Never raises."""

    def keep(self, arrivals: Sequence[Arrival]) -> None:
        """Take lines; each `acknowledge` is called now or later."""

    def room(self, size: int) -> Room:
        """Return what would happen to a request with at most this many bytes of lines."""


Failed = Callable[[ElworkersError], None]
"""Called by a listener that can take nothing any more."""


class Listener(Protocol):
    """Receives lines whose senders do not send them again, unless they are told to."""

    def open(self, keeper: LineKeeper, failed: Failed) -> None:
        """Begin to take lines, on a thread of the listener's own."""

    def close(self) -> None:
        """Hand over what was received, and release everything; never raises."""
