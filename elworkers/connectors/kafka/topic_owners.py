# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Assigns each topic to one schema, the same in every worker and after each restart.

A topic cannot say whose it is before it has an event, and two workers may find it empty at once. So whoever finds a
topic that is nobody's appends a claim to a log: which schema is to have it. The first claim in that log decides, also
for those who wrote the later ones.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import structlog

from elworkers.connectors.kafka.batch_sender import BatchSender
from elworkers.connectors.kafka.batches import RecordBatch
from elworkers.connectors.kafka.driver import Range, Reader
from elworkers.connectors.kafka.error_codes import INVALID_SETTINGS, NOT_AUTHORIZED, OUTAGES, describe
from elworkers.connectors.kafka.topic_client import APPEARS_WITHIN_S, TopicClient
from elworkers.core.contracts import OwnTopic, Record, TopicPartition
from elworkers.core.errors import RetryableError

TOPIC = "elworkers-topic-owners"
"""The topic with the claims: one partition, from which nothing is ever deleted."""

_RETENTION = {"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"}
_LOG = TopicPartition(TOPIC, 0)
_FIRST_MESSAGES, _FIRST_BYTES = 20, 128 * 1024

_Claim = tuple[str, str]
"""A topic and Kafka's id of it: one that was deleted and made again is nobody's."""

log = structlog.get_logger(__name__)


