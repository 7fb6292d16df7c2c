# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Names of several schemas lead to one topic of a real Kafka: one of them gets it, the others never."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import brokeradmin
import pytest
from topology import BIN

from elworkers.connectors.kafka import topic_owners
from elworkers.connectors.kafka.drivers import driver
from elworkers.connectors.kafka.producer_protocol import ProducerContext
from elworkers.connectors.kafka.pykafka import client, progress, topic_creation
from elworkers.connectors.kafka.pykafka.reader import TopicsReader
from elworkers.connectors.kafka.route import Route
from elworkers.connectors.kafka.sink import settings as produced
from elworkers.connectors.registry import check_sink
from elworkers.core.contracts import Record, TopicPartition
from elworkers.core.errors import RetryableError

Unique = Callable[[str], str]


class Outputs:
    """Makes outputs to topics of one template, each as a worker that has just started."""

    def __init__(self, kafka: str, template: str, client_name: str = "pykafka") -> None:
        self.kafka = kafka
        self.driver = driver([kafka], client_name)
        self._template = template

    def refused(self, *schemas: str, known: Sequence[str] = (), options: str = "", wiki: str = "w") -> list[str]:
        """Write two events of each schema; what is said of those that are refused, once for each schema."""
        typed = check_sink(f"kafka:///{self.kafka}?topic=x&partitions=2{options}").options
        context = ProducerContext(has_schema=lambda name: name in known)
        producer = self.driver.producer([self.kafka], produced(typed), context)
        events = [{"schema": schema, "wiki": wiki} for schema in (*schemas, *schemas)]
        try:
            records = [Record(json.dumps(event).encode(), event=event) for event in events]
            producer.produce(records, Route(self._template, None, None), derived=True)
            for record in records:
                # As the loop does once they are written.
                record.event = None
            refused = producer.flush()
        finally:
            producer.close()
        assert len(refused) == 2 * len({one.message for one in refused})
        assert {one.code for one in refused} <= {"storage"}
        return list(dict.fromkeys(one.message for one in refused))


def values(kafka: str, topic: str) -> list[bytes]:
    reader = TopicsReader([kafka])
    try:
        wanted = reader.ranges([one for one in reader.partitions() if one.topic == topic])
        return [value or b"" for some in reader.read(wanted) for _, _, _, value in some.messages]
    finally:
        reader.close()


def schemas_in(kafka: str, topic: str) -> set[str]:
    return {json.loads(value)["schema"] for value in values(kafka, topic)}


@pytest.fixture
def name(unique: Unique) -> str:
    return unique("Owned")


@pytest.fixture(params=["pykafka", "confluent"])
def client_name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def outputs(kafka: str, name: str, client_name: str) -> Outputs:
    return Outputs(kafka, f"{name}.{{schema}}", client_name)


def no_topic_of_its_own(loser: str, topic: str, owner: str) -> str:
    return f"schema {loser} has no topic of its own: {topic} is that of schema {owner}"


def test_a_schema_whose_name_no_topic_can_have_gets_the_one_that_nobody_else_has(outputs: Outputs, name: str) -> None:
    assert outputs.refused("a/b/c") == []
    assert outputs.refused("a/b/c") == []
    assert len(values(outputs.kafka, f"{name}.a_b_c")) == 4


@pytest.mark.parametrize("rival", ["a_b_c", "a/b_c"])
def test_the_first_one_keeps_it_in_whatever_order_workers_start_again(outputs: Outputs, name: str, rival: str) -> None:
    topic = f"{name}.a_b_c"
    said = [no_topic_of_its_own(rival, topic, "a/b/c")]
    assert outputs.refused("a/b/c") == []
    assert outputs.refused(rival) == said
    assert outputs.refused(rival, "a/b/c", known=["a_b_c"]) == said
    # Retention deletes all that could say whose it is.
    for partition, end in progress.ends(client.connect([outputs.kafka]), topic).items():
        brokeradmin.delete_records(outputs.kafka, topic, partition, end)
    assert values(outputs.kafka, topic) == []
    assert outputs.refused(rival, known=["a_b_c"]) == said
    assert outputs.refused("a/b/c") == []
    assert schemas_in(outputs.kafka, topic) == {"a/b/c"}


