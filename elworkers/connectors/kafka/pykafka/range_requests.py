# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Requests ranges of partitions from their leaders, at the pace that a quota allows."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from pykafka.protocol import FetchRequest, PartitionFetchRequest

from elworkers.connectors.kafka.pykafka import client, quota_channels, transactions
from elworkers.connectors.kafka.pykafka.messages import (
    FETCH_VERSION,
    PartitionResponse,
    partition_responses,
    throttle_ms,
)
from elworkers.core.errors import RetryableError

_MAX_WAIT_MS = 100
_THROTTLED_BYTES = 64 * 1024
"""Bytes of a response while a quota throttles this client: a response over the quota comes empty."""

_STALE_CODES = frozenset((1, 3, 5, 6, 7, 9))
"""Kafka's error codes that mean that the metadata of a partition is out of date."""


PartitionOffsets = Sequence[tuple[tuple[str, int], int]]
"""Topics and partitions, each with the offset to read from."""


class PendingFetch(NamedTuple):
    """A fetch request that is in flight.

    Attributes:
        leader: the broker's id.
        size: bytes of each partition.
        exact_size: the size counts also where a quota lets little through.
        response: pykafka's future.
    """

    leader: int
    offsets: PartitionOffsets
    size: int
    exact_size: bool
    response: Any


class RangeRequests:
    """Sends fetch requests to leaders.

    Args:
        broker: gives pykafka's broker of an id, connected.

    Attributes:
        cancelled: set where nobody waits for answers any longer.
    """

    def __init__(self, broker: Callable[[int], Any]) -> None:
        self._broker = broker
        self.cancelled = threading.Event()

    def allowed_size(self, leader: int, size: int) -> int:
        """Return how many of so many bytes may be requested now."""
        with client.translate_errors("fetch messages"):
            return (
                min(size, _THROTTLED_BYTES)
                if quota_channels.channel_to(self._broker(leader)).fetches.throttled_lately
                else size
            )

    def send(self, leader: int, offsets: PartitionOffsets, size: int, *, exact_size: bool = False) -> PendingFetch:
        """Send the requests; `exact_size` where a smaller answer is of no use.

        Raises:
            RetryableError: the leader cannot be reached.
        """
        if not exact_size:
            size = min(size, max(1, self.allowed_size(leader, len(offsets) * size) // len(offsets)))
        requests = [
            PartitionFetchRequest(topic.encode(), partition, begin, size) for (topic, partition), begin in offsets
        ]
        request = FetchRequest(requests, timeout=_MAX_WAIT_MS, min_bytes=1, api_version=FETCH_VERSION)
        with client.translate_errors("fetch messages"):
            return PendingFetch(
                leader, offsets, size, exact_size, quota_channels.channel_to(self._broker(leader)).request(request)
            )

    def receive(self, pending: PendingFetch) -> list[PartitionResponse]:
        """Return the response; requested again where it came empty because of a quota.

        Raises:
            RetryableError: the leader does not answer, or leads no longer.
        """
        while not (responses := self._receive_once(pending)):
            # An answer that is over a quota is about no partition at all.
            with client.translate_errors("fetch messages"):
                pace = quota_channels.channel_to(self._broker(pending.leader)).fetches
            if not pace.wait(self.cancelled):
                raise RetryableError(f"Kafka: {pace.reason}")
            pending = self.send(pending.leader, pending.offsets, pending.size, exact_size=pending.exact_size)
        for one in responses:
            if one.error in _STALE_CODES:
                raise RetryableError(f"Kafka: {one.topic}, partition {one.partition}: error {one.error}")
        return responses

    def _receive_once(self, pending: PendingFetch) -> list[PartitionResponse]:
        with client.translate_errors("fetch messages"):
            response = pending.response.get()
            responses = list(partition_responses(response))
            quota_channels.channel_to(self._broker(pending.leader)).fetches.fetched(
                throttle_ms(response), empty=not responses
            )
        return responses

    def batches_at(self, leader: int, partition: tuple[str, int], offset: int, size: int) -> list[transactions.Batch]:
        """See `transactions.batches_at`.

        Raises:
            ThrottledError: a quota does not let through the first one.
            RetryableError: the leader does not answer.
        """
        with client.translate_errors("ask what is at an offset without a message"):
            return transactions.batches_at(self._broker(leader), *partition, offset, max(1, size), self.cancelled)
