# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""What a reporter tells statsd of a cluster, without a broker."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from types import SimpleNamespace

import pytest
from memorycluster import MemoryCluster

from elworkers.config.arguments import Argument, Arguments
from elworkers.connectors.kafka import drivers
from elworkers.core.contracts import Destination, TopicPartition
from elworkers.core.errors import RetryableError
from elworkers.core.metrics import Counters
from elworkers.roles import report
from elworkers.roles.report import ClusterReport, WatchedTopics, watched
from elworkers.roles.validate import check_arguments

HOSTS = ("k1:9092", "k2:9092")
WHAT = WatchedTopics(
    raw={"raw"}, valid={("eventlogging_", "")}, invalid={"eventlogging_EventError"}, groups={("group", "raw")}
)


def arguments(role: str, *words: str) -> Arguments:
    return check_arguments(role, [Argument(word) for word in words], {})


def error(schema: str) -> bytes:
    return json.dumps({"schema": "EventError", "event": {"schema": schema}}).encode()


class Watch:
    """A report of a cluster in memory.

    Attributes:
        told: counters by name, all of them together; gauges as they were last.
    """

    def __init__(self, what: WatchedTopics = WHAT) -> None:
        self.cluster = MemoryCluster()
        self.metrics = Counters()
        self.report = ClusterReport(HOSTS, what, self.metrics)
        self.counters: Counter[str] = Counter()
        self.gauges: dict[str, int] = {}

    def send(self) -> None:
        def send(counters: report.Counts, gauges: report.Counts) -> None:
            self.counters.update(counters)
            self.gauges.update(gauges)

        self.report.send(send)

    def told(self) -> dict[str, int]:
        return {name: count for name, count in self.counters.items() if count}


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    made = Watch()
    monkeypatch.setattr(drivers, "driver", lambda *_: SimpleNamespace(reader=lambda *_, **__: made.cluster.reader()))
    return made


def fill(watch: Watch, topics: Sequence[str] = ("raw", "eventlogging_Edit", "eventlogging_EventError")) -> None:
    for topic in topics:
        watch.cluster.add(topic, [])


def test_counting_begins_at_the_first_look(watch: Watch) -> None:
    watch.cluster.add("raw", [b"before"] * 5)
    watch.cluster.add("eventlogging_Edit", [b"{}"] * 3)
    watch.send()
    assert watch.told() == {}
    watch.cluster.add("raw", [b"new"] * 4)
    watch.cluster.add("eventlogging_Edit", [b"{}"] * 2)
    watch.send()
    assert watch.told() == {"overall.raw": 4, "raw.raw": 4, "overall.valid": 2, "schema.Edit.valid": 2}


def test_a_topic_that_is_new_is_counted_from_its_beginning(watch: Watch) -> None:
    fill(watch, ["raw"])
    watch.send()
    watch.cluster.add("eventlogging_New", [b"{}"] * 3)
    watch.cluster.add("__consumer_offsets", [b"{}"] * 9)
    watch.cluster.add("of_somebody_else", [b"{}"] * 9)
    watch.send()
    assert watch.told() == {"overall.valid": 3, "schema.New.valid": 3}


def test_event_errors_are_counted_by_the_schema_that_they_are_of(watch: Watch) -> None:
    fill(watch)
    watch.send()
    watch.cluster.add("eventlogging_EventError", [error("Edit"), error("Edit"), error("Other"), b"no json", b"{}"])
    watch.send()
    assert watch.told() == {
        "overall.invalid": 5,
        "schema.Edit.invalid": 2,
        "schema.Other.invalid": 1,
        "schema.unknown.invalid": 2,
    }


def test_names_that_anybody_can_invent_have_an_end(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "_MOST_INVENTED", 2)
    fill(watch)
    watch.send()
    names = ["Edit", "a", "b", "c", "d", "a"]
    watch.cluster.add("eventlogging_EventError", [error(name) for name in names])
    watch.send()
    found = {name: count for name, count in watch.told().items() if name.startswith("schema")}
    assert found == {
        "schema.Edit.invalid": 1,
        "schema.a.invalid": 2,
        "schema.b.invalid": 1,
        "schema.other.invalid": 2,
    }


def test_the_lag_of_a_group_is_what_it_has_not_committed(watch: Watch) -> None:
    watch.cluster.add("raw", [b""] * 5)
    watch.cluster.add("raw", [b""] * 3, partition=1)
    watch.send()
    assert watch.gauges == {"lag.group.raw": 0}
    watch.cluster.commit("group", "raw", {0: 1, 1: 3})
    watch.send()
    assert watch.gauges == {"lag.group.raw": 4}
    # A topic that was made again is shorter than what is committed.
    watch.cluster.commit("group", "raw", {0: 99, 1: 1})
    watch.send()
    assert watch.gauges == {"lag.group.raw": 2}


