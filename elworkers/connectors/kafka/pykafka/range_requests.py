# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Requests ranges of partitions from their leaders, at the pace that a quota allows."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from pykafka.protocol import FetchRequest, PartitionFetchRequest

from elworkers.connectors.kafka.pykafka import client, quota_channels, transactions
from elworkers.connectors.kafka.pykafka.messages import FETCH_VERSION, PartitionResponse, parts, throttle_ms
from elworkers.core.errors import RetryableError

_WAIT_MS = 100
_CAREFUL_BYTES = 64 * 1024
"""Of an answer, while a quota throttles this client: what is over it comes without anything."""

_STALE = frozenset((1, 3, 5, 6, 7, 9))
"""Kafka's error codes after which all is asked for anew: what was known of a partition is out of date."""


Begins = Sequence[tuple[tuple[str, int], int]]
"""Topics and partitions, each with the offset to read from."""


class RangeResponse(NamedTuple):
    """A request that is under way.

    Attributes:
        leader: the broker's id.
        size: bytes of each partition.
        whole: the size counts also where a quota lets little through.
        answer: pykafka's future.
    """

    leader: int
    begins: Begins
    size: int
    whole: bool
    answer: Any


class RangeRequests:
    """Asks leaders for messages.

    Args:
        broker: gives pykafka's broker of an id, connected.

    Attributes:
        ended: set where nobody waits for answers any longer.
    """

    def __init__(self, broker: Callable[[int], Any]) -> None:
        self._broker = broker
        self.ended = threading.Event()

    def careful_size(self, leader: int, size: int) -> int:
        """Return the bytes to ask for where so many are wanted."""
        with client.translated("fetch messages"):
            return min(size, _CAREFUL_BYTES) if quota_channels.of(self._broker(leader)).fetches.careful else size

    def send(self, leader: int, begins: Begins, size: int, *, whole: bool = False) -> RangeResponse:
        """Send the requests; `whole` where a smaller answer is of no use.

        Raises:
            RetryableError: the leader cannot be reached.
        """
        if not whole:
            size = min(size, max(1, self.careful_size(leader, len(begins) * size) // len(begins)))
        requests = [
            PartitionFetchRequest(topic.encode(), partition, begin, size) for (topic, partition), begin in begins
        ]
        request = FetchRequest(requests, timeout=_WAIT_MS, min_bytes=1, api_version=FETCH_VERSION)
        with client.translated("fetch messages"):
            return RangeResponse(leader, begins, size, whole, quota_channels.of(self._broker(leader)).request(request))

    def told(self, asked: RangeResponse) -> list[PartitionResponse]:
        """Return the answer; asked for again where a quota has emptied it.

        Raises:
            RetryableError: the leader does not answer, or leads no longer.
        """
        while not (found := self._answered(asked)):
            # An answer that is over a quota is about no partition at all.
            with client.translated("fetch messages"):
                pace = quota_channels.of(self._broker(asked.leader)).fetches
            if not pace.rest(self.ended):
                raise RetryableError(f"Kafka: {pace.reason}")
            asked = self.send(asked.leader, asked.begins, asked.size, whole=asked.whole)
        for part in found:
            if part.error in _STALE:
                raise RetryableError(f"Kafka: {part.topic}, partition {part.partition}: error {part.error}")
        return found

    def _answered(self, asked: RangeResponse) -> list[PartitionResponse]:
        with client.translated("fetch messages"):
            answer = asked.answer.get()
            found = list(parts(answer))
            quota_channels.of(self._broker(asked.leader)).fetches.fetched(throttle_ms(answer), empty=not found)
        return found

    def batches_at(self, leader: int, place: tuple[str, int], offset: int, size: int) -> list[transactions.Batch]:
        """See `transactions.batches_at`.

        Raises:
            ThrottledError: a quota does not let through the first one.
            RetryableError: the leader does not answer.
        """
        with client.translated("ask what is at an offset without a message"):
            return transactions.batches_at(self._broker(leader), *place, offset, max(1, size), self.ended)
