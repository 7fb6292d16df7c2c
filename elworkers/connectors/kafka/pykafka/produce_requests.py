# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Sends message sets to the leaders of their partitions, over pykafka's connections."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import islice, zip_longest
from typing import Any

from elworkers.connectors.kafka.batch_sender import BatchSender
from elworkers.connectors.kafka.batches import RecordBatch, requests
from elworkers.connectors.kafka.pykafka import client, quota_channels
from elworkers.connectors.kafka.pykafka.message_sets import EncodedProduceRequest, message_set, parse_produce_response
from elworkers.core.errors import RetryableError
from elworkers.core.last_resort import LastResort

_MAX_IN_FLIGHT = 64
"""Requests with chunks of rejected sets that are in flight at a time."""

_MAX_THROTTLE_S = 30.0
"""Seconds that a broker's quota may keep a batch waiting without a sign of life."""

_NO_CODE = -1
"""Kafka's code for an error that has none."""


class ProduceRequests(BatchSender):
    """Sends the message sets of one flush.

    Args:
        acks, ack_timeout_ms, compression: as in `producer_protocol.ProducerSettings`.
        encoding: decides about records that cannot be encoded.
    """

    def __init__(self, acks: int, ack_timeout_ms: int, compression: str, encoding: LastResort) -> None:
        super().__init__()
        self._encoding = encoding
        self._acks = acks
        self._ack_timeout_ms = ack_timeout_ms
        self._compression = compression
        self._unreachable: set[Any] = set()
        self._throttled_s = 0.0

    def _exchange(self, batches: Iterable[RecordBatch], *, splitting: bool) -> list[tuple[RecordBatch, int]]:
        by_leader: defaultdict[Any, list[RecordBatch]] = defaultdict(list)
        for one in batches:
            if one.leader:
                by_leader[one.leader].append(one)
            else:
                self.leaderless.append(one)
        turns = zip_longest(
            *([(leader, of_leader) for of_leader in requests(of_it)] for leader, of_it in by_leader.items())
        )
        rejected: list[tuple[RecordBatch, int]] = []
        while round_ := [
            one for turn in islice(turns, _MAX_IN_FLIGHT if splitting else 1) for one in turn if one is not None
        ]:
            pending = [(leader, self._send_batches(leader, of_leader)) for leader, of_leader in round_]
            for leader, (of_leader, response) in pending:
                self._check_responses(leader, of_leader, response, rejected)
        return rejected

    def _send_batches(self, leader: Any, batches: list[RecordBatch]) -> tuple[list[RecordBatch], Any]:
        """Return the batches that could be encoded, and their pending response; None if the leader is unreachable."""
        now_ms = int(time.time() * 1000)
        encoded = []
        for batch in batches:
            one = batch
            try:
                chunks = message_set(one.records, one.keys, now_ms, self._compression)
            except Exception:  # noqa: BLE001 - looked at record by record
                one = self._without_unencodable(batch, now_ms)
                chunks = message_set(one.records, one.keys, now_ms, self._compression)
            if chunks:
                encoded.append((one, chunks))
        encoded_batches = [one for one, _ in encoded]
        if not encoded_batches or leader in self._unreachable:
            return encoded_batches, None
        if not self._wait_for_quota(leader):
            return encoded_batches, None
        request = EncodedProduceRequest(
            [(one.partition, chunks) for one, chunks in encoded], self._acks, self._ack_timeout_ms
        )
        try:
            with client.translate_errors(f"produce to {_names(encoded_batches)}"):
                return encoded_batches, quota_channels.channel_to(leader).request(request)
        except RetryableError as error:
            self._mark_unreachable(leader, str(error))
            return encoded_batches, None

    def _wait_for_quota(self, leader: Any) -> bool:
        """Wait while a broker throttles this client; return False, and record an outage, where that takes too long."""
        if leader.handler is None:
            return True
        pace = quota_channels.channel_to(leader).produces
        self._throttled_s += pace.remaining_s
        if self._throttled_s > _MAX_THROTTLE_S:
            self._mark_unreachable(leader, f"Kafka: produce: {pace.reason}")
            return False
        return pace.wait(threading.Event())

    def _without_unencodable(self, one: RecordBatch, now_ms: int) -> RecordBatch:
        good = []
        for number, record in enumerate(one.records):
            try:
                message_set([record], one.keys[number : number + 1], now_ms, self._compression)
                good.append(number)
            except Exception as error:  # noqa: BLE001 - whose fault it is, is seen there
                self.unencodable.append(self._encoding.rejected(record, error))
        records, keys = [one.records[number] for number in good], [one.keys[number] for number in good if one.keys]
        return RecordBatch(one.partition, one.leader, records, keys, one.size)

    def _check_responses(
        self, leader: Any, batches: Sequence[RecordBatch], pending: Any, rejected: list[tuple[RecordBatch, int]]
    ) -> None:
        if not batches:
            return
        if pending is None:
            self._mark_unreachable(leader, f"Kafka: produce to {_names(batches)}: not connected")
            return
        try:
            with client.translate_errors(f"produce to {_names(batches)}"):
                response = pending.get()
        except RetryableError as error:
            self._mark_unreachable(leader, str(error))
            self.uncertain += batches
            return
        parsed, throttle_ms = parse_produce_response(response)
        quota_channels.channel_to(leader).produces.throttled(throttle_ms)
        for one in batches:
            code = parsed.get(one.partition, _NO_CODE)
            if self._answered(one, code):
                rejected.append((one, code))

    def _mark_unreachable(self, leader: Any, reason: str) -> None:
        # What else there is for it would wait as long for nothing.
        self._unreachable.add(leader)
        self.fail(reason)


def _names(batches: Sequence[RecordBatch]) -> str:
    names = [f"{one.partition.topic}[{one.partition.partition}]" for one in batches[:3]]
    return ", ".join(names) + (f" and {len(batches) - 3} more" if len(batches) > 3 else "")
