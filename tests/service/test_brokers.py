# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Brokers that are too new, and brokers that hand their partitions over."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import modern
import psutil
import pytest
from chaos import flow
from pykafka.common import OffsetType
from pykafka.exceptions import KafkaException
from topology import BIN
from waiting import wait_for

from elworkers.connectors.kafka.confluent import membership
from elworkers.connectors.kafka.drivers import driver
from elworkers.connectors.kafka.pykafka import client, progress, topic_creation
from elworkers.connectors.kafka.pykafka.fetcher import Fetcher
from elworkers.connectors.kafka.source import KafkaSource
from elworkers.connectors.registry import check_source
from elworkers.core.errors import ConfigurationError, RetryableError
from elworkers.core.metrics import Counters
from elworkers.devstack import Stack
from elworkers.devstack.kafka import Kafka
from elworkers.devstack.part import HOST

DEADLINE_S = 90.0


def test_a_broker_that_is_too_new_is_said_in_one_sentence_at_start(stack: Stack) -> None:
    stack.up("kafka4")
    kafka = stack.env()["KAFKA4"]
    with pytest.raises(ConfigurationError, match="is too new for pykafka"):
        client.connect([kafka])
    command = [BIN / "eventlogging-forwarder", "stdin:", f"kafka-pykafka:///{kafka}?topic=t"]
    done = subprocess.run(command, input="a", capture_output=True, text=True, check=False, timeout=DEADLINE_S)
    assert done.returncode == 78
    (said,) = [line for line in done.stderr.splitlines() if "too new" in line]
    assert f"the broker {kafka} is too new for pykafka" in said
    assert "write kafka-confluent: in place of kafka-pykafka:, or use a broker of a version up to 3.9" in said


def test_a_broker_that_does_not_lead_a_partition_is_said_or_asked_again(two_brokers: Stack) -> None:
    env = two_brokers.env()
    hosts = [env["KAFKA"], env["KAFKA_2"]]
    cluster = client.connect(hosts)
    topic = topic_creation.get_or_create(cluster, "young", 2, 1)

    def forget() -> None:
        # As metadata has it some moments before a broker leads, and until it is asked for after another does.
        for partition in topic.partitions.values():
            partition._leader = cluster.brokers[3 - partition.leader.id]

    forget()
    assert progress.ends(cluster, "young") == {0: 0, 1: 0}
    forget()
    fetcher = Fetcher(topic, cluster, auto_start=False)
    with pytest.raises(KafkaException, match="where partition 1 begins or ends"):
        fetcher.offset_limit(1, OffsetType.EARLIEST)


def test_leaders_that_move_stop_nobody(two_brokers: Stack, tmp_path: Path) -> None:
    env = two_brokers.env()
    both = f"{env['KAFKA']},{env['KAFKA_2']}"
    topic_creation.get_or_create(client.connect(both.split(",")), "moving", 4, 2)
    out = tmp_path / "out.log"
    source = f"kafka:///{both}?topic=moving&raw=True&identity=reader&auto_offset_reset=earliest&session_timeout_ms=6000"
    with (tmp_path / "log").open("wb") as log:
        consumer = subprocess.Popen([BIN / "eventlogging-consumer", source, f"file://{out}"], stderr=log)
    sent = 0

    def send_and_wait(leaders: set[int]) -> None:
        nonlocal sent

        def sent_them() -> bool:
            try:
                cluster = client.connect(both.split(","))
                cluster.update()
                partitions = cluster.topics[b"moving"].partitions.values()
                if {partition.leader.id for partition in partitions} != leaders:
                    return False
                flow.produce(env["KAFKA"], "moving", range(sent, sent + 100))
            except (RetryableError, AttributeError):
                return False
            return True

        wait_for(sent_them, DEADLINE_S, f"leaders on {leaders}")
        sent += 100
        lines = lambda: out.read_text(encoding="utf-8").splitlines() if out.exists() else []  # noqa: E731
        wait_for(lambda: len(set(lines())) == sent, DEADLINE_S, f"{sent} lines")

    try:
        send_and_wait({1, 2})
        workers = [child.pid for child in psutil.Process(consumer.pid).children()]
        two_brokers.kill("kafka-2")
        send_and_wait({1})
        assert [child.pid for child in psutil.Process(consumer.pid).children()] == workers
    finally:
        consumer.kill()
        consumer.wait(DEADLINE_S)


def test_a_partition_without_a_leader_stands_still_and_the_others_go_on(two_brokers: Stack) -> None:
    env = two_brokers.env()
    both = [env["KAFKA"], env["KAFKA_2"]]
    cluster = client.connect(both)
    partitions = topic_creation.get_or_create(cluster, "halved", 2, 1).partitions
    (gone,) = [number for number, one in partitions.items() if one.leader.id == 2]
    text = f"kafka:///{','.join(both)}?topic=halved&auto_offset_reset=earliest&session_timeout_ms=6000"
    metrics = Counters()

    def read(source: KafkaSource, partition: int, values: list[bytes]) -> None:
        found: list[bytes] = []

        def have_come() -> bool:
            records = source.poll(100, 0.2)
            source.commit({one.origin: one.offset + 1 for one in records if one.origin})
            found.extend(one.value for one in records)
            return found == values

        broker = env["KAFKA_2"] if partition == gone else env["KAFKA"]
        modern.produce(broker, "halved", values, partition)
        wait_for(have_come, DEADLINE_S, f"{values} of partition {partition}")

    def opened() -> KafkaSource:
        return KafkaSource(both, check_source(text).options, "halved", metrics)

    source = opened()
    try:
        read(source, gone, [b"a"])
        read(source, 1 - gone, [b"b"])
        two_brokers.kill("kafka-2")
        wait_for(lambda: source.poll(100, 0.2) or metrics.aside, DEADLINE_S, "the word on the partition")
        assert metrics.aside == {f"topic halved[{gone}]": "it has no leader at the moment"}
        read(source, 1 - gone, [b"c"])
        source.close()
        # One that begins meanwhile goes on as well.
        source = opened()
        read(source, 1 - gone, [b"d"])
        wait_for(lambda: source.poll(100, 0.2) or metrics.aside, DEADLINE_S, "the word on the partition")
        two_brokers.start("kafka-2")
        read(source, gone, [b"e"])
        assert not metrics.aside
    finally:
        source.close()


