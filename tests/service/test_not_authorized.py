# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""A Kafka that denies topics and groups: each client of the driver says that it is not authorized."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import modern
import pytest
from contract.kafka_drivers import Pykafka, RecordingListener
from waiting import wait_for

from elworkers.connectors.kafka.driver import Range
from elworkers.connectors.kafka.errors import NotAuthorizedError
from elworkers.core.contracts import Record, TopicPartition
from elworkers.devstack.kafka import Kafka
from elworkers.devstack.stack import Stack

DEADLINE_S = 60.0


@dataclass(frozen=True)
class WithAcls(Kafka):
    """A broker that knows ACLs, and allows what none of them denies."""

    def prepare(self, home: Path, ports: Mapping[str, int], cache: object) -> list[str]:
        command = super().prepare(home, ports, cache)  # type: ignore[arg-type]
        with (home / "kraft.properties").open("a", encoding="utf-8") as file:
            file.write("authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n")
            file.write("allow.everyone.if.no.acl.found=true\n")
        return command


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("elworkers.devstack.stack.PARTS", {"kafka": WithAcls()})
        stack = Stack(tmp_path_factory.mktemp("acls"))
        try:
            stack.up("kafka")
            yield stack.env()["KAFKA"]
        finally:
            stack.down()


@pytest.fixture
def harness(broker: str) -> Iterator[Pykafka]:
    made = Pykafka(broker)
    yield made
    made.close()


def refused(call: Callable[[], object]) -> str:
    """What is said, once the broker has heard of the ACL."""
    said = ""

    def is_denied() -> bool:
        nonlocal said
        try:
            call()
        except NotAuthorizedError as error:
            said = str(error)
        return bool(said)

    wait_for(is_denied, DEADLINE_S, "the denial")
    return said


def test_a_topic_that_is_denied(broker: str, harness: Pykafka) -> None:
    harness.feed(b"before")
    reader, producer = harness.driver.reader([broker]), harness.producer()
    partition = TopicPartition(harness.topic, 1)
    reader.partitions()
    member = harness.join(RecordingListener())
    assert member.read(1) == [b"before"]
    modern.deny(broker, "topic", harness.topic)

    def produce() -> None:
        producer.produce([Record(b"x")], lambda _: (harness.topic, None))
        producer.flush()

    assert harness.topic in refused(produce)
    assert harness.topic in refused(member.poll)
    assert list(reader.read({partition: Range(0, 1)})) == []
    assert "error 29" in reader.unreadable[partition]
    assert harness.topic in refused(lambda: harness.driver.admin([broker]).ends(harness.topic))
    assert harness.topic in refused(lambda: harness.driver.admin([broker]).get_or_create(harness.topic, 2))
    assert harness.topic in refused(harness.join)


def test_a_group_that_is_denied(broker: str, harness: Pykafka) -> None:
    harness.feed(b"before")
    modern.deny(broker, "group", harness.group)
    assert harness.group in refused(harness.committed)
    assert harness.group in refused(harness.join)
