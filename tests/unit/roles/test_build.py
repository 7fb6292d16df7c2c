# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""URIs to sources and sinks: what is let go when one of several cannot be opened, and when batches are flushed."""

from __future__ import annotations

import socket

import pytest

from elworkers.connectors.registry import check_sink, check_source
from elworkers.core.contracts import Record, RejectedRecord
from elworkers.core.errors import ConfigurationError, RetryableError
from elworkers.core.metrics import Counters
from elworkers.core.pipeline import Batch
from elworkers.events.event_error import rejected_event_error
from elworkers.roles.build import PipelineBuilder


def test_what_was_opened_is_let_go_when_the_next_cannot_be() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    builder = PipelineBuilder(Counters())
    with pytest.raises(RetryableError):
        builder.source(check_source(f"udp://127.0.0.1:{port}"), check_source("file:///no/such/file"))
    builder.source(check_source(f"udp://127.0.0.1:{port}")).close()


def test_a_source_that_is_still_open_is_taken_again() -> None:
    builder = PipelineBuilder(Counters())
    first = builder.source(check_source("stdin:"))
    assert builder.with_carry_over(builder.carry_over).source(check_source("stdin:")) is first


KAFKA = "kafka:///k:1?topic=t&identity=g"


@pytest.mark.parametrize(
    ("source", "sink", "options", "batch"),
    [
        (KAFKA, "file:///out", {}, Batch(4_000, 0.0)),
        (KAFKA, "mysql://u@h/log", {}, Batch(3_000, 300.0)),
        (f"{KAFKA}&auto_commit_enable=True&auto_commit_interval_ms=1000", "mysql://u@h/log", {}, Batch(3_000, 1.0)),
        (f"{KAFKA}&auto_commit_interval_ms=1000", "mysql://u@h/log", {}, Batch(3_000, 300.0)),
        (f"{KAFKA}&auto_commit_enable=True", "mysql://u@h/log?batch_seconds=5&batch_size=7", {}, Batch(7, 5.0)),
        (KAFKA, "mysql://u@h/log", {"batch_records": 9, "batch_seconds": 0.5}, Batch(9, 0.5)),
    ],
)
def test_a_batch_is_as_old_as_the_smaller_of_the_two_ages(
    source: str, sink: str, options: dict[str, float], batch: Batch
) -> None:
    builder = PipelineBuilder(Counters(), **options)  # type: ignore[arg-type]
    assert builder.batch([check_source(source)], [check_sink(sink)]) == batch


def test_only_a_consumer_stores_in_a_database() -> None:
    with pytest.raises(ConfigurationError, match="only a consumer stores events in a database"):
        PipelineBuilder(Counters()).output(check_sink("sqlite:///events.db"))


@pytest.mark.parametrize(
    ("output", "asked"),
    [
        ("kafka:///k:1?topic=t", set()),
        ("kafka:///k:1?topic=eventlogging_{schema}", {"schema"}),
        ("kafka:///k:1?topic={wiki}_{event.action}&key={revision}", {"wiki", "event", "revision"}),
        ("kafka:///k:1?topic=t&blacklist=^Edit$", {"schema"}),
        ("stdout:", set()),
    ],
)
def test_what_an_output_asks_an_event_for(output: str, asked: set[str]) -> None:
    assert PipelineBuilder(Counters()).required_fields(check_sink(output)) == asked


def test_a_rejected_record_tells_of_its_event_also_where_most_of_it_was_dropped() -> None:
    value = b'{"event":{},"schema":"X","revision":7,"wiki":"frwiki","recvFrom":"cp1","timestamp":1}'
    made = rejected_event_error(RejectedRecord(Record(value, event={"schema": "X", "revision": 7}), "too large"))
    assert made.event is not None
    assert (made.event["wiki"], made.event["recvFrom"], made.event["event"]["schema"]) == ("frwiki", "cp1", "X")
