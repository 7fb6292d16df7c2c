# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Waits for files to read; unlike select(2), also for descriptors beyond 1023."""

from __future__ import annotations

import select
from collections.abc import Iterable
from typing import Protocol, TypeVar


class _File(Protocol):
    def fileno(self) -> int: ...


F = TypeVar("F", bound="int | _File")


def readable(files: Iterable[F], seconds: float) -> list[F]:
    """Return those of the files that can be read, or are at their end; none after this many seconds without any.

    Args:
        files: or their descriptors.
        seconds: the longest wait; 0 or less: none.
    """
    by_number = {one if isinstance(one, int) else one.fileno(): one for one in files}
    poll = select.poll()
    for number in by_number:
        poll.register(number, select.POLLIN)
    return [by_number[number] for number, _ in poll.poll(max(0.0, seconds) * 1000)]