@pytest.mark.parametrize("order", [("a/b", "a_b"), ("a_b", "a/b")])
def test_of_one_batch_the_schema_has_it_that_needs_no_character_replaced(
    outputs: Outputs, name: str, order: tuple[str, str]
) -> None:
    assert outputs.refused(*order, "other") == [no_topic_of_its_own("a/b", f"{name}.a_b", "a_b")]
    assert schemas_in(outputs.kafka, f"{name}.a_b") == {"a_b"}
    assert schemas_in(outputs.kafka, f"{name}.other") == {"other"}


def test_it_has_it_as_well_where_it_is_only_known_to_exist(outputs: Outputs, name: str) -> None:
    said = [no_topic_of_its_own("a/b", f"{name}.a_b", "a_b")]
    assert outputs.refused("a/b", known=["a_b"]) == said
    assert outputs.refused("a/b") == said
    assert outputs.refused("a_b") == []


def test_two_workers_that_find_it_empty_at_once_agree(kafka: str, unique: Unique, client_name: str) -> None:
    rivals = ("a/b/c", "a/b_c", "a_b_c")
    for _ in range(4):
        name = unique("Race")
        outputs, together = Outputs(kafka, f"{name}.{{schema}}", client_name), threading.Barrier(len(rivals))
        said: dict[str, list[str]] = {}

        def start(schema: str) -> None:
            together.wait(30)  # noqa: B023 - joined below
            said[schema] = outputs.refused(schema)  # noqa: B023

        threads = [threading.Thread(target=start, args=(schema,)) for schema in rivals]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        (owner,) = (schema for schema in rivals if not said[schema])
        losers = [schema for schema in rivals if schema != owner]
        assert all(said[loser] == [no_topic_of_its_own(loser, f"{name}.a_b_c", owner)] for loser in losers)
        assert [outputs.refused(schema) for schema in reversed(rivals)] == [said[one] for one in reversed(rivals)]
        assert schemas_in(kafka, f"{name}.a_b_c") == {owner}


def test_an_empty_topic_of_an_operators_is_the_first_ones(outputs: Outputs, name: str) -> None:
    topic_creation.get_or_create(client.connect([outputs.kafka]), f"{name}.a_b", 3)
    assert outputs.refused("a/b") == []
    assert outputs.refused("a_b") == [no_topic_of_its_own("a_b", f"{name}.a_b", "a/b")]


@pytest.mark.parametrize("there", ["a_b", "a/b", None])
def test_what_is_in_a_topic_of_an_earlier_version_decides(outputs: Outputs, name: str, there: str | None) -> None:
    topic = f"{name}.a_b"
    typed = check_sink(f"kafka:///{outputs.kafka}?topic=x&partitions=2").options
    producer = outputs.driver.producer([outputs.kafka], produced(typed))
    value = b"no event" if there is None else json.dumps({"schema": there}).encode()
    producer.produce([Record(value)], lambda _: (topic, None))
    assert producer.flush() == []
    owner = there or "a_b"
    (loser,) = {"a/b", "a_b"} - {owner}
    assert outputs.refused(loser) == [no_topic_of_its_own(loser, topic, owner)]
    assert outputs.refused(owner) == []


def test_a_topic_that_was_deleted_and_made_again_is_nobodys(outputs: Outputs, name: str) -> None:
    topic = f"{name}.a_b"
    assert outputs.refused("a/b") == []
    brokeradmin.delete_topic(outputs.kafka, topic)
    assert outputs.refused("a_b") == []
    assert outputs.refused("a/b") == [no_topic_of_its_own("a/b", topic, "a_b")]


def test_topics_named_by_more_than_the_schema_have_one_owner_too(kafka: str, name: str) -> None:
    outputs = Outputs(kafka, f"{name}.{{schema}}_{{wiki}}")
    assert outputs.refused("a", wiki="b_x") == []
    assert outputs.refused("a_b", wiki="x") == [no_topic_of_its_own("a_b", f"{name}.a_b_x", "a")]
    assert outputs.refused("a/b", wiki="y") == []
    assert outputs.refused("a_b", wiki="y") == [no_topic_of_its_own("a_b", f"{name}.a_b_y", "a/b")]


