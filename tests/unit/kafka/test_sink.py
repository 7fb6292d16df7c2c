# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""The sink between the loop and a driver, on a Kafka in memory."""

from __future__ import annotations

from contract.kafka_drivers import Memory

from elworkers.connectors.kafka.route import Route
from elworkers.connectors.kafka.sink import KafkaSink
from elworkers.connectors.registry import check_sink
from elworkers.core.capabilities import Addressed
from elworkers.core.contracts import Destination, Record


def test_it_says_where_a_record_goes() -> None:
    memory = Memory()
    options = check_sink("kafka:///memory:9092?topic={schema}&blacklist=Out").options
    sink = KafkaSink(memory.hosts, options, Route("{schema}", None, "Out"), memory.producer(), derived=True)
    assert isinstance(sink, Addressed)
    assert sink.destination(Record(b"", event={"schema": "A"})) == Destination("memory:9092/A")
    error = Record(b"", event={"schema": "EventError", "event": {"schema": "A"}}, valid=False)
    assert sink.destination(error) == Destination("memory:9092/EventError", "A")
    assert sink.destination(Record(b"", event={"schema": "Out"})) is None
    too_long = Record(b"", event={"schema": "A" * 300})
    assert sink.destination(too_long) is None, "whose fault that is, is said where it is written"
