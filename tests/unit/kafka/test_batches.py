# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Records of a topic → message sets; a partition without a leader gets only what has to go there."""

from __future__ import annotations

import zlib
from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from elworkers.connectors.kafka.batches import OutputTopic
from elworkers.connectors.kafka.pykafka.absent_brokers import AbsentBroker
from elworkers.core.contracts import Record

LEADERS = st.lists(st.booleans(), min_size=1, max_size=8)


def topic_of(led: list[bool], begin: int = 0) -> OutputTopic:
    return OutputTopic("topic", ["broker" if one else AbsentBroker(-1) for one in led], count(begin))


@given(LEADERS, st.integers(0, 100))
def test_what_has_no_key_goes_to_partitions_with_a_leader_in_even_shares(led: list[bool], begin: int) -> None:
    topic = topic_of(led, begin)
    open_to = [number for number, one in enumerate(led) if one] or list(range(len(led)))
    # Of one record each.
    sets = list(topic.batches([Record(b"v")] * (3 * len(open_to)), max_bytes=1))
    assert sorted(one.partition.partition for one in sets) == sorted(3 * open_to)
    assert {bool(one.leader) for one in sets} == {any(led)}


@given(LEADERS, st.lists(st.binary(max_size=4), min_size=1, max_size=20))
def test_a_key_says_the_partition_whoever_leads_it(led: list[bool], keys: list[bytes]) -> None:
    for one in topic_of(led).keyed_batches([(key, Record(b"v")) for key in keys], max_bytes=1000):
        assert {zlib.crc32(key) % len(led) for key in one.keys} == {one.partition.partition}
        assert bool(one.leader) == led[one.partition.partition]
