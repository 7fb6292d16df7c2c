# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""`kafka:` URIs: topics as inputs and outputs."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from elworkers.config import endpoints
from elworkers.config.endpoints import check_brokers, consumer_group
from elworkers.config.options import RAW, TRANSACTIONS
from elworkers.config.templates import template, topic_template
from elworkers.config.topic_plan import TopicPlan
from elworkers.config.types import boolean, group, not_in_text, offset_reset, only, pattern, whole, words, zookeeper
from elworkers.config.uris import Endpoint, Option, Options
from elworkers.connectors.connector import Connector, SinkSpec, SourceSpec, Worker
from elworkers.core.contracts import OffsetStore, Sink, Source
from elworkers.core.errors import ConfigurationError

_NO_TOPIC = "expected topic=NAME"
_NO_OUTPUT_TOPIC = (
    "expected topic=NAME; the original took topic=eventlogging_{schema} in 2015, and the event's own topic later, "
    "which is topic={topic} or topic={meta.topic}"
)

_PARTITIONS = Option(whole(1), None, "partitions of a topic that has to be created (default: the broker's)")
_REPLICATION = Option(whole(1), None, "replicas of a topic that has to be created (default: the broker's)")
_METADATA_AGE = Option(whole(1), 60_000, "how soon partitions that were added are noticed")
_BLACKLIST = Option(pattern, None, "events whose schema matches are left out")

_SOURCE_OPTIONS: Options = {
    "topic": Option(str, None, "topic"),
    "topics": Option(str, None, "several, with commas between them, that one group reads"),
    "raw": RAW,
    "blacklist": _BLACKLIST,
    "identity": Option(group, None, "consumer group"),
    "consumer_group": Option(group, None, "consumer group (pykafka's name for identity)"),
    "partitions": _PARTITIONS,
    "replication": _REPLICATION,
    "metadata_max_age_ms": _METADATA_AGE,
    "transactions": TRANSACTIONS,
    "session_timeout_ms": Option(whole(1), 30_000, "the group gives this consumer's partitions away after this"),
    "zookeeper_connect": Option(
        zookeeper, None, "ZooKeeper servers that manage the group, instead of Kafka: HOST:PORT,…[/CHROOT]"
    ),
    "zookeeper_hosts": Option(zookeeper, None, "the same by its newer name"),
    "zookeeper_make_chroot": Option(boolean, True, "False: a chroot (HOST:PORT/PATH) that is missing is an error"),
    "zookeeper_connection_timeout_ms": Option(whole(0), 6_000, "longest wait for ZooKeeper"),
    "auto_commit_enable": Option(boolean, False, "commit at least every auto_commit_interval_ms, never unflushed"),
    "auto_commit_interval_ms": Option(whole(1), 60_000, "bounds a batch's age where auto_commit_enable is True"),
    "auto_offset_reset": Option(offset_reset, None, "where a group without offsets starts (default: earliest)"),
    "fetch_message_max_bytes": Option(
        whole(1), 1024 * 1024, "bytes of one partition in a fetch, unless one message is larger"
    ),
    "num_consumer_fetchers": Option(whole(1), 1, "fetch threads"),
    "queued_max_messages": Option(whole(1), 2_000, "messages held per partition ahead of use"),
    "fetch_min_bytes": Option(whole(1), 1, "bytes the broker waits for"),
    "fetch_error_backoff_ms": Option(whole(1), 500, "wait after a failed fetch (librdkafka only)"),
    "fetch_wait_max_ms": Option(whole(0), 500, "longest wait of the broker for fetch_min_bytes"),
    "offsets_channel_backoff_ms": Option(whole(1), 1_000, "wait before offsets are asked for again"),
    "offsets_commit_max_retries": Option(whole(0), 5, "tries of a commit"),
    "consumer_timeout_ms": Option(whole(-1), -1, "accepted; the loop has its own, finite waits"),
    "rebalance_max_retries": Option(whole(0), 5, "tries of a rebalance"),
    "rebalance_backoff_ms": Option(whole(1), 2_000, "wait between two tries of a rebalance"),
    "reset_offset_on_start": Option(boolean, False, "start at auto_offset_reset whatever was committed"),
    "reset_offset_on_fetch": Option(boolean, True, "accepted; offsets are always taken over when fetched"),
    "use_rdkafka": Option(boolean, False, "fetch with librdkafka (ZooKeeper groups, where the extension is built)"),
    "compacted_topic": Option(boolean, True, "offsets may have holes"),
    "heartbeat_interval_ms": Option(whole(1), 3_000, "time between heartbeats of a group managed by Kafka"),
    "membership_protocol": Option(words("range", "roundrobin"), "range", "how partitions are shared out"),
    "auto_start": Option(only(True, "a consumer that is not started reads nothing"), True, "accepted"),
    "zookeeper": Option(not_in_text, None, "no text"),
    "post_rebalance_callback": Option(not_in_text, None, "no text"),
    "deserializer": Option(not_in_text, None, "no text"),
}

_SINK_OPTIONS: Options = {
    "topic": Option(topic_template, None, "topic, a format string over the event"),
    "raw": RAW,
    "key": Option(template, None, "message key, a format string over the event"),
    "producer": Option(
        words("simple", "keyed"), None, "of 2015; keyed: key={schema}_{revision} where there is none; simple: no key"
    ),
    "blacklist": _BLACKLIST,
    "async": Option(boolean, True, "False: wait for the acknowledgement of each message"),
    "partitions": _PARTITIONS,
    "replication": _REPLICATION,
    "compression": Option(words("none", "gzip", "snappy"), "none", "compression of message sets"),
    "required_acks": Option(words("1", "-1", "all"), "-1", "acknowledgement by the leader (1) or all replicas (-1)"),
    "ack_timeout_ms": Option(whole(1), 10_000, "longest wait of the broker for its replicas"),
    "metadata_max_age_ms": _METADATA_AGE,
    "max_request_size": Option(whole(1_000), 900_000, "bytes of one partition in one produce request"),
}


