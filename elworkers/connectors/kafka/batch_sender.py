# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Splits record batches that a broker refuses, and tells what became of each record, whatever client sends.

A broker refuses a batch as a whole for one record. Parts of it are sent again until those records are found, so that
records around a refused one may be stored in another order than they came in.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from elworkers.connectors.kafka.batches import RecordBatch
from elworkers.connectors.kafka.error_codes import (
    INVALID_NAME,
    KEY_REQUIRED,
    MAYBE_STORED,
    OUTAGES,
    describe,
    error_type,
)
from elworkers.connectors.kafka.errors import OutageError
from elworkers.core.contracts import RejectedRecord
from elworkers.core.errors import RetryableError

_SPLIT_FACTOR = 8
"""Number of chunks that a rejected batch is split into: more are too many for one bad record, fewer for many."""

_KEYLESS_PROBES = 8
"""Records without a key after which a topic that has rejected each of them is believed to accept none."""


class BatchSender:
    """Sends the record batches of one flush; the class of a driver has `_exchange`.

    Attributes:
        acked: what the brokers have.
        uncertain: what they may have, though they did not say so.
        rejected: what they refuse, with Kafka's error code.
        unencodable: records that could not be encoded.
        leaderless: what has no broker to go to.
        outage: why something is missing that is not refused; None where nothing is.
    """

    def __init__(self) -> None:
        self._keyless_rejections: Counter[str] = Counter()
        self._keyless_accepted: set[str] = set()
        self.acked: list[RecordBatch] = []
        self.uncertain: list[RecordBatch] = []
        self.rejected: list[tuple[RecordBatch, int]] = []
        self.unencodable: list[RejectedRecord] = []
        self.leaderless: list[RecordBatch] = []
        self.outage: RetryableError | None = None

    def fail(self, reason: str, outage_type: type[RetryableError] = OutageError) -> None:
        """Record an outage; the first one counts."""
        self.outage = self.outage or outage_type(reason)

    def send(self, batches: Iterable[RecordBatch]) -> None:
        """Send to all leaders at once, and wait for their answers; never raises for what a broker says or does."""
        rejected = self._exchange(batches, splitting=False)
        while rejected:
            rejected = self._exchange(
                [part for one, code in rejected for part in self._split(one, code)], splitting=True
            )

    def _exchange(self, batches: Iterable[RecordBatch], *, splitting: bool) -> list[tuple[RecordBatch, int]]:
        """Send batches and wait for what becomes of each; return those that are refused, with Kafka's error code.

        Args:
            batches: what to send.
            splitting: these are parts of batches that were refused: each has to be refused for itself.
        """
        raise NotImplementedError

    def keyless_rejected(self) -> set[str]:
        """Return topics that have refused each of their records without a key, for that reason."""
        return {
            topic
            for topic, count in self._keyless_rejections.items()
            if count >= _KEYLESS_PROBES and topic not in self._keyless_accepted
        }

    def _answered(self, one: RecordBatch, code: int) -> bool:
        """Take a broker's answer to a batch: Kafka's error code, 0 for none; return whether it is a refusal."""
        if not code:
            self.acked.append(one)
            if not one.keys and one.partition.topic in self._keyless_rejections:
                self._keyless_accepted.add(one.partition.topic)
        elif code in OUTAGES:
            reason = f"Kafka: produce to {one.partition.topic}[{one.partition.partition}]: {describe(code)}"
            self.fail(reason, error_type(code))
            if code in MAYBE_STORED:
                self.uncertain.append(one)
        else:
            return True
        return False

    def _split(self, one: RecordBatch, code: int) -> Iterable[RecordBatch]:
        topic, count = one.partition.topic, len(one.records)
        is_keyless = code in KEY_REQUIRED and not one.keys
        if count == 1:
            self._keyless_rejections[topic] += is_keyless
        if count == 1 or code in INVALID_NAME or (is_keyless and topic in self.keyless_rejected()):
            self.rejected.append((one, code))
            return ()
        if is_keyless and topic not in self._keyless_rejections:
            # A compacted topic refuses each of them; to find that out of thousands one by one would take long.
            self._keyless_rejections[topic] = 0
            return (
                (*one.subset(0, _KEYLESS_PROBES).split(1), one.subset(_KEYLESS_PROBES, None))
                if count > _KEYLESS_PROBES
                else one.split(1)
            )
        return one.split(-(-count // _SPLIT_FACTOR))
