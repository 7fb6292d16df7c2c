# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Leaves the process as it was before each test."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from elworkers.core import passwords

BUDGETS = {signal.SIGPROF: signal.ITIMER_PROF, signal.SIGALRM: signal.ITIMER_REAL}
"""Signals that a `Budget` handles, and the timers that send them."""


@pytest.fixture(autouse=True)
def _signal_handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in BUDGETS}
    yield
    for number, handler in before.items():
        signal.setitimer(BUDGETS[number], 0)
        signal.signal(number, handler)


@pytest.fixture(autouse=True)
def _remembered_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide no password that another test has read."""
    monkeypatch.setattr(passwords, "_secrets", set())
    monkeypatch.setattr(passwords, "_forms", set())
    monkeypatch.setattr(passwords, "_pattern", None)