def test_what_is_no_claim_is_passed_over(outputs: Outputs, name: str) -> None:
    assert outputs.refused("x/y") == []
    typed = check_sink(f"kafka:///{outputs.kafka}?topic=x").options
    producer = outputs.driver.producer([outputs.kafka], produced(typed))
    odd = [b"", b"no JSON", b"[]", b'{"topic": 1, "id": null}', json.dumps({"topic": f"{name}.a_b", "id": ""}).encode()]
    producer.produce([Record(value) for value in odd], lambda _: (topic_owners.TOPIC, None))
    assert producer.flush() == []
    assert outputs.refused("a/b") == []
    assert outputs.refused("a_b") == [no_topic_of_its_own("a_b", f"{name}.a_b", "a/b")]


def test_the_log_of_claims_takes_no_events(kafka: str) -> None:
    (said,) = Outputs(kafka, "{schema}").refused(topic_owners.TOPIC)
    assert topic_owners.TOPIC in said


def test_without_that_log_only_what_every_worker_sees_counts(
    outputs: Outputs, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The broker refuses a topic with such a setting, as it would without the right to make it.
    monkeypatch.setattr(topic_owners, "TOPIC", f"{name}-owners")
    monkeypatch.setattr(topic_owners, "_LOG", TopicPartition(f"{name}-owners", 0))
    monkeypatch.setattr(topic_owners, "_RETENTION", {"cleanup.policy": "no such policy"})
    assert outputs.refused("a/b", "a.c") == [no_topic_of_its_own("a/b", f"{name}.a_b", "a_b")]
    assert outputs.refused("a_b") == []


def test_a_log_that_cannot_be_made_for_now_is_waited_for(
    outputs: Outputs, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic_creation.get_or_create(client.connect([outputs.kafka]), f"{name}.a_b")
    monkeypatch.setattr(topic_owners, "TOPIC", f"{name}-owners")
    monkeypatch.setattr(topic_owners, "_LOG", TopicPartition(f"{name}-owners", 0))
    with pytest.raises(RetryableError, match="replicas is larger"):
        outputs.refused("a/b", options="&replication=3")
    assert values(outputs.kafka, f"{name}.a_b") == []


def test_two_processors_started_at_once_and_again(kafka: str, name: str, tmp_path: Path) -> None:
    topic = f"{name}.page_move"
    for schema in ("page/move", "page_move"):
        (tmp_path / schema / schema).mkdir(parents=True)
        (tmp_path / schema / schema / "1.json").write_text('{"properties": {}}', encoding="utf-8")
    invalid = tmp_path / "invalid"

    def start(schema: str, number: int) -> subprocess.Popen[bytes]:
        # Each knows its own schema alone, so that only the topic can tell.
        line = {"schema": schema, "revision": 1, "wiki": "w", "recvFrom": "r", "seqId": 1, "timestamp": 1469795696}
        command = [BIN / "eventlogging-processor", "%j", "stdin:", f"kafka:///{kafka}?topic={name}.{{schema}}"]
        process = subprocess.Popen(
            [*command, f"--output-invalid=file://{invalid}", f"--schemas={tmp_path / schema}"], stdin=subprocess.PIPE
        )
        assert process.stdin is not None
        with process.stdin as lines:
            text = json.dumps({**line, "uuid": f"{number:032x}", "event": {}})
            lines.write(text.encode() + b"\n")
        return process

    for number, order in enumerate([("page/move", "page_move"), ("page_move", "page/move")]):
        for process in [start(schema, 2 * number + at) for at, schema in enumerate(order)]:
            assert process.wait(60) == 0
    (owner,) = schemas_in(kafka, topic)
    assert len(values(kafka, topic)) == 2
    (loser,) = {"page/move", "page_move"} - {owner}
    errors = [json.loads(line)["event"] for line in invalid.read_text(encoding="utf-8").splitlines()]
    assert [error["message"] for error in errors] == [no_topic_of_its_own(loser, topic, owner)] * 2
    assert {(error["code"], error["schema"]) for error in errors} == {("storage", loser)}
