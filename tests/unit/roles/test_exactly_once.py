# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Instances with exactly_once=True: what is refused, what their transactions are called, and what is in them."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from chaos import flow
from onerun import check, run_exactly_once
from topology import SCHEMAS

from elworkers.config.argument_files import Argument
from elworkers.connectors.kafka import exactly_once
from elworkers.connectors.kafka.drivers import in_memory
from elworkers.connectors.kafka.memory.broker import MemoryBroker
from elworkers.core.errors import ConfigurationError
from elworkers.core.metrics import Counters
from elworkers.core.pipeline import Batch
from elworkers.roles.build import PipelineBuilder
from elworkers.roles.exactly_once import is_exactly_once, transactional_id
from elworkers.roles.pool_config import pool_config
from elworkers.roles.validate import check_arguments

INPUT = "kafka:///k1:9092,k2:9092?topic=in&identity=g"
OUTPUT = "kafka:///k1:9092?topic=out&exactly_once=True"


@pytest.mark.parametrize(
    ("role", "argv", "why"),
    [
        ("forwarder", ("udp://127.0.0.1:8421", OUTPUT), "the input udp://127.0.0.1:8421 has no consumer group"),
        ("forwarder", (INPUT, OUTPUT, "file:///lines"), "file:///lines cannot be in a transaction of Kafka"),
        ("processor", ("%j", "stdin:", OUTPUT), "the input stdin: has no consumer group"),
        ("processor", ("%j", INPUT, OUTPUT, "kafka:///other:9092?topic=out"), "is of another Kafka cluster"),
        ("processor", ("%j", INPUT, OUTPUT, "--output-invalid=stdout:"), "stdout: cannot be in a transaction"),
        ("processor", ("%j", INPUT.replace("k1:9092,k2", "k3"), OUTPUT), "the input .* is of another Kafka cluster"),
        ("processor", ("%j", f"{INPUT}&transactions=read_uncommitted", OUTPUT), "transactions=read_uncommitted"),
        ("multiplexer", (f"{OUTPUT}&required_acks=1", INPUT), "required_acks=1; transactions need"),
        (
            "multiplexer",
            (OUTPUT, INPUT, "kafka:///k4:9092?topic=b&identity=g"),
            "topic=b.* is of another Kafka cluster",
        ),
        ("processor", ("%j", INPUT, OUTPUT, "kafka:///k1:9092?topic=b&compression=gzip"), "has not the compression of"),
        ("consumer", (INPUT, OUTPUT), "a consumer does not have it"),
    ],
)
def test_what_cannot_be_in_the_transaction_is_refused(role: str, argv: tuple[str, ...], why: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"option exactly_once=True: .*{why}"):
        check(role, *argv)
    assert not is_exactly_once(check(role, *(one.replace("&exactly_once=True", "") for one in argv)))


def test_one_output_with_it_is_enough() -> None:
    assert is_exactly_once(check("processor", "%j", INPUT, "kafka:///k1:9092?topic=valid", OUTPUT))


@pytest.mark.parametrize(
    ("argv", "env"),
    [
        ((INPUT, OUTPUT.replace("kafka:", "kafka-pykafka:")), {}),
        ((INPUT.replace("kafka:", "kafka-pykafka:"), OUTPUT), {}),
        ((INPUT, OUTPUT), {"EVENTLOGGING_KAFKA_DRIVER": "pykafka"}),
    ],
)
def test_pykafka_is_refused_with_the_way_out(argv: tuple[str, ...], env: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="pykafka has no exactly_once=True; expected kafka-confluent:"):
        check_arguments("forwarder", [Argument(one) for one in argv], env)


def test_transactions_are_named_by_group_instance_worker_host_and_run_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = check("forwarder", INPUT, OUTPUT)
    names = {transactional_id(arguments, "one", 0, None)}
    assert names == {f"elworkers-g-forwarder-one-0@{socket.gethostname()}"}
    folder = Path("/run/eventlogging")
    assert transactional_id(arguments, "one", 0, folder) == transactional_id(arguments, "one", 0, folder)
    names |= {transactional_id(arguments, "two", 0, None), transactional_id(arguments, "one", 1, None)}
    names |= {transactional_id(arguments, "one", 0, folder), transactional_id(arguments, "one", 0, Path("/run/b"))}
    monkeypatch.setattr(socket, "gethostname", lambda: "elsewhere")
    names.add(transactional_id(arguments, "one", 0, None))
    assert len(names) == 6
    several = check("multiplexer", OUTPUT, INPUT, "kafka:///k1:9092?topic=b&identity=a")
    assert str(transactional_id(several, "one", 0, None)).startswith("elworkers-a,g-multiplexer-one-0@")
    assert transactional_id(check("forwarder", INPUT, "stdout:"), "one", 0, None) is None