@dataclass(frozen=True)
class Unresolvable(Kafka):
    """A broker at a name that only it knows; alone, it answers nobody."""

    advertised: str = "nohost.invalid"

    def answers(self, ports: Mapping[str, int]) -> bool:
        try:
            client.connect([f"{HOST}:{ports[self.ports[0]]}"])
        except RetryableError as error:
            return "advertised.listeners" in str(error)
        return True


def test_a_broker_that_advertises_what_cannot_be_resolved_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("elworkers.devstack.stack.PARTS", {"kafka": Unresolvable()})
    stack = Stack(tmp_path / "stack")
    running: dict[str, subprocess.Popen[bytes]] = {}
    try:
        stack.up("kafka")
        kafka = stack.env()["KAFKA"]
        options = f"{kafka}?topic=t&identity=reader"
        for role, words in {
            "forwarder": ["stdin:", f"kafka:///{kafka}?topic=t"],
            "processor": ["%q", f"kafka:///{options}", f"kafka:///{kafka}?topic=u"],
            "consumer": [f"kafka:///{options}", f"file://{tmp_path}/out"],
            "importer": [f"kafka:///{kafka}?topics=t", f"file://{tmp_path}/imported"],
        }.items():
            with (tmp_path / role).open("wb") as log:
                command = [BIN / f"eventlogging-{role}", *words]
                running[role] = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=log, stdout=log)
        name = f"nohost.invalid:{kafka.rpartition(':')[2]}"
        for role, one in running.items():
            said = wait_for(
                lambda role=role: [
                    line for line in (tmp_path / role).read_text(encoding="utf-8").splitlines() if name in line
                ],
                DEADLINE_S,
                f"the word of the {role}",
            )
            assert f"connect to {name} (advertised.listeners), and nohost.invalid cannot be resolved" in said[0]
            assert "waiting to try again" in said[0]
            assert one.poll() is None
        for role, one in running.items():
            one.terminate()
            one.wait(DEADLINE_S)
            assert "Traceback" not in (tmp_path / role).read_text(encoding="utf-8")
    finally:
        for one in running.values():
            one.kill()
            one.wait(DEADLINE_S)
        stack.down()


def test_one_broker_that_cannot_be_resolved_holds_up_no_other(
    two_brokers: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    kafka = two_brokers.env()["KAFKA"]
    partitions = topic_creation.get_or_create(client.connect([kafka]), "halved", 2, 1).partitions
    (gone,) = [number for number, one in partitions.items() if one.leader.id == 2]
    options = check_source(f"kafka:///{kafka}?topic=halved&auto_offset_reset=earliest&session_timeout_ms=6000").options
    metrics = Counters()
    # So that the group has offsets for both.
    KafkaSource([kafka], options, "halved", metrics).close()
    two_brokers.kill("kafka-2")
    second = Unresolvable("kafka-2", ("kafka-2", "kafka-controller"), variable="KAFKA_2", node=2)
    monkeypatch.setattr("elworkers.devstack.stack.PARTS", {"kafka": Kafka(), "kafka-2": second})
    two_brokers.start("kafka-2")
    modern.produce(kafka, "halved", [b"a"], 1 - gone)
    source = KafkaSource([kafka], options, "halved", metrics)
    try:
        values: list[bytes] = []
        what = f"topic halved[{gone}]"
        wait_for(
            lambda: (
                values.extend(one.value for one in source.poll(100, 0.2))
                or (values and "nohost.invalid cannot be resolved" in metrics.aside.get(what, ""))
            ),
            DEADLINE_S,
            "the word on the partition",
        )
        assert values == [b"a"]
    finally:
        source.close()


def test_a_member_with_a_rack_reads_the_replica_there(
    two_brokers: Stack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = membership.consumer_settings
    monkeypatch.setattr(membership, "consumer_settings", lambda *a, **b: {**made(*a, **b), "debug": "fetch"})
    env = two_brokers.env()
    hosts = [env["KAFKA"], env["KAFKA_2"]]
    partition = topic_creation.get_or_create(client.connect(hosts), "racks", 1, 2).partitions[0]
    follower = 3 - partition.leader.id
    modern.produce(hosts[partition.leader.id - 1], "racks", [b"%d" % number for number in range(100)], 0)
    uri = f"kafka:///{','.join(hosts)}?topic=racks&auto_offset_reset=earliest&client_rack=rack-{follower}"
    options = check_source(uri).options
    source = KafkaSource(hosts, options, "racks", Counters(), kafka=driver(hosts, "confluent", options))
    try:
        found: list[bytes] = []
        wait_for(
            lambda: (found.extend(one.value for one in source.poll(1000, 0.2)), len(found) >= 100)[1],
            DEADLINE_S,
            "the messages",
        )
        assert found == [b"%d" % number for number in range(100)]
        assert f"{hosts[follower - 1]}/{follower}: Enqueue 100 message(s)" in capsys.readouterr().out
    finally:
        source.close()
