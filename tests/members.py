# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Members of consumer groups for tests, and what they read."""

from __future__ import annotations

from waiting import wait_for

from elworkers.connectors.kafka.sink import KafkaSink
from elworkers.connectors.kafka.source import KafkaSource
from elworkers.connectors.registry import check_sink, check_source
from elworkers.core.contracts import Assignment, Record
from elworkers.core.metrics import Counters

DEADLINE_S = 30.0


class Members:
    """Makes consumers of one group, and closes all of them at the end."""

    def __init__(self, kafka: str, zookeeper: str | None, group: str) -> None:
        self._kafka = kafka
        self._extra = f"&zookeeper_connect={zookeeper}" if zookeeper else ""
        self._group = group
        self._made: list[KafkaSource] = []
        self.metrics = Counters()

    def join(self, topic: str, options: str = "") -> KafkaSource:
        text = f"kafka:///{self._kafka}?topic={topic}&session_timeout_ms=6000{self._extra}{options}"
        source = KafkaSource([self._kafka], check_source(text).options, self._group, self.metrics)
        self._made.append(source)
        return source

    def close(self) -> None:
        for source in self._made:
            source.close()


def sink_to(kafka: str, topic: str, options: str = "") -> KafkaSink:
    return KafkaSink([kafka], check_sink(f"kafka:///{kafka}?topic={topic}{options}").options, lambda _: (topic, None))


def produce(kafka: str, topic: str, values: list[bytes], options: str = "&partitions=4") -> None:
    sink = sink_to(kafka, topic, options)
    # A batch a value, because a batch goes to one partition.
    for value in values:
        sink.write([Record(value)])
        assert sink.flush() == []
    sink.close()


def read(source: KafkaSource, count: int) -> list[Record]:
    found: list[Record] = []
    wait_for(lambda: found.extend(source.poll(1000, 0.2)) or len(found) >= count, DEADLINE_S, f"{count} records")
    return found


def positions(records: list[Record]) -> dict[Assignment, int]:
    return {record.origin: record.offset + 1 for record in records if record.origin is not None}
