# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Decides whether what brokers refused is the records' own fault or an outage."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence

from elworkers.connectors.kafka.leaderless import LeaderlessPartitions
from elworkers.connectors.kafka.pykafka.error_codes import NAMES_OWN, RECORDS_OWN, TOO_LARGE, words
from elworkers.connectors.kafka.pykafka.output_topics import OutputTopics
from elworkers.connectors.kafka.pykafka.produce_requests import ProduceRequests
from elworkers.core.contracts import Record, RejectedRecord

_Refused = tuple[str, Sequence[Record], int]
"""A topic, records that it refuses, and Kafka's error code."""


def refusals(
    sending: ProduceRequests, unlisted: Sequence[_Refused], made: Collection[str], placing: OutputTopics
) -> Iterator[RejectedRecord]:
    """Yield what is refused for good; what is an outage is told to `sending`.

    Args:
        sending: what was sent.
        unlisted: what could not be sent, because its topic was refused with a code that is on no list.
        made: names of topics that were made from events.
        placing: is told of topics that take nothing.

    Raises:
        ConfigurationError: a topic that the operator wrote can never be used.
    """
    if not sending.refused and not unlisted:
        return
    takers = {one.place.topic for one in sending.acked}
    refused = [(one.place.topic, one.records, code) for one, code in sending.refused]
    strange = _strange([*refused, *unlisted])
    for topic, records, code in (*refused, *unlisted):
        if topic not in takers and code not in TOO_LARGE and all(not record.valid for record in records):
            # An EventError tells of what was refused; where it cannot be told of, waiting is all that is left.
            sending.fails(f"Kafka: the topic {topic} takes no EventErrors: {words(code)}")
        elif code in RECORDS_OWN:
            yield from _each(topic, records, code)
        elif code in NAMES_OWN and topic in made:
            why = placing.set_aside(topic, f"Kafka refuses the topic {topic}: {words(code)}")
            yield from (RejectedRecord(record, why) for record in records)
        elif code in NAMES_OWN:
            sending.fails(str(placing.refusal_of_operators(topic, code)))
        elif takers and len(strange[code] - takers) <= 1:
            yield from _each(topic, records, code)
        else:
            names = ", ".join(sorted(strange[code])[:3])
            sending.fails(f"Kafka: everything for {names} is refused: {words(code)}")


def refusals_of_unled(
    sending: ProduceRequests, made: Collection[str], unled: LeaderlessPartitions
) -> Iterator[RejectedRecord]:
    """Yield what is refused because its partition has no leader; where that may be an outage, `sending` is told of it.

    Args:
        sending: what was sent.
        made: names of topics that were made from events.
        unled: since when there is no leader.
    """
    for one in sending.unled:
        why = f"Kafka: {one.place.topic}[{one.place.partition}] has no leader"
        if reason := getattr(one.leader, "why", ""):
            why = f"Kafka: produce to {one.place.topic}[{one.place.partition}]: {reason}"
        is_own = one.place.topic in made and unled.for_long(one.place)
        for record in one.records:
            # An EventError tells of what was refused; it waits, whatever topic it goes to.
            if is_own and record.valid:
                yield RejectedRecord(record, why)
            else:
                sending.fails(why)


def _strange(refused: Sequence[_Refused]) -> dict[int, set[str]]:
    """Return the topics with records that were refused, by code."""
    found: defaultdict[int, set[str]] = defaultdict(set)
    for topic, _, code in refused:
        found[code].add(topic)
    return found


def _each(topic: str, records: Sequence[Record], code: int) -> Iterator[RejectedRecord]:
    for record in records:
        size = len(record.value)
        words_of_it = f"the broker of topic {topic} refuses a message of {size} bytes: {words(code)}"
        yield RejectedRecord(record, words_of_it, too_large=code in TOO_LARGE)
