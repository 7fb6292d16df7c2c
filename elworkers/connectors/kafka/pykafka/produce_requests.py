# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Sends message sets, splits those that a broker refuses, and tells what became of each record.

A broker refuses a set as a whole for one record. Parts of it are sent again until those records are found, so that
records around a refused one may be stored in another order than they came in.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import islice, zip_longest
from typing import Any

from elworkers.connectors.kafka.driver import NotAuthorizedError, OutageError
from elworkers.connectors.kafka.pykafka import client, quota_channels
from elworkers.connectors.kafka.pykafka.batches import RecordBatch, requests
from elworkers.connectors.kafka.pykafka.error_codes import (
    NAMES_OWN,
    NO_RIGHT,
    OUTAGES,
    PERHAPS_STORED,
    WITHOUT_KEY,
    words,
)
from elworkers.connectors.kafka.pykafka.message_sets import ProduceSets, answered, message_set
from elworkers.core.contracts import RejectedRecord
from elworkers.core.errors import RetryableError
from elworkers.core.last_resort import LastResort

_PARTS = 8
"""Of a refused set: with more there are too many to send for one record, with fewer for many."""

_AHEAD = 64
"""Requests of parts that are under way at a time."""

_PROBED = 8
"""Records without a key after which a topic that has refused each of them is believed to take none."""

_LONGEST_REST_S = 30.0
"""That a broker's quota may keep a batch waiting without a sign of life."""

_UNSAID = -1
"""Kafka's code for an error that has none."""


