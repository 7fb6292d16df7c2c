# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Roles with exactly_once=True on real brokers: what is in a transaction, and what a reader finds of it."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from chaos import flow
from contract.kafka_drivers import Confluent
from onerun import check, run_exactly_once
from outputs import committed, count, fill, values
from topology import SCHEMAS

from elworkers.config.options import ERROR_TOPIC


@pytest.mark.parametrize("broker", ["kafka", "kafka44"])
def test_a_batch_its_event_errors_and_its_offsets_are_one_transaction(
    broker: str, request: pytest.FixtureRequest, unique: Callable[[str], str]
) -> None:
    kafka, name = request.getfixturevalue(broker), unique("once")
    fill(kafka, name, [flow.event(1), b"no event", flow.event(2)])
    brokers = f"kafka-confluent:///{kafka}?partitions=1&topic="
    out, of_schema, errors = f"{name}-out", f"{name}-EchoMail", f"{name}-errors"
    run_exactly_once(
        check(
            "processor",
            "%j",
            f"{brokers}{name}&auto_offset_reset=earliest",
            f"{brokers}{out}&exactly_once=True",
            f"{brokers}{name}-{{schema}}",
            f"--output-invalid={brokers}{errors}",
            f"--schemas={SCHEMAS}",
            f"--sid={name}",
            "--linger=1",
        ),
        lambda _: committed(kafka, name, name) == 3,
        name,
    )
    for topic in (out, of_schema):
        assert sorted(flow.in_topic(kafka, topic, "confluent")) == [1, 2]
        # Two messages and the end of one transaction.
        assert count(kafka, topic) == 3
    assert [json.loads(value)["schema"] for value in values(kafka, errors, "confluent")] == ["EventError"]
    assert count(kafka, errors) == 2


def test_what_a_broker_takes_no_message_of_is_an_event_error_in_the_same_transaction(
    kafka44: str, unique: Callable[[str], str]
) -> None:
    # Not on the broker whose topic of EventErrors pykafka reads in other tests: no transaction may be in that one.
    kafka, name = kafka44, unique("large")
    harness = Confluent(kafka)
    harness.limit(1_000)
    fill(kafka, name, [b"first", f"{name} ".encode().ljust(2_000, b"x"), b"last"])
    brokers = f"kafka-confluent:///{kafka}?topic="
    run_exactly_once(
        check(
            "forwarder",
            f"{brokers}{name}&auto_offset_reset=earliest&partitions=1",
            f"{brokers}{harness.topic}&exactly_once=True",
            f"--sid={name}",
            "--linger=1",
        ),
        lambda _: committed(kafka, name, name) == 3,
        name,
    )
    assert sorted(values(kafka, harness.topic, "confluent")) == [b"first", b"last"]
    raw = [json.loads(value)["event"]["rawEvent"] for value in values(kafka, ERROR_TOPIC, "confluent")]
    assert [text.split()[0] for text in raw if text.startswith(name)] == [name]


def test_a_forwarder_that_reads_transactions_has_no_lag_when_it_is_idle(
    kafka44: str, unique: Callable[[str], str]
) -> None:
    name = unique("lag")
    brokers = f"kafka-confluent:///{kafka44}?partitions=1&topic="
    fill(kafka44, f"{name}-a", [b"line"])
    for source, target in (("a", "b"), ("b", "c")):
        topic = f"{name}-{source}"
        run_exactly_once(
            check(
                "forwarder",
                f"{brokers}{topic}&auto_offset_reset=earliest",
                f"{brokers}{name}-{target}&exactly_once=True",
                f"--sid={name}",
            ),
            # With the marker, where there is one.
            lambda _, topic=topic: committed(kafka44, name, topic) == count(kafka44, topic) > 0,
            f"{name}-{source}",
        )
    assert values(kafka44, f"{name}-c", "confluent") == [b"line"]
    assert committed(kafka44, name, f"{name}-b") == 2
