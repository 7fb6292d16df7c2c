"""The instances come in; what a reporter watches, and the counts and lags it finds there, go out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from elworkers.arguments import Arguments
from elworkers.kafka import client, offsets, topics
from elworkers.roles.wiring import ERROR_TOPIC, brokers
from elworkers.schemes import check_sink, check_source, consumer_group
from elworkers.statsd import plain
from elworkers.uris import Endpoint

Counts = dict[str, int]


@dataclass
class Watched:
    """What the instances of one Kafka cluster say there is to count.

    Attributes:
        raw: topics that processors read.
        valid: topic templates, split at `{schema}`, that they write valid events to.
        invalid: topics with EventErrors.
        groups: consumer group and topic of every instance that reads.
    """

    raw: set[str] = field(default_factory=set)
    valid: set[tuple[str, str]] = field(default_factory=set)
    invalid: set[str] = field(default_factory=set)
    groups: set[tuple[str, str]] = field(default_factory=set)


def watched(instances: Iterable[Arguments]) -> dict[tuple[str, ...], Watched]:
    """What there is to watch, by brokers."""
    found: dict[tuple[str, ...], Watched] = {}

    def of(endpoint: Endpoint) -> Watched:
        return found.setdefault(tuple(brokers(endpoint.uri)), Watched())

    for arguments in instances:
        for endpoint in _inputs(arguments):
            group = consumer_group(endpoint, arguments["sid"])
            topic = endpoint.options["topic"]
            if group is not None:
                of(endpoint).groups.add((group, topic))
            if arguments.role == "processor":
                of(endpoint).raw.add(topic)
        if arguments.role != "processor":
            continue
        for endpoint in _kafka_sinks(arguments["output"]):
            before, field_name, after = endpoint.options["topic"].partition("{schema}")
            if field_name and "{" not in before + after:
                of(endpoint).valid.add((before, after))
        invalid = arguments["output_invalid"]
        if invalid is not None:
            for endpoint in _kafka_sinks([invalid or arguments["output"][0]]):
                of(endpoint).invalid.add(endpoint.options["topic"].replace("{schema}", "EventError"))
    return found


def _inputs(arguments: Arguments) -> Iterator[Endpoint]:
    texts = arguments.values.get("input", ())
    for text in [texts] if isinstance(texts, str) else texts:
        endpoint = check_source(text)
        if endpoint.uri.scheme == "kafka":
            yield endpoint


def _kafka_sinks(texts: Iterable[str]) -> Iterator[Endpoint]:
    for text in texts:
        endpoint = check_sink(text)
        if endpoint.uri.scheme == "kafka":
            yield endpoint


class ClusterReport:
    """Counts of one cluster since the last look; the first look is where counting begins.

    Raises:
        RetryableError: Kafka does not answer.
    """

    def __init__(self, hosts: tuple[str, ...], what: Watched) -> None:
        self._what = what
        self._cluster: Any = client.connect(hosts)
        self._seen: dict[str, dict[int, int]] = {}
        self._tails: dict[str, offsets.Tail] = {}
        self._begun = False
        self._look()
        self._begun = True

    def counts(self) -> tuple[Counts, Counts]:
        """Counters to add to and gauges to set, by name.

        Raises:
            RetryableError: Kafka does not answer.
        """
        counters = self._look()
        gauges = {f"lag.{plain(group)}.{plain(topic)}": self._lag(group, topic) for group, topic in self._what.groups}
        return counters, gauges

    def _lag(self, group: str, topic: str) -> int:
        return offsets.lag(self._cluster, group, topic)

    def _look(self) -> Counts:
        counters: Counts = {"overall.raw": 0, "overall.valid": 0, "overall.invalid": 0}
        there = topics.names(self._cluster)
        for topic in sorted(self._what.raw & set(there)):
            count = self._new(topic)
            counters["overall.raw"] += count
            counters[f"raw.{plain(topic)}"] = count
        for topic, schema in self._schema_topics(there):
            count = self._new(topic)
            counters["overall.valid"] += count
            counters[f"schema.{plain(schema)}.valid"] = count
        for topic in sorted(self._what.invalid & set(there)):
            self._invalid(topic, counters)
        return counters

    def _schema_topics(self, there: Iterable[str]) -> Iterator[tuple[str, str]]:
        for topic in there:
            if topic in self._what.invalid or topic == ERROR_TOPIC:
                continue
            for before, after in self._what.valid:
                if topic.startswith(before) and topic.endswith(after) and len(topic) > len(before) + len(after):
                    yield topic, topic[len(before) : len(topic) - len(after)]

    def _new(self, topic: str) -> int:
        now = offsets.ends(self._cluster, topic)
        # A topic that was not there at the last look has been filled since; at the first look nothing has.
        before = self._seen.get(topic, {} if self._begun else now)
        self._seen[topic] = now
        return sum(max(0, end - before.get(partition, 0)) for partition, end in now.items())

    def _invalid(self, topic: str, counters: Counts) -> None:
        if topic not in self._tails:
            self._tails[topic] = offsets.Tail(self._cluster, topic, from_beginning=self._begun)

        def take(value: bytes) -> None:
            name = f"schema.{plain(_schema_of(value))}.invalid"
            counters[name] = counters.get(name, 0) + 1

        counters["overall.invalid"] += self._tails[topic].read(take)

    def close(self) -> None:
        """Stop reading."""
        for tail in self._tails.values():
            tail.close()


def _schema_of(value: bytes) -> str:
    try:
        event: Mapping[str, Any] = json.loads(value)["event"]
        return str(event["schema"])
    except (ValueError, KeyError, TypeError):
        return "unknown"
