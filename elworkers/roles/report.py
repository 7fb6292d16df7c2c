# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Collects what a reporter reports: counts by schema, and the lag of all groups."""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

from elworkers.config.arguments import Arguments
from elworkers.config.endpoints import brokers, consumer_group
from elworkers.config.options import ERROR_TOPIC
from elworkers.config.uris import Endpoint
from elworkers.connectors.connector import SinkEndpoint, SourceEndpoint
from elworkers.connectors.kafka import drivers
from elworkers.connectors.kafka.driver import Driver, Range, Reader
from elworkers.core.contracts import Destination, Metrics, TopicPartition
from elworkers.core.errors import RetryableError
from elworkers.monitoring.statsd import plain

Counts = Mapping[str, int]

_MOST_INVENTED = 1_000
"""Schemas in EventErrors that no valid event is of: anybody can name any, and statsd keeps each name for ever."""


@dataclass
class WatchedTopics:
    """The topics and groups of one Kafka cluster to count, by its instances.

    Attributes:
        raw: topics that processors read.
        valid: topic templates, split at `{schema}`, that they write valid events to.
        invalid: topics with EventErrors.
        groups: consumer group and topic of every instance that reads.
        reached_as: an input or output whose client and login reach the brokers; None: without either.
    """

    raw: set[str] = field(default_factory=set)
    valid: set[tuple[str, str]] = field(default_factory=set)
    invalid: set[str] = field(default_factory=set)
    groups: set[tuple[str, str]] = field(default_factory=set)
    reached_as: Endpoint | None = field(default=None, compare=False)


def watched(
    instances: Iterable[Arguments], reached_as: Sequence[Endpoint] = ()
) -> dict[tuple[str, ...], WatchedTopics]:
    """Return what there is to watch, by brokers.

    Args:
        instances: of all roles.
        reached_as: the reporter's own connections; one counts for the clusters whose brokers it names.
    """
    found: dict[tuple[str, ...], WatchedTopics] = {}

    def of(endpoint: SourceEndpoint | SinkEndpoint) -> WatchedTopics:
        hosts = tuple(endpoint.brokers)
        own = next((one for one in reached_as if set(brokers(one.uri)) & set(hosts)), None)
        return found.setdefault(hosts, WatchedTopics(reached_as=own or endpoint))

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
        for output in _kafka_sinks(arguments.endpoints["output"]):
            before, field_name, after = output.options["topic"].partition("{schema}")
            if field_name and "{" not in before + after:
                of(output).valid.add((before, after))
        if arguments["output_invalid"] is not None:
            for output in _kafka_sinks(arguments.endpoints.get("output_invalid") or arguments.endpoints["output"][:1]):
                of(output).invalid.add(output.options["topic"].replace("{schema}", "EventError"))
    return found


def _inputs(arguments: Arguments) -> Iterator[SourceEndpoint]:
    yield from (endpoint for endpoint in arguments.endpoints.get("input", ()) if endpoint.brokers)


def _kafka_sinks(outputs: Iterable[SinkEndpoint]) -> Iterator[SinkEndpoint]:
    yield from (endpoint for endpoint in outputs if endpoint.brokers)


