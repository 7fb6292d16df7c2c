# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""What librdkafka is told of an input's options, where only it has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from confluent_kafka import KafkaError

from elworkers.config.kafka_clients import check, prefers_confluent
from elworkers.connectors.kafka import drivers
from elworkers.connectors.kafka.confluent import errors, membership
from elworkers.connectors.kafka.confluent.client import ClientEvents
from elworkers.connectors.kafka.confluent.consumer_settings import consumer_settings
from elworkers.connectors.kafka.memory.broker import MemoryBroker
from elworkers.connectors.kafka.memory.memory_driver import MemoryDriver
from elworkers.connectors.registry import check_source
from elworkers.core.errors import ConfigurationError, RetryableError
from elworkers.core.metrics import Counters
from elworkers.roles.worker_context import WorkerContext

URI = "kafka:///k:1?topic=t&identity=g"


@pytest.mark.parametrize("option", ["client_rack=eqiad-b2", "static_membership=True"])
def test_an_option_of_one_client_chooses_that_client(option: str) -> None:
    options = check_source(f"{URI}&{option}").options
    assert prefers_confluent(options) == option
    assert not prefers_confluent(check_source(URI).options)
    with pytest.raises(ConfigurationError, match=f"pykafka has no {option}; expected kafka-confluent:"):
        check("pykafka", options)


@pytest.mark.parametrize("classic", [True, False])
def test_a_rack_is_told_to_the_brokers(classic: bool) -> None:
    here = check_source(f"{URI}&client_rack=eqiad-b2").options
    assert consumer_settings(here, "g", 1, classic=classic)["client.rack"] == "eqiad-b2"
    assert "client.rack" not in consumer_settings(check_source(URI).options, "g", 1, classic=classic)


@pytest.mark.parametrize("static_id", ["processor-x-0@host/t", None])
def test_a_static_member_has_a_name(monkeypatch: pytest.MonkeyPatch, static_id: str | None) -> None:
    told: dict[str, object] = {}

    def client(own: Mapping[str, object]) -> None:
        told.update(own)

    monkeypatch.setattr(membership, "Consumer", client)
    hosts = ["k:1"]
    membership.Membership(hosts, check_source(URI).options, "g", 1, ClientEvents(hosts), static_id).client()
    assert told.get("group.instance.id") == static_id


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (KafkaError.FENCED_INSTANCE_ID, r"another client has come as the same static member .*\(FENCED_INSTANCE_ID\)$"),
        (KafkaError.UNRELEASED_INSTANCE_ID, r"waits for this worker's predecessor .*\(UNRELEASED_INSTANCE_ID\)$"),
        (KafkaError.INVALID_SESSION_TIMEOUT, r"Fatal error: .*\(_FATAL\)$"),
    ],
)
def test_a_fatal_error_is_told_as_the_answer_that_led_to_it(code: int, said: str) -> None:
    fatal = KafkaError(KafkaError._FATAL, f"Fatal error: {KafkaError(code).str()}: as the group said", fatal=True)
    with pytest.raises(RetryableError, match=said):
        raise errors.translated(fatal, "read topic t")


@pytest.mark.parametrize(("option", "name"), [("&static_membership=True", "consumer-c-1@h/t"), ("", None)])
def test_a_source_names_its_member_by_worker_and_topic(
    monkeypatch: pytest.MonkeyPatch, option: str, name: str | None
) -> None:
    made: list[object] = []

    class Recording(MemoryDriver):
        def consumer(self, *arguments: Any) -> Any:
            made.append(arguments[-1])

    monkeypatch.setattr(drivers, "driver_of", lambda _: Recording(MemoryBroker()))
    endpoint = check_source(f"{URI}{option}")
    endpoint.spec.open(endpoint, WorkerContext(Counters(), name="consumer-c-1@h"), None)
    assert made == [name]