def _check_source(endpoint: Endpoint) -> None:
    check_brokers(endpoint)
    named = {endpoint.options["identity"], endpoint.options["consumer_group"]} - {None}
    if len(named) > 1:
        raise ConfigurationError(f"kafka URI: identity and consumer_group name different groups: {sorted(named)}")
    if endpoint.options["use_rdkafka"] and not (
        endpoint.options["zookeeper_connect"] or endpoint.options["zookeeper_hosts"]
    ):
        raise ConfigurationError(
            "kafka URI: option use_rdkafka=True; pykafka has it only for groups managed by ZooKeeper"
            " (zookeeper_connect=HOST:PORT), not for those managed by Kafka"
        )


def _each_topic(endpoint: Endpoint) -> Sequence[Mapping[str, Any]]:
    # As in the original, of which one client took both, and the other only the plural.
    option = "topics" if endpoint.options["topics"] else "topic"
    if not endpoint.options[option]:
        raise ConfigurationError(f"kafka URI: option topic is missing; {_NO_TOPIC}")
    names = dict.fromkeys(name.strip() for name in endpoint.options[option].split(","))
    for name in names:
        if not re.fullmatch(r"[A-Za-z0-9._-]{1,249}", name):
            expected = "expected the name of one topic, or several with commas between them"
            raise ConfigurationError(f"kafka URI: option {option}={endpoint.options[option]!r}; {expected}")
    return [MappingProxyType({**endpoint.options, "topic": name}) for name in names]


def _keyed(endpoint: Endpoint) -> Mapping[str, Any]:
    """With the key that the original's producers of 2015 gave messages; a simple one gave them none."""
    options = endpoint.options
    if not options["topic"]:
        raise ConfigurationError(f"kafka URI: option topic is missing; {_NO_OUTPUT_TOPIC}")
    if options["producer"] is None:
        return options
    key = (options["key"] or "{schema}_{revision}") if options["producer"] == "keyed" else None
    return MappingProxyType({**options, "key": key})


def _asks(endpoint: Endpoint) -> frozenset[str]:
    from elworkers.config.templates import Template

    options = endpoint.options
    named = Template(options["topic"] + (options["key"] or "")).asks
    return named | {"schema"} if options["blacklist"] else named


def _check_route(endpoint: Endpoint, raw: bool) -> None:
    from elworkers.connectors.kafka.route import Route

    options = endpoint.options
    Route(options["topic"], options["key"], options["blacklist"], raw=raw or options["raw"])


def _brokers(endpoint: Endpoint) -> list[str]:
    return endpoints.brokers(endpoint.uri)


def _plan(endpoint: Endpoint, worker: Worker) -> TopicPlan:
    """How a topic of the endpoint is made where it is not there."""
    run_dir, options = os.environ.get("EVENTLOGGING_RUN_DIR"), endpoint.options
    own = options["partitions"] or worker.partitions, options["replication"]
    return TopicPlan(Path(run_dir) if run_dir else None, _brokers(endpoint), own)


def _source(endpoint: Endpoint, worker: Worker, offsets: OffsetStore | None) -> Source:
    from elworkers.connectors.kafka.source import KafkaSource

    group = consumer_group(endpoint, worker.sid)
    if group is None:
        raise ConfigurationError("kafka URI: no consumer group; expected identity=NAME in the URI or --sid NAME")
    plan = _plan(endpoint, worker)
    return KafkaSource(_brokers(endpoint), endpoint.options, group, worker.metrics, offsets, plan)


def _sink(endpoint: Endpoint, worker: Worker, raw: bool) -> Sink:
    from elworkers.connectors.kafka.drivers import driver
    from elworkers.connectors.kafka.leaderless import LeaderlessPartitions
    from elworkers.connectors.kafka.route import Route
    from elworkers.connectors.kafka.sink import KafkaSink, settings

    options, hosts = endpoint.options, _brokers(endpoint)
    route = Route(options["topic"], options["key"], options["blacklist"], raw=raw or options["raw"])
    how = settings(options, worker.partitions)
    key = ("kafka producer", *hosts, how)
    producer = worker.of_pipeline.get(key)
    if producer is None:
        producer = worker.of_pipeline[key] = driver().producer(
            hosts,
            how,
            metrics=worker.metrics,
            delivered=worker.delivered,
            used=worker.of_process.setdefault("kafka topics", set()),
            has_schema=worker.has_schema,
            unled=worker.of_process.setdefault(("kafka unled", *hosts), LeaderlessPartitions(worker.metrics)),
            plan=_plan(endpoint, worker),
        )
        worker.unfinished.append(producer.wants_more)
    return KafkaSink(hosts, options, route, producer, made=not route.is_plain)


CONNECTORS = (
    Connector(
        "kafka",
        source=SourceSpec(
            _SOURCE_OPTIONS,
            open=_source,
            check=_check_source,
            each=_each_topic,
            brokers=_brokers,
            shared=True,
            side_by_side=True,
        ),
        sink=SinkSpec(
            _SINK_OPTIONS,
            open=_sink,
            check=check_brokers,
            complete=_keyed,
            asks=_asks,
            check_records=_check_route,
            brokers=_brokers,
        ),
    ),
)