class ProduceRequests:
    """The sets of one send.

    Args:
        acks, ack_timeout_ms, compression: as in `producer.Settings`.
        encoding: decides about records that cannot be encoded.

    Attributes:
        acked: what the brokers have.
        unsure: what they may have, though they did not say so.
        refused: what they refuse, with Kafka's error code.
        spoiled: records that could not be encoded.
        unled: what has no broker to go to.
        outage: why something is missing that is not refused; None where nothing is.
    """

    def __init__(self, acks: int, ack_timeout_ms: int, compression: str, encoding: LastResort) -> None:
        self._encoding = encoding
        self._acks = acks
        self._ack_timeout_ms = ack_timeout_ms
        self._compression = compression
        self._lost: set[Any] = set()
        self._rested_s = 0.0
        self._without_key: Counter[str] = Counter()
        self._takes_without_key: set[str] = set()
        self.acked: list[RecordBatch] = []
        self.unsure: list[RecordBatch] = []
        self.refused: list[tuple[RecordBatch, int]] = []
        self.spoiled: list[RejectedRecord] = []
        self.unled: list[RecordBatch] = []
        self.outage: RetryableError | None = None

    def fails(self, reason: str, kind: type[RetryableError] = OutageError) -> None:
        """Something is missing; the first reason is told."""
        self.outage = self.outage or kind(reason)

    def send(self, sets: Iterable[RecordBatch]) -> None:
        """Send to all leaders at once, and wait for their answers; never raises for what a broker says or does."""
        refused = self._exchange(sets, 1)
        while refused:
            refused = self._exchange([part for one, code in refused for part in self._parts(one, code)], _AHEAD)

    def takes_none_without_key(self) -> set[str]:
        """Return topics that have refused each of their records without a key, for that reason."""
        return {
            topic
            for topic, count in self._without_key.items()
            if count >= _PROBED and topic not in self._takes_without_key
        }

    def _exchange(self, sets: Iterable[RecordBatch], ahead: int) -> list[tuple[RecordBatch, int]]:
        by_leader: defaultdict[Any, list[RecordBatch]] = defaultdict(list)
        for one in sets:
            if one.leader:
                by_leader[one.leader].append(one)
            else:
                self.unled.append(one)
        turns = zip_longest(*([(leader, some) for some in requests(of_it)] for leader, of_it in by_leader.items()))
        refused: list[tuple[RecordBatch, int]] = []
        while at_once := [one for turn in islice(turns, ahead) for one in turn if one is not None]:
            asked = [(leader, self._asked(leader, some)) for leader, some in at_once]
            for leader, (some, answer) in asked:
                self._settle(leader, some, answer, refused)
        return refused

    def _asked(self, leader: Any, sets: list[RecordBatch]) -> tuple[list[RecordBatch], Any]:
        """Return those that could be encoded, and their answer to be; None where the leader could not be asked."""
        now_ms = int(time.time() * 1000)
        encoded = []
        for whole in sets:
            one = whole
            try:
                pieces = message_set(one.records, one.keys, now_ms, self._compression)
            except Exception:  # noqa: BLE001 - looked at record by record
                one = self._without_spoiled(whole, now_ms)
                pieces = message_set(one.records, one.keys, now_ms, self._compression)
            if pieces:
                encoded.append((one, pieces))
        left = [one for one, _ in encoded]
        if not left or leader in self._lost:
            return left, None
        if not self._waits_for_quota(leader):
            return left, None
        request = ProduceSets([(one.place, pieces) for one, pieces in encoded], self._acks, self._ack_timeout_ms)
        try:
            with client.translated(f"produce to {_names(left)}"):
                return left, quota_channels.of(leader).request(request)
        except RetryableError as error:
            self._lose(leader, str(error))
            return left, None

    def _waits_for_quota(self, leader: Any) -> bool:
        """Let the time pass in which a broker wants nothing, unless that is long: then it is an outage that says so."""
        if leader.handler is None:
            return True
        pace = quota_channels.of(leader).produces
        self._rested_s += pace.left_s
        if self._rested_s > _LONGEST_REST_S:
            self._lose(leader, f"Kafka: produce: {pace.reason}")
            return False
        return pace.rest(threading.Event())

    def _without_spoiled(self, one: RecordBatch, now_ms: int) -> RecordBatch:
        good = []
        for number, record in enumerate(one.records):
            try:
                message_set([record], one.keys[number : number + 1], now_ms, self._compression)
                good.append(number)
            except Exception as error:  # noqa: BLE001 - whose fault it is, is seen there
                self.spoiled.append(self._encoding.rejected(record, error))
        records, keys = [one.records[number] for number in good], [one.keys[number] for number in good if one.keys]
        return RecordBatch(one.place, one.leader, records, keys, one.size)

    def _settle(
        self, leader: Any, sets: Sequence[RecordBatch], asked: Any, refused: list[tuple[RecordBatch, int]]
    ) -> None:
        if not sets:
            return
        if asked is None:
            self._lose(leader, f"Kafka: produce to {_names(sets)}: not connected")
            return
        try:
            with client.translated(f"produce to {_names(sets)}"):
                answer = asked.get()
        except RetryableError as error:
            self._lose(leader, str(error))
            self.unsure += sets
            return
        found, throttle_ms = answered(answer)
        quota_channels.of(leader).produces.throttled(throttle_ms)
        for one in sets:
            code = found.get(one.place, _UNSAID)
            if not code:
                self._acked(one)
            elif code in OUTAGES:
                kind = NotAuthorizedError if code in NO_RIGHT else OutageError
                self.fails(f"Kafka: produce to {one.place.topic}[{one.place.partition}]: {words(code)}", kind)
                if code in PERHAPS_STORED:
                    self.unsure.append(one)
            else:
                refused.append((one, code))

    def _lose(self, leader: Any, reason: str) -> None:
        # What else there is for it would wait as long for nothing.
        self._lost.add(leader)
        self.fails(reason)

    def _acked(self, one: RecordBatch) -> None:
        self.acked.append(one)
        if not one.keys and one.place.topic in self._without_key:
            self._takes_without_key.add(one.place.topic)

    def _parts(self, one: RecordBatch, code: int) -> Iterable[RecordBatch]:
        topic, count = one.place.topic, len(one.records)
        without_key = code in WITHOUT_KEY and not one.keys
        if count == 1:
            self._without_key[topic] += without_key
        if count == 1 or code in NAMES_OWN or (without_key and topic in self.takes_none_without_key()):
            self.refused.append((one, code))
            return ()
        if without_key and topic not in self._without_key:
            # A compacted topic refuses each of them; to find that out of thousands one by one would take long.
            self._without_key[topic] = 0
            return (*one.part(0, _PROBED).parts(1), one.part(_PROBED, None)) if count > _PROBED else one.parts(1)
        return one.parts(-(-count // _PARTS))


def _names(sets: Sequence[RecordBatch]) -> str:
    places = [f"{one.place.topic}[{one.place.partition}]" for one in sets[:3]]
    return ", ".join(places) + (f" and {len(sets) - 3} more" if len(sets) > 3 else "")