class TopicOwners:
    """Decides which schema owns a topic that the names of several schemas lead to.

    Args:
        topics: the driver's.
        reader: makes a `driver.Reader` of all records, also those of open transactions, with answers of up to this many
            bytes.
        sender: makes what sends a claim, uncompressed, to all replicas.
        replication: of the log of claims, where it has to be made; None: the broker's default.
        has_schema: whether a schema of a name is known to exist.
    """

    def __init__(
        self,
        topics: TopicClient,
        reader: Callable[[int], Reader],
        sender: Callable[[], BatchSender],
        replication: int | None,
        has_schema: Callable[[str], bool],
    ) -> None:
        self._topics = topics
        self._new_reader = reader
        self._new_sender = sender
        self._replication = replication
        self._has_schema = has_schema
        self._reader: Reader | None = None
        self._warned = False

    def owners_of(self, wanted: Mapping[str, Sequence[OwnTopic]]) -> dict[str, str]:
        """Return for each topic the schema that owns it, unless only a partition without a leader could tell.

        Args:
            wanted: topics that exist, with what wants each, at least one.

        Raises:
            RetryableError: Kafka does not answer, or one of the topics is gone.
        """
        if self._reader is None:
            self._reader = self._new_reader(_FIRST_BYTES)
        partitions = self._reader.partitions()
        claims = self._claims_for(self._reader, wanted)
        claimed = self._read_claims(self._reader) if _LOG in partitions else {}
        owners = {topic: claimed[claim] for topic, claim in claims.items() if claim in claimed}
        undecided = {topic: names for topic, names in wanted.items() if topic not in owners}
        if not undecided:
            return owners
        first = _first_schemas(self._reader, [one for one in partitions if one.topic in undecided])
        for topic, names in undecided.items():
            if first.get(topic) in {one.plain for one in names}:
                # Nobody can say otherwise, so that no claim is needed: most topics are found like this.
                owners[topic] = first[topic]
        hidden = {one.topic for one in self._reader.unavailable} - first.keys()
        unclaimed = {topic: names for topic, names in undecided.items() if topic not in owners and topic not in hidden}
        return owners | (self._claim_owners(self._reader, unclaimed, claims, first) if unclaimed else {})

    def close(self) -> None:
        """Let go of the connections."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _claims_for(self, reader: Reader, wanted: Mapping[str, Sequence[OwnTopic]]) -> dict[str, _Claim]:
        ids = reader.topic_ids(list(wanted))
        deleted = [topic for topic in wanted if ids and topic not in ids]
        if deleted:
            raise RetryableError(f"Kafka: topic {deleted[0]} was deleted")
        return {topic: (topic, ids.get(topic, "")) for topic in wanted}

    def _claim_owners(
        self,
        reader: Reader,
        unclaimed: Mapping[str, Sequence[OwnTopic]],
        claims: Mapping[str, _Claim],
        first: Mapping[str, str],
    ) -> dict[str, str]:
        leader = self._leader_of_log()
        if leader is None:
            # Nobody can claim anything, so that only what every worker sees for itself counts.
            return {topic: first.get(topic) or names[0].plain for topic, names in unclaimed.items()}
        self._append(
            leader,
            {
                claims[topic]: choose_owner(names, first.get(topic), self._has_schema)
                for topic, names in unclaimed.items()
            },
        )
        reader.partitions()
        claimed = self._read_claims(reader)
        if any(claims[topic] not in claimed for topic in unclaimed):
            raise RetryableError(f"Kafka: the topic {TOPIC} does not have yet what was written to it")
        return {topic: claimed[claims[topic]] for topic in unclaimed}

    def _leader_of_log(self) -> Any | None:
        """Return the leader of the topic, which is created where it is missing; None where it cannot be."""
        numbers = (1, self._replication)
        rejected = self._topics.create_missing([TOPIC], numbers, numbers, _RETENTION)
        code = rejected.get(TOPIC, 0)
        if code in INVALID_SETTINGS or (code in OUTAGES and code not in NOT_AUTHORIZED):
            raise RetryableError(f"Kafka: create topic {TOPIC}: {describe(code)}")
        if code:
            if not self._warned:
                self._warned = True
                log.warning(
                    "the owners of topics cannot be stored; a schema whose name no topic can have gets none",
                    code="topic_owners_unavailable",
                    topic=TOPIC,
                    reason=describe(code),
                )
            return None
        found = self._topics.wait_for_leaders(TOPIC, time.monotonic() + APPEARS_WITHIN_S, math.inf)
        return found.leaders[_LOG.partition]

    def _append(self, leader: Any, wanted: Mapping[_Claim, str]) -> None:
        values = [
            json.dumps({"topic": topic, "id": topic_id, "schema": schema}).encode()
            for (topic, topic_id), schema in wanted.items()
        ]
        # Keys that differ, so that nothing is lost where somebody has the topic compacted.
        one = RecordBatch(TopicPartition(*_LOG), leader, [Record(value) for value in values], values, 0)
        sender = self._new_sender()
        sender.send([one])
        if sender.outage:
            raise sender.outage
        for _, code in sender.rejected:
            raise RetryableError(f"Kafka: the topic {TOPIC} refuses what says whose a topic is: {describe(code)}")

    @staticmethod
    def _read_claims(reader: Reader) -> dict[_Claim, str]:
        """Return all claims, each the first of its topic."""
        ranges = reader.ranges([_LOG])
        if not ranges:
            raise RetryableError(f"Kafka: {TOPIC}[{_LOG.partition}]: {reader.unavailable[_LOG]}")
        claimed: dict[_Claim, str] = {}
        for fetched in reader.read(ranges):
            for _, _, _, value in fetched.messages:
                fields = _object(value)
                claim = fields.get("topic"), fields.get("id"), fields.get("schema")
                if all(isinstance(part, str) for part in claim):
                    claimed.setdefault((str(claim[0]), str(claim[1])), str(claim[2]))
        if reader.unreadable:
            raise RetryableError(f"Kafka: the topic {TOPIC} cannot be read: {next(iter(reader.unreadable.values()))}")
        return claimed


def choose_owner(wanted: Sequence[OwnTopic], first: str | None, has_schema: Callable[[str], bool]) -> str:
    """Return the schema that is to own a topic that nobody has claimed.

    Args:
        wanted: what wants it, in the order in which it came.
        first: the schema of the first event in the topic; empty where what is in there is no event, None where nothing
            is.
        has_schema: whether a schema of a name is known to exist.
    """
    if first:
        return first
    unchanged = [one.schema for one in wanted if one.schema == one.plain]
    if unchanged:
        return unchanged[0]
    wanted_first = wanted[0]
    return wanted_first.plain if first is not None or has_schema(wanted_first.plain) else wanted_first.schema


def _first_schemas(reader: Reader, partitions: Sequence[TopicPartition]) -> dict[str, str]:
    """Return for each topic the schema of the first event among its first messages; empty where there is none.

    Without topics that are empty, as far as their partitions have leaders.
    """
    wanted: dict[str, tuple[TopicPartition, Range]] = {}
    for partition, offset_range in sorted(reader.ranges(partitions).items()):
        if offset_range.begin < offset_range.end:
            first_range = Range(offset_range.begin, min(offset_range.end, offset_range.begin + _FIRST_MESSAGES))
            wanted.setdefault(partition.topic, (partition, first_range))
    found = dict.fromkeys(wanted, "")
    for fetched in reader.read(dict(wanted.values())):
        for _, _, _, value in fetched.messages:
            schema = _object(value).get("schema")
            if not found[fetched.partition.topic] and isinstance(schema, str):
                found[fetched.partition.topic] = schema
    return found


def _object(value: bytes | None) -> Mapping[str, Any]:
    try:
        found = json.loads(value or b"")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
