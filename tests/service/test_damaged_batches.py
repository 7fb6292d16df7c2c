# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""A batch whose bytes a broker's disk has changed: its partition stands still, the others go on.

With confluent-kafka: for pykafka the broker converts batches to an older format, with check sums of what it finds.
"""

from __future__ import annotations

from collections.abc import Callable

import modern
import pytest
from waiting import wait_for

from elworkers.connectors.kafka.confluent import partition_faults
from elworkers.connectors.kafka.confluent.partition_faults import PartitionFaults
from elworkers.connectors.kafka.drivers import driver
from elworkers.connectors.kafka.source import KafkaSource
from elworkers.connectors.registry import check_source
from elworkers.core.contracts import TopicPartition
from elworkers.core.metrics import Counters
from elworkers.devstack import Stack

DEADLINE_S = 60.0


Damage = Callable[[int], str]


@pytest.fixture(params=["kafka", "kafka44"])
def broker(request: pytest.FixtureRequest) -> str:
    found: str = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def damaged(stack: Stack, broker: str, unique: Callable[[str], str]) -> Damage:
    """Makes a topic of two partitions and three batches in each; one of the first partition is damaged."""

    def make(which: int) -> str:
        topic = unique("damaged")
        modern.create(broker, topic, 2)
        for number in range(3):
            for partition in range(2):
                modern.produce(broker, topic, [b"%d-%d" % (partition, number)], partition)
        (log,) = stack.folder.glob(f"kafka*/data/{topic}-0/*.log")
        written = log.read_bytes()
        assert written.count(b"0-%d" % which) == 1
        with log.open("r+b") as file:
            file.seek(written.index(b"0-%d" % which))
            file.write(b"???")
        return topic

    return make


class Reader:
    """A member of a group, what it has read and what it says stands still."""

    def __init__(self, broker: str, topic: str) -> None:
        uri = f"kafka-confluent:///{broker}?topic={topic}&auto_offset_reset=earliest&partitions=2"
        options = check_source(uri).options
        self.metrics = Counters()
        self.source = KafkaSource([broker], options, topic, self.metrics, kafka=driver([broker], "confluent", options))
        self.found: list[bytes] = []

    def take(self) -> None:
        for one in self.source.poll(100, 0.2):
            self.found.append(one.value)
            assert one.origin is not None
            self.source.commit({one.origin: one.offset + 1})


@pytest.mark.parametrize("which", [0, 1, 2])
def test_a_member_reads_on_in_other_partitions(
    broker: str, damaged: Damage, which: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partition_faults, "_TRY_AGAIN_S", 0.2)
    topic = damaged(which)
    reader = Reader(broker, topic)
    tries: list[int] = []
    tried = PartitionFaults.tried
    monkeypatch.setattr(PartitionFaults, "tried", lambda faults, one: (tries.append(one), tried(faults, one)))
    expected = [*(b"0-%d" % number for number in range(which)), b"1-0", b"1-1", b"1-2"]
    try:
        wait_for(lambda: (reader.take(), len(reader.found) >= len(expected))[1], DEADLINE_S, "what is whole")
        for number in range(3):
            # It is tried again and again, and others are read meanwhile.
            wait_for(lambda: (reader.take(), len(tries) > 2 * number)[1], DEADLINE_S, "another try")  # noqa: B023
            expected.append(b"1-more-%d" % number)
            modern.produce(broker, topic, expected[-1:], 1)
            wait_for(lambda: (reader.take(), expected[-1] in reader.found)[1], DEADLINE_S, "what came later")
        assert sorted(reader.found) == sorted(expected)
        assert list(reader.metrics.aside) == [f"topic {topic}[0]"]
        assert "CRC" in reader.metrics.aside[f"topic {topic}[0]"]
    finally:
        reader.source.close()
    admin = driver([broker], "confluent").admin([broker])
    assert admin.committed(topic, topic) == {TopicPartition(topic, 0): which, TopicPartition(topic, 1): 6}
    admin.close()


@pytest.mark.parametrize("which", [0, 1, 2])
def test_a_reader_of_ranges_names_it(broker: str, damaged: Damage, which: int) -> None:
    topic = damaged(which)
    reader = driver([broker], "confluent").reader([broker])
    try:
        wanted = reader.ranges([one for one in reader.partitions() if one.topic == topic])
        read = list(reader.read(wanted))
        assert sorted(value or b"" for fetched in read for *_, value in fetched.messages) == [
            *(b"0-%d" % number for number in range(which)),
            b"1-0",
            b"1-1",
            b"1-2",
        ]
        assert max((fetched.next for fetched in read if fetched.partition.partition == 0), default=0) == which
        assert list(reader.unreadable) == [TopicPartition(topic, 0)]
        assert "CRC" in reader.unreadable[TopicPartition(topic, 0)]
    finally:
        reader.close()
