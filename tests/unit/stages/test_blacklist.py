# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""What an input's blacklist leaves out, and what goes on."""

from __future__ import annotations

import json

from elworkers.connectors.registry import check_sources
from elworkers.core.contracts import Assignment, Record
from elworkers.core.errors import InvalidEventError
from elworkers.core.metrics import Counters
from elworkers.events.event_error import event_error
from elworkers.roles.sources import blacklist_stages
from elworkers.stages.blacklist import BlacklistStage

HERE, THERE = Assignment("t", 0, "k:1"), Assignment("other", 0, "k:1")


def stage(metrics: Counters, blacklist: str = "^Analytics|Banner$") -> BlacklistStage:
    return BlacklistStage({("k:1", "t"): blacklist}, metrics)


def record(schema: str, origin: Assignment | None = HERE, *, parsed: bool = True) -> Record:
    event = {"schema": schema, "event": {}}
    return Record(json.dumps(event).encode(), event=event if parsed else None, origin=origin)


def test_events_are_left_out_by_their_schema_and_counted() -> None:
    metrics = Counters()
    passed = [record("Edit"), record("MyAnalytics"), record("BannerX")]
    out = [record("AnalyticsOne"), record("Banner"), record("AnalyticsOne", parsed=False)]
    assert stage(metrics)([out[0], *passed, *out[1:]]) == passed
    counted = {name: value for name, value in metrics.totals.items() if "events_left_out" in str(name)}
    assert sorted(counted.values()) == [1, 2]


def test_only_the_inputs_that_say_so_leave_anything_out() -> None:
    passed = [record("Analytics", THERE), record("Analytics", None)]
    assert stage(Counters())(passed) == passed


def test_what_is_no_event_goes_on() -> None:
    passed = [
        Record(b"1\tEventLogging {}", origin=HERE),
        Record(b'["Analytics"]', origin=HERE),
        Record(b"\xff", origin=HERE),
        event_error(Record(b"line", origin=HERE), InvalidEventError("bad"), {"schema": "Analytics"}),
    ]
    assert stage(Counters(), "")(passed[:3]) == passed[:3]
    assert stage(Counters(), "EventError|unknown")(passed) == passed


def test_an_input_without_a_blacklist_has_no_such_stage() -> None:
    assert (
        blacklist_stages([*check_sources("kafka:///k:1?topic=t&identity=g"), *check_sources("stdin:")], Counters())
        == []
    )
    (found,) = blacklist_stages(check_sources("kafka:///k:1?topics=t,u&identity=g&blacklist=^Analytics"), Counters())
    for topic in ("t", "u"):
        assert found([record("Analytics", Assignment(topic, 0, "k:1"))]) == []
