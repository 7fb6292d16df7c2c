# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""A partition whose only broker is away: what can go on without it does, for who begins and for who writes."""

from __future__ import annotations

import json
import re
import subprocess
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import modern
import pytest
from databases import Place as Database
from importing import Job
from topology import BIN
from waiting import wait_for

from elworkers.connectors.kafka import leaderless, topic_owners
from elworkers.connectors.kafka.drivers import driver
from elworkers.connectors.kafka.leaderless import LeaderlessPartitions
from elworkers.connectors.kafka.producer_protocol import ProducerContext
from elworkers.connectors.kafka.pykafka import client, stall_timers, topic_creation, topics
from elworkers.connectors.kafka.pykafka.reader import TopicsReader
from elworkers.connectors.kafka.sink import settings
from elworkers.connectors.kafka.source import KafkaSource
from elworkers.connectors.registry import check_sink, check_source
from elworkers.core.capabilities import OffsetStore
from elworkers.core.contracts import Assignment, OwnTopic, Record
from elworkers.core.deliveries import DeliveryLog
from elworkers.core.errors import RetryableError
from elworkers.core.metrics import Counters
from elworkers.devstack import Stack

Unique = Callable[[str], str]
DEADLINE_S = 90.0
NO_LEADER = "it has no leader at the moment"


def _records(topic: str, values: Sequence[str], key: bytes | None = None) -> list[Record]:
    return [Record(value.encode(), event={"topic": topic}, key=key) for value in values]


def _route(record: Record) -> tuple[str, bytes | None]:
    assert record.event is not None
    return record.event["topic"], record.key


def _route_by_events(record: Record) -> tuple[OwnTopic, bytes | None]:
    topic, key = _route(record)
    return OwnTopic(topic, topic, topic), key


class Writer:
    """Producers, one after the other as in pipelines that are built anew, and what outlives them."""

    def __init__(self, hosts: Sequence[str], client_name: str) -> None:
        self._hosts = hosts
        self._client_name = client_name
        self.metrics, self.delivered = Counters(), DeliveryLog()
        self.unled = LeaderlessPartitions(self.metrics)

    def refused(self, records: Sequence[Record], *, made: bool) -> list[bytes]:
        options = check_sink(f"kafka:///{','.join(self._hosts)}?topic=x&partitions=2&replication=1").options
        context = ProducerContext(self.metrics, self.delivered, leaderless=self.unled)
        producer = driver(self._hosts, self._client_name).producer(self._hosts, settings(options), context)
        producer.produce(records, _route_by_events if made else _route, derived=made)
        try:
            return sorted(one.record.value for one in producer.flush())
        finally:
            producer.close()


class Halved:
    """A topic with a partition on each of two brokers.

    Attributes:
        client_name: of those who read and write it here.
        gone, stays: the numbers of the partitions.
    """

    def __init__(self, pair: Stack, name: str, client_name: str) -> None:
        self.pair, self.name, self.client_name = pair, name, client_name
        env = pair.env()
        self.hosts = [env["KAFKA"], env["KAFKA_2"]]
        partitions = topic_creation.get_or_create(client.connect(self.hosts), name, 2, 1).partitions
        (self.gone,) = [number for number, one in partitions.items() if one.leader.id == 2]
        self.stays = 1 - self.gone
        self.writer = Writer(self.hosts, client_name)

    def produce(self, partition: int, *values: bytes) -> None:
        modern.produce(self.hosts[partition == self.gone], self.name, values, partition)

    def leave(self) -> None:
        """Kill the second broker, and wait until its partition has no leader."""
        self.pair.kill("kafka-2")
        cluster = client.connect(self.hosts[:1])

        def has_left() -> bool:
            cluster.update()
            return bool(cluster.topics[self.name.encode()].partitions[self.gone].leader.id == -1)

        wait_for(has_left, DEADLINE_S, "a partition without a leader")

    def come_back(self) -> None:
        self.pair.start("kafka-2")

    def found(self) -> dict[int, list[bytes]]:
        """What is in each partition that has a leader, sorted."""
        reader = TopicsReader(self.hosts)
        wanted = [one for one in reader.partitions() if one.topic == self.name]
        found: dict[int, list[bytes]] = {}
        for fetched in reader.read(reader.ranges(wanted)):
            found.setdefault(fetched.partition.partition, []).extend(value or b"" for *_, value in fetched.messages)
        reader.close()
        return {number: sorted(values) for number, values in found.items()}


