# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Defines what a worker reports of itself: its state, and how many records it has read."""

from __future__ import annotations

from enum import IntEnum
from typing import Protocol


class State(IntEnum):
    """What a worker is doing."""

    STARTING = 0
    RUNNING = 1
    WAITING = 2
    STOPPED = 3
    IDLE = 4
    READY = 5
    """Takes up the work as soon as the worker before it has ended."""


class StateReporter(Protocol):
    """Takes what a worker reports of itself."""

    def report(self, state: State) -> None:
        """Report the state; it is a sign of life, too."""

    def read(self, records: int) -> None:
        """Add to the number of records read."""

    def trouble(self, reason: str) -> None:
        """Report why it cannot work for now, without any password; empty: it can again."""
