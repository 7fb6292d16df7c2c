# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Decides whether a rejection by brokers is the records' own fault or an outage."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence

from elworkers.connectors.kafka.batch_sender import BatchSender
from elworkers.connectors.kafka.error_codes import INVALID_NAME, INVALID_RECORD, TOO_LARGE, describe
from elworkers.connectors.kafka.leaderless import LeaderlessPartitions
from elworkers.connectors.kafka.output_topics import OutputTopics
from elworkers.core.contracts import Record, RejectedRecord

_Rejected = tuple[str, Sequence[Record], int]
"""A topic, records that it rejects, and Kafka's error code."""


def rejections(
    sender: BatchSender, unclassified: Sequence[_Rejected], derived: Collection[str], topics: OutputTopics
) -> Iterator[RejectedRecord]:
    """Yield the records that are rejected for good; outages are recorded in `sender`.

    Args:
        sender: of what was sent.
        unclassified: what could not be sent, because its topic was refused with a code that is on no list.
        derived: names of topics that were made from events.
        topics: is told of topics that take nothing.

    Raises:
        ConfigurationError: a topic that the operator wrote can never be used.
    """
    if not sender.rejected and not unclassified:
        return
    accepting = {one.partition.topic for one in sender.acked}
    rejected = [(one.partition.topic, one.records, code) for one, code in sender.rejected]
    by_code = _topics_by_code([*rejected, *unclassified])
    for topic, records, code in (*rejected, *unclassified):
        if topic not in accepting and code not in TOO_LARGE and all(not record.valid for record in records):
            # An EventError tells of what was refused; where it cannot be told of, waiting is all that is left.
            sender.fail(f"Kafka: the topic {topic} takes no EventErrors: {describe(code)}")
        elif code in INVALID_RECORD:
            yield from _rejections_of_each(topic, records, code)
        elif code in INVALID_NAME and topic in derived:
            why = topics.set_aside(topic, f"Kafka refuses the topic {topic}: {describe(code)}")
            yield from (RejectedRecord(record, why) for record in records)
        elif code in INVALID_NAME:
            sender.fail(str(topics.topic_error(topic, code)))
        elif accepting and len(by_code[code] - accepting) <= 1:
            yield from _rejections_of_each(topic, records, code)
        else:
            names = ", ".join(sorted(by_code[code])[:3])
            sender.fail(f"Kafka: everything for {names} is refused: {describe(code)}")


def leaderless_rejections(
    sender: BatchSender, derived: Collection[str], leaderless: LeaderlessPartitions
) -> Iterator[RejectedRecord]:
    """Yield the records that are rejected because their partition has no leader; outages are recorded in `sender`.

    Args:
        sender: of what was sent.
        derived: names of topics that were made from events.
        leaderless: since when there is no leader.
    """
    for one in sender.leaderless:
        why = f"Kafka: {one.partition.topic}[{one.partition.partition}] has no leader"
        if reason := getattr(one.leader, "why", ""):
            why = f"Kafka: produce to {one.partition.topic}[{one.partition.partition}]: {reason}"
        is_derived = one.partition.topic in derived and leaderless.has_waited_long(one.partition)
        for record in one.records:
            # An EventError tells of what was refused; it waits, whatever topic it goes to.
            if is_derived and record.valid:
                yield RejectedRecord(record, why)
            else:
                sender.fail(why)


def _topics_by_code(rejected: Sequence[_Rejected]) -> dict[int, set[str]]:
    """Return the topics with rejected records, by error code."""
    found: defaultdict[int, set[str]] = defaultdict(set)
    for topic, _, code in rejected:
        found[code].add(topic)
    return found


def _rejections_of_each(topic: str, records: Sequence[Record], code: int) -> Iterator[RejectedRecord]:
    for record in records:
        size = len(record.value)
        message = f"the broker of topic {topic} refuses a message of {size} bytes: {describe(code)}"
        yield RejectedRecord(record, message, too_large=code in TOO_LARGE)