def test_a_worker_is_replaced_only_when_it_has_ended() -> None:
    assert not pool_config("forwarder", "one", check("forwarder", INPUT, OUTPUT), None).side_by_side
    assert pool_config("forwarder", "one", check("forwarder", INPUT, "stdout:"), None).side_by_side
    static = check("forwarder", f"{INPUT}&static_membership=True", "stdout:")
    assert not pool_config("forwarder", "one", static, None).side_by_side


def test_no_batch_is_older_than_a_transaction_may_become() -> None:
    arguments = check("forwarder", INPUT, OUTPUT)
    inputs, outputs = arguments.endpoints["input"], arguments.endpoints["output"]
    builder = PipelineBuilder(Counters(), batch_seconds=3600.0)
    assert builder.batch(inputs, outputs) == Batch(4_000, 3600.0)
    builder = PipelineBuilder(Counters(), batch_seconds=3600.0, transactional_id="id")
    assert builder.batch(inputs, outputs) == Batch(4_000, 10.0, 10.0)


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> MemoryBroker:
    """A Kafka in memory, which is the driver of this process."""
    made = MemoryBroker()
    monkeypatch.setattr(exactly_once, "driver", lambda *_: in_memory(made))
    return made


def markers(broker: MemoryBroker) -> dict[str, int]:
    """How many ends of transactions each topic has."""
    return {name: sum(log.end - len(log.messages) for log in topic.logs) for name, topic in broker.topics.items()}


def test_all_that_a_processor_writes_is_in_one_transaction_with_its_offsets(broker: MemoryBroker) -> None:
    broker.get_or_create("in", 1)
    (partition,) = broker.partitions("in")
    broker.append(partition, flow.event(1), b"no event", flow.event(2))
    source_uri = "kafka:///k1:9092?topic=in&identity=g&auto_offset_reset=earliest"
    run_exactly_once(
        check(
            "processor",
            "%j",
            source_uri,
            OUTPUT,
            "kafka:///k1:9092?topic=eventlogging_{schema}",
            "--output-invalid",
            f"--schemas={SCHEMAS}",
        )
    )
    assert markers(broker) == {"in": 0, "out": 1, f"eventlogging_{flow.SCHEMA}": 1}
    schemas = [json.loads(value or b"")["schema"] for value in broker.values("out")]
    assert sorted(schemas) == [flow.SCHEMA, flow.SCHEMA, "EventError"]
    assert broker.committed("g", [partition]) == {partition: 3}


def test_so_is_what_a_multiplexer_reads_of_several_topics(broker: MemoryBroker) -> None:
    for name in ("a", "b"):
        broker.get_or_create(name, 1)
        broker.append(broker.partitions(name)[0], b'{"n": 1}')
    run_exactly_once(check("multiplexer", OUTPUT, "kafka:///k1:9092?topic=a", "kafka:///k1:9092?topic=b", "--sid=g"))
    assert markers(broker)["out"] >= 1
    assert len(broker.values("out")) == 2
    assert sum(broker.committed("g", broker.partitions("a") + broker.partitions("b")).values()) == 2


def test_what_no_topic_takes_is_an_event_error_in_the_same_transaction(broker: MemoryBroker) -> None:
    broker.get_or_create("in", 1)
    broker.max_message_bytes = 2_000
    broker.append(broker.partitions("in")[0], b"x" * 2_001, b"small")
    run_exactly_once(check("forwarder", "kafka:///k1:9092?topic=in&identity=g", OUTPUT))
    assert markers(broker) == {"in": 0, "out": 1, "eventlogging_EventError": 1}
    assert broker.values("out") == [b"small"]
    assert len(broker.values("eventlogging_EventError")) == 1
