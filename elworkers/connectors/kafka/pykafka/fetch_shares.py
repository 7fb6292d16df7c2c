# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Decides which partitions are fetched from next, and how many bytes of each."""

from __future__ import annotations

import time
from collections.abc import Container, Sequence

from elworkers.connectors.kafka.pykafka.messages import MAX_MESSAGE_BYTES

_RESPONSE_BYTES = 2 * 1024 * 1024
"""Bytes of a response. Three times as much is in memory for a moment: pykafka copies its receive buffer."""

_SMALLEST_SHARE = 64 * 1024


class FetchShares:
    """Shares the bytes of a fetch response out among partitions.

    Args:
        max_bytes: bytes of a partition, unless its next message is larger.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._sizes: dict[int, int] = {}
        self._fetched_at: dict[int, float] = {}
        self._oversized: dict[int, None] = {}

    def allocate(self, partitions: Sequence[int], *, throttled: bool) -> dict[int, int]:
        """Return for each partition the bytes to ask for.

        Args:
            partitions: those that have room.
            throttled: whether a quota lets little through. What is over it comes empty, and the first partitions of a
                request would use up what it leaves.
        """
        share = min(self._max_bytes, max(_SMALLEST_SHARE, _RESPONSE_BYTES // len(partitions)))
        if throttled:
            partitions = [min(partitions, key=lambda partition: self._fetched_at.get(partition, 0.0))]
            share = min(share, _SMALLEST_SHARE)
        grown = self._grown_shares(partitions, share)
        return {partition: grown.get(partition, share) for partition in partitions}

    def _grown_shares(self, partitions: Container[int], share: int) -> dict[int, int]:
        """Return larger shares for partitions whose next message did not fit: in turn, as many as fit an answer."""
        grown: dict[int, int] = {}
        room = _RESPONSE_BYTES
        for partition in list(self._oversized):
            if partition not in partitions:
                continue
            size = min(MAX_MESSAGE_BYTES, 4 * self._sizes.get(partition, share))
            if grown and size > room:
                break
            grown[partition] = size
            room -= size
        return grown

    def record_fetch(self, shares: dict[int, int]) -> None:
        """Remember when these partitions were fetched, and with which shares."""
        self._sizes.update(shares)
        self._fetched_at.update(dict.fromkeys(shares, time.monotonic()))

    def grow(self, partition: int) -> bool:
        """Enlarge a partition's share, because its next message did not fit; return whether it was enlarged before."""
        is_repeated = partition in self._oversized
        self._oversized[partition] = None
        return is_repeated

    def reset(self, partition: int) -> None:
        """Have a partition get the usual share again."""
        self._oversized.pop(partition, None)