@pytest.fixture(params=["pykafka", "confluent"])
def halved(pair: Stack, unique: Unique, request: pytest.FixtureRequest) -> Iterator[Halved]:
    yield Halved(pair, unique("halved"), request.param)
    pair.up("kafka-2")


class Reader:
    """A source and what has come of it."""

    def __init__(self, halved: Halved, group: str, options: str, offset_store: OffsetStore | None = None) -> None:
        text = f"kafka:///{','.join(halved.hosts)}?topic={halved.name}&session_timeout_ms=6000&{options}"
        self.metrics = Counters()
        self.source = KafkaSource(
            halved.hosts,
            check_source(text).options,
            group,
            self.metrics,
            offset_store=offset_store,
            kafka=driver(halved.hosts, halved.client_name),
        )
        self.found: list[bytes] = []

    def _take(self) -> None:
        records = self.source.poll(100, 0.2)
        self.source.commit({one.origin: one.offset + 1 for one in records if one.origin})
        self.found += [one.value for one in records]

    def begins(self) -> None:
        wait_for(lambda: (self._take(), self.source.partitions)[1], DEADLINE_S, "partitions")

    def reads(self, *values: bytes) -> None:
        def have_come() -> bool:
            self._take()
            return sorted(self.found) == sorted(values)

        wait_for(have_come, DEADLINE_S, f"{values}, not {self.found}")

    def stands_still(self, halved: Halved) -> None:
        what = f"topic {halved.name}[{halved.gone}]"
        wait_for(lambda: self.source.poll(100, 0.2) or self.metrics.aside, DEADLINE_S, "the word on the partition")
        assert self.metrics.aside == {what: NO_LEADER}


def test_a_new_group_reads_at_once_what_has_a_leader(
    halved: Halved,
    unique: Unique,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stall_timers, "_LONGEST_PAUSE_S", 2.0)
    halved.produce(halved.gone, b"old gone")
    halved.produce(halved.stays, b"old")
    held = unique("held")
    known = Reader(halved, held, "auto_offset_reset=earliest")
    known.reads(b"old gone", b"old")
    known.source.close()
    rows = Database(f"sqlite:///{tmp_path}/rows.db", "Test")
    offset_store = rows.sink({}, group=held)
    offset_store.resume_at({Assignment(halved.name, halved.gone): 1})
    halved.leave()
    capsys.readouterr()
    readers = {
        "earliest": Reader(halved, unique("group"), "auto_offset_reset=earliest"),
        "latest": Reader(halved, unique("group"), "auto_offset_reset=latest"),
        "held": Reader(halved, held, "auto_offset_reset=latest&reset_offset_on_start=True"),
        "kept": Reader(halved, unique("group"), "auto_offset_reset=earliest", offset_store),
    }
    try:
        for one in readers.values():
            one.begins()
        (said,) = [line for line in capsys.readouterr().out.splitlines() if "has no leader now" in line]
        assert f"partitions=[{halved.gone}]" in said
        halved.produce(halved.stays, b"new")
        for name in ("earliest", "kept"):
            readers[name].reads(b"old", b"new")
        for name in ("latest", "held"):
            readers[name].reads(b"new")
        for one in readers.values():
            one.stands_still(halved)
        halved.come_back()
        wait_for(lambda: _led(halved), DEADLINE_S, "a leader")
        halved.produce(halved.gone, b"new gone")
        readers["earliest"].reads(b"old", b"new", b"old gone", b"new gone")
        # Where it ended when the group began, nobody can say any more.
        readers["latest"].reads(b"new", b"old gone", b"new gone")
        # What its group has read, it does not read again.
        readers["held"].reads(b"new", b"new gone")
        readers["kept"].reads(b"old", b"new", b"new gone")
        assert not any(one.metrics.aside for one in readers.values())
    finally:
        for one in readers.values():
            one.source.close()
        rows.close()


def _led(halved: Halved) -> bool:
    try:
        return bool(topics.wait_for_leaders(client.connect(halved.hosts), halved.name, 0.0))
    except RetryableError:
        return False


def test_an_importer_says_which_partition_it_cannot_read(halved: Halved, unique: Unique, tmp_path: Path) -> None:
    halved.produce(halved.gone, b"{}", b"{}")
    halved.produce(halved.stays, b"{}")
    halved.leave()
    metrics = Counters()
    importer = Job(halved.hosts[0], f"file://{tmp_path}/base", halved.name, tmp_path / "staging").made(metrics)
    reader = driver(halved.hosts, halved.client_name).reader(halved.hosts)
    try:
        assert importer.run(reader, lambda *_: True, everything=True) > 0
        assert metrics.summary()["import_records"] == 1
        assert metrics.aside == {f"topic {halved.name}[{halved.gone}]": NO_LEADER}
        halved.come_back()
        wait_for(lambda: _led(halved), DEADLINE_S, "a leader")
        assert importer.run(reader, lambda *_: True, everything=True) == 0
        assert metrics.summary()["import_records"] == 3
        assert not metrics.aside
    finally:
        reader.close()
        importer.close()


