# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Decides which partitions are fetched from next, and how many bytes of each."""

from __future__ import annotations

import time
from collections.abc import Container, Sequence

from elworkers.connectors.kafka.pykafka.messages import LARGEST_MESSAGE

_ANSWER_BYTES = 2 * 1024 * 1024
"""Of which three are in memory for a moment: pykafka receives into a buffer that it then copies."""

_SMALLEST_SHARE = 64 * 1024


class FetchShares:
    """How an answer is shared out.

    Args:
        most: bytes of a partition, unless its next message is larger.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._asked: dict[int, int] = {}
        self._turns: dict[int, float] = {}
        self._larger: dict[int, None] = {}

    def of(self, wanted: Sequence[int], *, careful: bool) -> dict[int, int]:
        """Return for each partition the bytes to ask for.

        Args:
            wanted: those that have room.
            careful: a quota lets little through: what is over it comes without anything, and where an answer is cut for
                it, the first partitions of the request would have it all.
        """
        share = min(self._most, max(_SMALLEST_SHARE, _ANSWER_BYTES // len(wanted)))
        if careful:
            wanted = [min(wanted, key=lambda partition: self._turns.get(partition, 0.0))]
            share = min(share, _SMALLEST_SHARE)
        grown = self._grown(wanted, share)
        return {partition: grown.get(partition, share) for partition in wanted}

    def _grown(self, wanted: Container[int], share: int) -> dict[int, int]:
        """Return larger shares for partitions whose next message did not fit: in turn, as many as fit an answer."""
        grown: dict[int, int] = {}
        room = _ANSWER_BYTES
        for partition in list(self._larger):
            if partition not in wanted:
                continue
            size = min(LARGEST_MESSAGE, 4 * self._asked.get(partition, share))
            if grown and size > room:
                break
            grown[partition] = size
            room -= size
        return grown

    def answered(self, shares: dict[int, int]) -> None:
        """Note that these partitions have had their turn."""
        self._asked.update(shares)
        self._turns.update(dict.fromkeys(shares, time.monotonic()))

    def too_small(self, partition: int) -> bool:
        """Give a partition more, whose next message did not fit; return whether that is so for a second time."""
        again = partition in self._larger
        self._larger[partition] = None
        return again

    def fits(self, partition: int) -> None:
        """Note that the next message of a partition fits again."""
        self._larger.pop(partition, None)
