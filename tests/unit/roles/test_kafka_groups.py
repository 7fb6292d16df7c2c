# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Instance files that cannot run beside each other: two Kafka clients in a group, and pykafka behind transactions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from elworkers.roles.instances import read_instances

Invalid = Callable[[Mapping[str, str], Mapping[str, str]], dict[str, str]]


@pytest.fixture
def invalid(tmp_path: Path) -> Invalid:
    """Returns what is wrong with instances, by their title; they are given as their title and the lines."""

    def read(files: Mapping[str, str], env: Mapping[str, str]) -> dict[str, str]:
        for title, lines in files.items():
            role, _, name = title.partition("/")
            path = tmp_path / f"{role}s" / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(f"{lines}\n", encoding="utf-8")
        return {one.title: str(one.error) for one in read_instances(tmp_path, env).invalid}

    return read


def consumer(scheme: str = "kafka", more: str = "", topic: str = "t", host: str = "k:1") -> str:
    """The lines of a consumer of the group `g`."""
    return f"{scheme}:///{host}?topic={topic}&identity=g{more}\nstdout:"


@pytest.mark.parametrize(
    ("one", "other", "env"),
    [
        (consumer("kafka-pykafka"), consumer("kafka-confluent"), {}),
        (consumer("kafka-pykafka"), consumer(more="&rdkafka.linger.ms=5"), {}),
        (consumer(), consumer("kafka-confluent"), {"EVENTLOGGING_KAFKA_DRIVER": "pykafka"}),
        (consumer("kafka-pykafka", host="k:1,k:2"), consumer("kafka-confluent", host="k:2,k:3"), {}),
        (consumer("kafka-pykafka", topic="other"), consumer("kafka-confluent"), {}),
    ],
)
def test_two_clients_in_a_group_are_named(invalid: Invalid, one: str, other: str, env: Mapping[str, str]) -> None:
    found = invalid({"consumer/a": one, "consumer/b": other}, env)
    assert list(found) == ["consumer/b"]
    assert (
        "consumers/b:1: kafka URI: consumer/a reads as group g with pykafka, and this with confluent"
        in found["consumer/b"]
    )


@pytest.mark.parametrize(
    ("one", "other", "env"),
    [
        (consumer("kafka-pykafka"), consumer("kafka-pykafka"), {}),
        # Brokers decide, and may decide for the same.
        (consumer(), consumer("kafka-confluent"), {}),
        (consumer("kafka-pykafka", host="k:1"), consumer("kafka-confluent", host="other:1"), {}),
        (consumer("kafka-pykafka"), consumer("kafka-confluent").replace("identity=g", "identity=h"), {}),
        (consumer(), consumer(more="&rdkafka.linger.ms=5"), {"EVENTLOGGING_KAFKA_DRIVER": "confluent"}),
    ],
)
def test_others_may_run_beside_each_other(invalid: Invalid, one: str, other: str, env: Mapping[str, str]) -> None:
    assert invalid({"consumer/a": one, "consumer/b": other}, env) == {}


PROCESSOR = "%q\nkafka:///k:1?topic=raw&identity=p\nkafka:///k:1?topic=eventlogging_{schema}&exactly_once=True"


@pytest.mark.parametrize(
    ("title", "lines"),
    [
        ("consumer/c", consumer("kafka-pykafka", topic="eventlogging_Edit")),
        ("importer/i", "kafka-pykafka:///k:1?topics=eventlogging_.+\nfile:///tmp"),
    ],
)
def test_pykafka_reads_no_topic_that_is_written_in_transactions(invalid: Invalid, title: str, lines: str) -> None:
    found = invalid({"processor/p": PROCESSOR, title: lines}, {})
    assert list(found) == [title]
    assert "processor/p writes to eventlogging_{schema} with exactly_once=True, and pykafka cannot tell" in found[title]


@pytest.mark.parametrize(
    ("title", "lines"),
    [
        ("consumer/c", consumer(topic="eventlogging_Edit")),
        ("importer/i", "kafka:///k:1?topics=eventlogging_.+\nfile:///tmp"),
    ],
)
def test_nor_does_a_reader_whose_brokers_may_choose_pykafka(invalid: Invalid, title: str, lines: str) -> None:
    found = invalid({"processor/p": PROCESSOR, title: lines}, {})
    assert list(found) == [title]
    assert "pykafka, which reads here unless the brokers are too new for it, cannot tell" in found[title]
    assert found[title].endswith("expected kafka-confluent:, or EVENTLOGGING_KAFKA_DRIVER=confluent")
    assert invalid({"processor/p": PROCESSOR, title: lines}, {"EVENTLOGGING_KAFKA_DRIVER": "confluent"}) == {}


@pytest.mark.parametrize(
    "writer",
    [
        "%q\nkafka:///k:1?topic=raw&identity=p\nkafka:///k:1?topic=valid&exactly_once=True",
        "%q\nkafka:///k:1?topic=raw&identity=p\nkafka:///k:1?topic=valid&exactly_once=True"
        "\n--output-invalid=kafka:///k:1?topic=invalid",
    ],
)
def test_nor_the_event_errors_of_records_that_an_output_of_transactions_refuses(invalid: Invalid, writer: str) -> None:
    found = invalid({"processor/p": writer, "consumer/c": consumer(topic="eventlogging_EventError")}, {})
    assert "processor/p writes to eventlogging_EventError with exactly_once=True" in found["consumer/c"]


@pytest.mark.parametrize(
    "lines",
    [
        consumer("kafka-confluent", topic="eventlogging_Edit"),
        consumer(topic="eventlogging_Edit", more="&rdkafka.linger.ms=5"),
        consumer("kafka-pykafka", topic="other"),
        consumer("kafka-pykafka", topic="eventlogging_Edit", host="other:1"),
        consumer("kafka-pykafka", "&transactions=read_uncommitted", "eventlogging_Edit"),
    ],
)
def test_other_readers_may(invalid: Invalid, lines: str) -> None:
    assert invalid({"processor/p": PROCESSOR, "consumer/c": lines}, {}) == {}


def test_a_reader_in_transactions_is_one_of_confluent_kafka(invalid: Invalid) -> None:
    reader = "kafka-pykafka:///k:1?topic=raw&identity=p\nstdout:"
    found = invalid({"processor/p": PROCESSOR, "consumer/c": reader}, {})
    assert "processor/p reads as group p with confluent, and this with pykafka" in found["consumer/c"]


STATIC = "kafka-confluent:///k:1?topic=t&identity=g&static_membership=True"


def test_an_instance_has_one_static_member_of_a_name(invalid: Invalid) -> None:
    found = invalid({"multiplexer/m": f"stdout:\n{STATIC}\n{STATIC.replace('k:1', 'k:2,k:1')}"}, {})
    assert (
        "multiplexers/m:3: kafka URI: option static_membership=True: the instance reads t as group g"
        in found["multiplexer/m"]
    )


@pytest.mark.parametrize(
    "lines",
    [
        f"stdout:\n{STATIC}\n{STATIC.replace('topic=t', 'topic=u')}",
        f"stdout:\n{STATIC}\n{STATIC.replace('identity=g', 'identity=h')}",
        f"stdout:\n{STATIC}\n{STATIC.replace('k:1', 'other:1')}",
    ],
)
def test_static_members_of_other_names_may_be_of_one_instance(invalid: Invalid, lines: str) -> None:
    assert invalid({"multiplexer/m": lines, "consumer/c": f"{STATIC}\nstdout:"}, {}) == {}