def _key_of(partition: int) -> bytes:
    return next(key for key in (b"%d" % number for number in range(99)) if zlib.crc32(key) % 2 == partition)


def test_what_has_a_partition_with_a_leader_is_written_once_and_the_rest_waits_for_its_own(
    halved: Halved, unique: Unique, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, made, fresh = halved, *(Halved(halved.pair, unique(name), halved.client_name) for name in ("made", "fresh"))
    event = json.dumps({"schema": made.name}).encode()
    made.produce(made.stays, event)
    halved.leave()
    # So that the log of claims is where the broker stays, also for the other client.
    topic_creation.get_or_create(client.connect(given.hosts[:1]), topic_owners.TOPIC, 1, 1)
    for topic in (given, made):
        _write_in_its_absence(topic, topic is made, monkeypatch)
    _wait_for_the_owner(fresh, monkeypatch)
    # Through the installed commands.
    command = [
        BIN / "eventlogging-forwarder",
        "stdin:",
        f"kafka-{given.client_name}:///{','.join(given.hosts)}?topic={given.name}",
    ]
    done = subprocess.run(command, input=b"plain 4", capture_output=True, check=False, timeout=DEADLINE_S)
    assert done.returncode == 0
    said = [line for line in done.stderr.decode().splitlines() if "partition cannot be written to" in line]
    assert len(said) == 1
    assert NO_LEADER in said[0]
    halved.come_back()
    for topic in (given, made):
        wait_for(lambda topic=topic: _led(topic), DEADLINE_S, "a leader")  # type: ignore[misc]
        assert topic.writer.refused(_some(topic), made=topic is made) == []
        assert not topic.writer.metrics.aside
    assert given.found()[given.stays] == [*WRITTEN, b"plain 4"]
    assert made.found()[made.stays] == [*WRITTEN, event]
    assert fresh.writer.refused(_records(fresh.name, ["whose"]), made=True) == []
    assert given.found()[given.gone] == made.found()[made.gone] == [b"an EventError", b"waits"]


WRITTEN = [b"keyed", b"plain", b"plain 0", b"plain 1", b"plain 2", b"plain 3"]


def _some(halved: Halved) -> list[Record]:
    """For each partition a record with a key, one without, and for the partition without a leader an EventError."""
    records = [
        *_records(halved.name, ["keyed"], _key_of(halved.stays)),
        *_records(halved.name, ["waits", "an EventError"], _key_of(halved.gone)),
        *_records(halved.name, ["plain"]),
    ]
    records[2].valid = False
    for number, record in enumerate(records):
        record.origin, record.offset = Assignment("raw", 0), number
    return records


def _wait_for_the_owner(fresh: Halved, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whose a topic is may stand in the partition without a leader; a topic of somebody else's is not written to."""
    records = _records(fresh.name, ["whose"])
    with pytest.raises(RetryableError, match="has no leader"):
        fresh.writer.refused(records, made=True)
    with monkeypatch.context() as patched:
        patched.setattr(leaderless, "_PATIENCE_S", 0.0)
        assert fresh.writer.refused(records, made=True) == [b"whose"]
    assert not fresh.found()


def _write_in_its_absence(halved: Halved, made: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = halved.writer
    for number in range(4):
        # Whoever's turn it would be.
        assert writer.refused(_records(halved.name, [f"plain {number}"]), made=made) == []
    assert writer.metrics.aside == {f"topic {halved.name}[{halved.gone}]": NO_LEADER}
    records = _some(halved)
    for _ in range(2):
        with pytest.raises(RetryableError, match=re.escape(f"{halved.name}[{halved.gone}] has no leader")):
            writer.refused(records, made=made)
    assert halved.found()[halved.stays][: len(WRITTEN)] == WRITTEN
    assert halved.gone not in halved.found()
    with monkeypatch.context() as patched:
        # For ever is too long for a topic that is one of many.
        patched.setattr(leaderless, "_PATIENCE_S", 0.0)
        if made:
            assert writer.refused([one for one in records if one.valid], made=True) == [b"waits"]
        with pytest.raises(RetryableError, match="has no leader"):
            writer.refused(records, made=made)
