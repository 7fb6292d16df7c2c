# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""What a reporter tells while brokers and statsd come and go."""

from __future__ import annotations

import json
import re
import subprocess
from collections import Counter
from collections.abc import Callable

import pytest
from chaos import flow
from topology import BIN
from waiting import wait_for

from elworkers.connectors.kafka.drivers import driver
from elworkers.connectors.kafka.pykafka.reader import TopicsReader
from elworkers.core.errors import RetryableError
from elworkers.core.metrics import Counters
from elworkers.devstack import Stack
from elworkers.roles.report import ClusterReport, Counts, WatchedTopics

DEADLINE_S = 90.0


class Told:
    """Adds up what is told."""

    def __init__(self) -> None:
        self.counters: Counter[str] = Counter()
        self.gauges: dict[str, int] = {}

    def send(self, counters: Counts, gauges: Counts) -> None:
        self.counters.update(counters)
        self.gauges.update(gauges)

    def by(self, report: ClusterReport) -> bool:
        """Whether the report could look."""
        try:
            report.send(self.send)
        except RetryableError:
            return False
        return True


def test_what_comes_while_a_broker_is_away_is_told_later(two_brokers: Stack) -> None:
    env = two_brokers.env()
    hosts = (env["KAFKA"], env["KAFKA_2"])
    driver().admin(hosts).get_or_create("raw", 2, 1)
    flow.produce(env["KAFKA"], "raw", range(100))
    report, told = ClusterReport(hosts, WatchedTopics(raw={"raw"})), Told()
    report.send(told.send)
    assert not +told.counters
    flow.produce(env["KAFKA"], "raw", range(100, 140))
    two_brokers.kill("kafka-2")
    # One partition has no leader now; what the other has got is told.
    wait_for(
        lambda: told.by(report) and told.counters["raw.raw"] > 0, DEADLINE_S, "a count of the partition that is led"
    )
    assert told.counters["raw.raw"] == 20
    late, told_late = ClusterReport(hosts, WatchedTopics(raw={"raw"})), Told()
    wait_for(lambda: told_late.by(late), DEADLINE_S, "a report that begins now")
    two_brokers.up("kafka-2")
    wait_for(lambda: told.by(report) and told.counters["raw.raw"] == 40, DEADLINE_S, "a count of all")
    # What had been there before its first look is not new to it.
    assert wait_for(lambda: told_late.by(late), DEADLINE_S, "another look")
    flow.produce(env["KAFKA"], "raw", range(140, 150))
    assert (
        wait_for(lambda: told_late.by(late) and told_late.counters["raw.raw"], DEADLINE_S, "what has come since") == 10
    )
    report.close()
    late.close()


def test_invented_names_are_bounded_and_hide_no_real_one(kafka: str, unique: Callable[[str], str]) -> None:
    prefix = unique("own")
    report, told = (
        ClusterReport((kafka,), WatchedTopics(valid={(f"{prefix}_", "")}, invalid={f"{prefix}_EventError"})),
        Told(),
    )
    report.send(told.send)
    names = [f"Invented.{number}" for number in range(1_500)] + ["x" * 100_000, "new\nline:1|c", "EchoMail"]
    errors = [json.dumps({"event": {"schema": name}}) for name in names]
    flow.produce(kafka, f"{prefix}_EchoMail", range(3))
    command = [BIN / "eventlogging-forwarder", "stdin:", f"kafka:///{kafka}?topic={prefix}_EventError"]
    subprocess.run(command, input="\n".join(errors), text=True, check=True, capture_output=True, timeout=DEADLINE_S)
    report.send(told.send)
    counted = {name: count for name, count in told.counters.items() if name.endswith(".invalid")}
    assert counted["overall.invalid"] == len(names)
    assert counted["schema.EchoMail.invalid"] == 1
    assert counted["schema.other.invalid"] == 502
    assert len(counted) == 1_000 + 3
    assert all(re.fullmatch(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*", name) for name in told.counters)
    report.close()


def test_a_group_that_kafka_refuses_is_set_aside_and_all_else_is_told(
    kafka: str, unique: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = unique("own")
    flow.produce(kafka, topic, range(3))
    metrics, told = Counters(), Told()
    what = WatchedTopics(raw={topic}, groups={("bad", topic), ("good", topic), ("better", topic)})
    committed = TopicsReader.committed

    def refused(reader: TopicsReader, group: str, name: str) -> dict[int, int]:
        # As Kafka does with its ACLs (error 30), which the brokers of these tests have not.
        if group == "bad":
            raise RetryableError("Kafka: group bad: not authorized")
        return committed(reader, group, name)

    monkeypatch.setattr(TopicsReader, "committed", refused)
    report = ClusterReport((kafka,), what, metrics)
    report.send(told.send)
    flow.produce(kafka, topic, range(4))
    report.send(told.send)
    assert told.counters[f"raw.{topic}"] == 4
    assert set(told.gauges) == {f"lag.good.{topic}", f"lag.better.{topic}"}
    assert metrics.aside == {f"group bad of topic {topic}": "Kafka: group bad: not authorized"}
    report.watch(WatchedTopics(raw={topic}))
    assert not metrics.aside
    report.close()


def test_a_corrected_instance_file_begins_no_count_anew(kafka: str, unique: Callable[[str], str]) -> None:
    prefix = unique("own")
    report, told = ClusterReport((kafka,), WatchedTopics(raw={f"{prefix}-a"})), Told()
    for topic in ("a", "b", "c"):
        flow.produce(kafka, f"{prefix}-{topic}", range(5))
    report.send(told.send)
    flow.produce(kafka, f"{prefix}-a", range(7))
    report.watch(WatchedTopics(raw={f"{prefix}-a", f"{prefix}-b"}))
    report.send(told.send)
    flow.produce(kafka, f"{prefix}-b", range(2))
    report.send(told.send)
    assert told.counters[f"raw.{prefix}-a"] == 7
    assert told.counters[f"raw.{prefix}-b"] == 2
    report.close()


def test_what_statsd_did_not_take_is_told_again(kafka: str, unique: Callable[[str], str]) -> None:
    prefix = unique("own")
    what = WatchedTopics(
        valid={(f"{prefix}_", "")}, invalid={f"{prefix}_EventError"}, groups={("nobody", f"{prefix}_EchoMail")}
    )
    report, told = ClusterReport((kafka,), what), Told()
    report.send(told.send)
    flow.produce(kafka, f"{prefix}_EchoMail", range(30))
    # They do not say what schema the event was of that failed.
    flow.produce(kafka, f"{prefix}_EventError", range(7))

    def away(_counters: Counts, _gauges: Counts) -> None:
        raise RetryableError("statsd is away")

    with pytest.raises(RetryableError, match="statsd is away"):
        report.send(away)
    report.send(told.send)
    assert told.gauges == {f"lag.nobody.{prefix}_EchoMail": 0}
    assert told.counters == {
        "overall.valid": 30,
        "schema.EchoMail.valid": 30,
        "overall.invalid": 7,
        "schema.unknown.invalid": 7,
    }
    report.send(told.send)
    assert told.counters["overall.valid"] == 30
    report.close()