class ClusterReport:
    """Reports counts and lags of one cluster; counting begins with the first report.

    A report asks each broker for the ends of all topics at once. What could not be sent, because Kafka or statsd was
    away, is sent the next time.

    Args:
        hosts: the brokers, each `host:port`.
        what: there is to count.
        metrics: where groups and partitions that cannot be read while all others can are set aside, if given.
    """

    def __init__(self, hosts: tuple[str, ...], what: WatchedTopics, metrics: Metrics | None = None) -> None:
        self._hosts = hosts
        self._what = what
        self._reader: Reader | None = None
        self._initial_partitions: frozenset[TopicPartition] | None = None
        self._seen: dict[TopicPartition, int] = {}
        self._counted: Counter[str] = Counter()
        self._repeated: Counter[Destination] = Counter()
        self._invented: set[str] = set()
        self._metrics = metrics
        self._aside: set[str] = set()

    def watch(self, what: WatchedTopics) -> None:
        """Watch this from now on; what was watched before and still is goes on being counted from where it was."""
        before, self._what = self._what.reached_as, what
        if what.reached_as != before:
            self.close()
        self._initial_partitions = None
        for aside in list(self._aside):
            self._resumed(aside)
        self._seen = {partition: offset for partition, offset in self._seen.items() if self._names(partition.topic)}

    def add_repeated(self, repeated: Mapping[Destination, int]) -> None:
        """Count messages that workers have written again, so that they are not counted as new; those of any cluster."""
        where = f"{','.join(sorted(self._hosts))}/"
        for destination, count in repeated.items():
            if destination.store.startswith(where):
                self._repeated[destination._replace(store=destination.store.removeprefix(where))] += count

    def send(self, send: Callable[[Counts, Counts], None]) -> None:
        """Collect counts and lags once, and send them.

        Args:
            send: takes counters to add to and gauges to set, by name.

        Raises:
            RetryableError: Kafka does not answer; and what `send` raises.
        """
        try:
            gauges = self._collect()
        except RetryableError:
            self.close()
            # What was counted before it failed is true all the same.
            if self._counted:
                send(self._counted, {})
                self._counted.clear()
            raise
        send(self._counted, gauges)
        self._counted.clear()

    def _driver(self) -> Driver:
        endpoint = self._what.reached_as
        return drivers.driver(self._hosts) if endpoint is None else drivers.driver_of(endpoint)

    def _collect(self) -> Counts:
        reader = self._reader = self._reader or self._driver().reader(self._hosts, reads_uncommitted=True)
        # Those with two underscores are Kafka's own.
        partitions = [partition for partition in reader.partitions() if not partition.topic.startswith("__")]
        if self._initial_partitions is None:
            self._initial_partitions = frozenset(partitions)
        names = {topic: self._names(topic) for topic in {partition.topic for partition in partitions}}
        read = {topic for _, topic in self._what.groups}
        ranges = reader.ranges([one for one in partitions if names[one.topic] or one.topic in read])
        errors: dict[TopicPartition, Range] = {}
        for partition, (begin, end) in ranges.items():
            before = min(end, self._seen.get(partition, end if partition in self._initial_partitions else 0))
            if partition.topic in self._what.invalid:
                self._seen[partition] = before
                errors[partition] = Range(max(before, begin), end)
                continue
            self._seen[partition] = end
            for name in names[partition.topic]:
                self._counted[name] += end - before
        self._count_errors(reader, errors, names)
        self._subtract_repeated(names)
        return self._lags(reader, ranges)

    def _subtract_repeated(self, names: Mapping[str, Sequence[str]]) -> None:
        """Count what was repeated as such: by the ends of topics it was counted as if it were new.

        A report between a message and the note that it is a repeated one counts it as new until the next report,
        which then counts less than nothing where nothing else has come.
        """
        counter_names = {name for each in names.values() for name in each}
        for (topic, schema), count in self._repeated.items():
            taken_from = list(names.get(topic, ()))
            if schema and "overall.invalid" in taken_from:
                taken_from.append(self._invalid(schema, counter_names))
            for name in taken_from:
                self._counted[name] -= count
                if name == "overall.raw":
                    self._counted["overall.raw_repeated"] += count
                elif not name.startswith("raw."):
                    self._counted[f"{name.rpartition('.')[0]}.repeated"] += count
        self._repeated.clear()

    def _names(self, topic: str) -> list[str]:
        """Return the counters that each message of a topic adds to."""
        found = ["overall.raw", f"raw.{plain(topic)}"] if topic in self._what.raw else []
        if topic in self._what.invalid:
            return [*found, "overall.invalid"]
        for before, after in self._what.valid if topic != ERROR_TOPIC else ():
            if topic.startswith(before) and topic.endswith(after) and len(topic) > len(before) + len(after):
                found += ["overall.valid", f"schema.{plain(topic[len(before) : len(topic) - len(after)])}.valid"]
        return found

    def _count_errors(
        self, reader: Reader, wanted: Mapping[TopicPartition, Range], names: Mapping[str, Sequence[str]]
    ) -> None:
        try:
            self._count(reader, wanted, names)
        except RetryableError:
            # One that cannot be read holds up those behind it; what was read of it stays counted.
            for partition, (begin, end) in wanted.items():
                with self._by_itself(f"topic {partition.topic}[{partition.partition}]"):
                    self._count(reader, {partition: Range(max(begin, self._seen[partition]), end)}, names)
        else:
            for partition in wanted:
                self._resumed(f"topic {partition.topic}[{partition.partition}]")

    @contextlib.contextmanager
    def _by_itself(self, what: str) -> Iterator[None]:
        """Set this aside where it fails, instead of everything."""
        try:
            yield
        except RetryableError as error:
            self._aside.add(what)
            if self._metrics is not None:
                self._metrics.set_aside(what, str(error))
        else:
            self._resumed(what)

    def _resumed(self, what: str) -> None:
        if what in self._aside:
            self._aside.discard(what)
            if self._metrics is not None:
                self._metrics.resumed(what)

    def _count(
        self, reader: Reader, wanted: Mapping[TopicPartition, Range], names: Mapping[str, Sequence[str]]
    ) -> None:
        counter_names = {name for each in names.values() for name in each}
        for fetched in reader.read(wanted):
            schemas = Counter(_schema_of(value or b"") for _, _, _, value in fetched.messages)
            for name in names[fetched.partition.topic]:
                self._counted[name] += schemas.total()
            for schema, count in schemas.items():
                self._counted[self._invalid(schema, counter_names)] += count
            self._seen[fetched.partition] = fetched.next

    def _invalid(self, schema: str, counter_names: Set[str]) -> str:
        """Return the counter of a schema's EventErrors; `other`, where there are too many that have no valid event."""
        level = f"schema.{plain(schema)}"
        if level not in self._invented and f"{level}.valid" not in counter_names:
            if len(self._invented) >= _MOST_INVENTED:
                return "schema.other.invalid"
            self._invented.add(level)
        return f"{level}.invalid"

    def _lags(self, reader: Reader, ranges: Mapping[TopicPartition, Range]) -> Counts:
        """Messages that each group has not committed yet; 0 where it has committed nothing at all."""
        found: dict[str, int] = {}
        for group, topic in self._what.groups:
            ends = {number: offsets.end for (name, number), offsets in ranges.items() if name == topic}
            with self._by_itself(f"group {group} of topic {topic}"):
                done = reader.committed(group, topic)
                lag = sum(max(0, ends.get(partition, offset) - offset) for partition, offset in done.items())
                found[f"lag.{plain(group)}.{plain(topic)}"] = lag
        return found

    def close(self) -> None:
        """Close the connections; the next report makes others."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None


def _schema_of(value: bytes) -> str:
    try:
        event: Mapping[str, Any] = json.loads(value)["event"]
        return str(event["schema"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return "unknown"