def test_what_was_written_again_is_not_counted_as_new(watch: Watch) -> None:
    fill(watch)
    watch.send()
    watch.cluster.add("raw", [b""] * 5)
    watch.cluster.add("eventlogging_Edit", [b"{}"] * 4)
    here = ",".join(sorted(HOSTS))
    watch.report.add_repeated(
        {
            Destination(f"{here}/raw"): 2,
            Destination(f"{here}/eventlogging_Edit"): 1,
            Destination("elsewhere:9092/raw"): 100,
        }
    )
    watch.send()
    assert watch.told() == {
        "overall.raw": 3,
        "raw.raw": 3,
        "overall.raw_repeated": 2,
        "overall.valid": 3,
        "overall.repeated": 1,
        "schema.Edit.valid": 3,
        "schema.Edit.repeated": 1,
    }


@pytest.mark.parametrize("question", ["partitions", "ranges"])
def test_what_could_not_be_told_is_told_the_next_time(watch: Watch, question: str) -> None:
    fill(watch, ["raw"])
    watch.send()
    watch.cluster.add("raw", [b""] * 5)
    watch.cluster.broker.away = {question}
    with pytest.raises(RetryableError):
        watch.send()
    watch.cluster.broker.away = set()
    watch.cluster.add("raw", [b""] * 2)
    watch.send()
    assert watch.told() == {"overall.raw": 7, "raw.raw": 7}
    # Over a connection of its own.
    assert len(watch.cluster.readers) == 2


def test_what_statsd_did_not_take_is_sent_again(watch: Watch) -> None:
    fill(watch, ["raw"])
    watch.send()
    watch.cluster.add("raw", [b""] * 5)

    def away(_counters: report.Counts, _gauges: report.Counts) -> None:
        raise RetryableError("statsd is away")

    with pytest.raises(RetryableError):
        watch.report.send(away)
    watch.send()
    assert watch.told() == {"overall.raw": 5, "raw.raw": 5}


def test_a_group_that_cannot_be_asked_silences_nothing_else(watch: Watch) -> None:
    watch.report.watch(WatchedTopics(raw={"raw"}, groups={("broken", "raw"), ("fine", "raw")}))
    watch.cluster.add("raw", [b""] * 5)
    watch.cluster.commit("fine", "raw", {0: 1})
    watch.cluster.broker.away = {"committed broken"}
    watch.send()
    assert watch.gauges == {"lag.fine.raw": 4}
    assert list(watch.metrics.aside) == ["group broken of topic raw"]
    watch.cluster.broker.away = set()
    watch.cluster.commit("broken", "raw", {0: 0})
    watch.send()
    assert watch.gauges == {"lag.fine.raw": 4, "lag.broken.raw": 5}
    assert not watch.metrics.aside


def test_event_errors_that_cannot_be_read_hold_up_no_lag(watch: Watch) -> None:
    fill(watch)
    watch.send()
    watch.cluster.add("eventlogging_EventError", [error("Edit")])
    watch.cluster.add("raw", [b""] * 2)
    watch.cluster.broker.away = {"messages"}
    watch.send()
    assert watch.told() == {"overall.raw": 2, "raw.raw": 2}
    assert list(watch.metrics.aside) == ["topic eventlogging_EventError[0]"]
    watch.cluster.broker.away = set()
    watch.send()
    assert watch.told()["schema.Edit.invalid"] == 1
    assert not watch.metrics.aside


def test_what_is_still_watched_goes_on_from_where_it_was(watch: Watch) -> None:
    fill(watch)
    watch.send()
    watch.cluster.add("raw", [b""] * 5)
    watch.cluster.add("eventlogging_Edit", [b"{}"] * 5)
    watch.report.watch(WatchedTopics(raw={"raw"}))
    watch.send()
    assert watch.told() == {"overall.raw": 5, "raw.raw": 5}


def test_a_log_that_was_cut_counts_nothing_twice(watch: Watch) -> None:
    where = watch.cluster.add("eventlogging_EventError", [error("Edit")] * 4)
    watch.send()
    watch.cluster.add("eventlogging_EventError", [error("Edit")] * 4)
    watch.cluster.broker.expire(where, 6)
    watch.send()
    assert watch.told() == {"overall.invalid": 2, "schema.Edit.invalid": 2}
    assert where == TopicPartition("eventlogging_EventError", 0)


def test_what_there_is_to_watch_is_read_from_the_instances() -> None:
    found = watched(
        [
            arguments(
                "processor",
                "%q",
                "kafka:///k1:9092,k2:9092?topic=raw&identity=p",
                "kafka:///k1:9092,k2:9092?topic=eventlogging_{schema}",
                "--output-invalid",
            ),
            arguments("consumer", "kafka:///k1:9092,k2:9092?topic=mixed&identity=c", "stdout:"),
            arguments("consumer", "kafka:///other:9092?topic=mixed", "stdout:", "--sid=d"),
            arguments("consumer", "stdin:?raw=True", "stdout:"),
        ]
    )
    assert found == {
        ("k1:9092", "k2:9092"): WatchedTopics(
            raw={"raw"},
            valid={("eventlogging_", "")},
            invalid={"eventlogging_EventError"},
            groups={("p", "raw"), ("c", "mixed")},
        ),
        ("other:9092",): WatchedTopics(groups={("d", "mixed")}),
    }
