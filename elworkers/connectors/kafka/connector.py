# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Declares `kafka:` URIs: topics as inputs and outputs."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from elworkers.config import endpoints
from elworkers.config.endpoints import check_brokers, consumer_group
from elworkers.config.kafka_clients import CONNECTION, check, connection
from elworkers.config.options import RAW, TRANSACTIONS
from elworkers.config.templates import template, topic_template
from elworkers.config.topic_plan import TopicPlan
from elworkers.config.types import (
    boolean,
    choice,
    constant,
    group,
    integer,
    offset_reset,
    pattern,
    unsupported,
    zookeeper,
)
from elworkers.config.uris import Endpoint, Option, Options
from elworkers.connectors.connector import Connector, SinkSpec, SourceSpec, Worker
from elworkers.connectors.kafka.drivers import check_settings
from elworkers.core.capabilities import OffsetStore
from elworkers.core.contracts import Sink, Source
from elworkers.core.errors import ConfigurationError

if TYPE_CHECKING:
    from elworkers.connectors.kafka.producer_protocol import Producer

_NO_TOPIC = "expected topic=NAME"
_NO_OUTPUT_TOPIC = (
    "expected topic=NAME; the original took topic=eventlogging_{schema} in 2015, and the event's own topic later, "
    "which is topic={topic} or topic={meta.topic}"
)

_PARTITIONS = Option(integer(1), None, "partitions of a topic that is created (default: the broker's)")
_REPLICATION = Option(integer(1), None, "replicas of a topic that is created (default: the broker's)")
_METADATA_AGE = Option(integer(1), 60_000, "longest time until new partitions are noticed, in ms")
_BLACKLIST = Option(pattern, None, "regular expression; events whose schema name matches are left out")

_PYTHON_ONLY = "cannot be set in a URI: its value is a Python object"

SOURCE_OPTIONS: Options = {
    "topic": Option(str, None, "topic to read"),
    "topics": Option(str, None, "topics to read, separated by commas"),
    "raw": RAW,
    "blacklist": _BLACKLIST,
    "identity": Option(group, None, "consumer group"),
    "consumer_group": Option(group, None, "consumer group (pykafka's name for identity)"),
    "partitions": _PARTITIONS,
    "replication": _REPLICATION,
    "metadata_max_age_ms": _METADATA_AGE,
    "transactions": TRANSACTIONS,
    "session_timeout_ms": Option(
        integer(1),
        30_000,
        "time without a heartbeat after which the group gives this consumer's partitions to others, in ms",
    ),
    "zookeeper_connect": Option(
        zookeeper, None, "ZooKeeper servers that manage the group, instead of Kafka: HOST:PORT,…[/CHROOT]"
    ),
    "zookeeper_hosts": Option(zookeeper, None, "same as zookeeper_connect (pykafka's newer name)"),
    "zookeeper_make_chroot": Option(
        boolean, True, "create the chroot (HOST:PORT/PATH) if it is missing; False: stop with an error"
    ),
    "zookeeper_connection_timeout_ms": Option(integer(0), 6_000, "longest wait for a connection to ZooKeeper, in ms"),
    "auto_commit_enable": Option(
        boolean, False, "commit at least every auto_commit_interval_ms; only what is stored is committed"
    ),
    "auto_commit_interval_ms": Option(
        integer(1), 60_000, "longest age of a batch in ms, if auto_commit_enable is True"
    ),
    "auto_offset_reset": Option(
        offset_reset, None, "where a group without committed offsets starts: earliest or latest (default: earliest)"
    ),
    "fetch_message_max_bytes": Option(
        integer(1),
        1024 * 1024,
        "largest number of bytes fetched from one partition at once; a single larger message is read too",
    ),
    "num_consumer_fetchers": Option(integer(1), 1, "number of fetch threads"),
    "queued_max_messages": Option(integer(1), 2_000, "messages per partition that are fetched ahead"),
    "fetch_min_bytes": Option(integer(1), 1, "number of bytes that the broker waits for before it answers a fetch"),
    "fetch_error_backoff_ms": Option(integer(1), 500, "wait after a failed fetch, in ms (librdkafka only)"),
    "fetch_wait_max_ms": Option(integer(0), 500, "longest time that the broker waits for fetch_min_bytes, in ms"),
    "offsets_channel_backoff_ms": Option(integer(1), 1_000, "wait before offsets are requested again, in ms"),
    "offsets_commit_max_retries": Option(integer(0), 5, "how often a commit is tried"),
    "consumer_timeout_ms": Option(integer(-1), -1, "accepted without effect; the program has time limits of its own"),
    "rebalance_max_retries": Option(integer(0), 5, "how often a rebalance is tried"),
    "rebalance_backoff_ms": Option(integer(1), 2_000, "wait between two tries of a rebalance, in ms"),
    "reset_offset_on_start": Option(boolean, False, "start at auto_offset_reset and ignore committed offsets"),
    "reset_offset_on_fetch": Option(boolean, True, "accepted without effect; committed offsets are always used"),
    "use_rdkafka": Option(
        boolean, False, "fetch with librdkafka (only groups in ZooKeeper, only if pykafka was built with it)"
    ),
    "compacted_topic": Option(boolean, True, "accept gaps between offsets, as in compacted topics"),
    "heartbeat_interval_ms": Option(integer(1), 3_000, "time between heartbeats to a group that Kafka manages, in ms"),
    "membership_protocol": Option(
        choice("range", "roundrobin"), "range", "how the group distributes partitions: range or roundrobin"
    ),
    "auto_start": Option(
        constant(True, "a consumer that is not started reads nothing"), True, "accepted for compatibility; must be True"
    ),
    "client_rack": Option(
        str,
        None,
        "where this worker is, as the brokers' broker.rack: reads from a replica there (confluent-kafka only)",
    ),
    "static_membership": Option(
        boolean,
        False,
        "a worker that is back within the group's session timeout finds its partitions as it left them, and until then"
        " nobody reads them (confluent-kafka only)",
    ),
    "zookeeper": Option(unsupported, None, _PYTHON_ONLY),
    "post_rebalance_callback": Option(unsupported, None, _PYTHON_ONLY),
    "deserializer": Option(unsupported, None, _PYTHON_ONLY),
    **CONNECTION,
}

_SINK_OPTIONS: Options = {
    "topic": Option(topic_template, None, "topic to write to; may name fields of the event, as eventlogging_{schema}"),
    "raw": RAW,
    "key": Option(template, None, "message key; may name fields of the event, as {schema}"),
    "producer": Option(
        choice("simple", "keyed"),
        None,
        "keyed: key is {schema}_{revision} unless key= is given; simple: no key (files of 2015)",
    ),
    "blacklist": _BLACKLIST,
    "async": Option(boolean, True, "send the next messages before the previous ones are acknowledged"),
    "partitions": _PARTITIONS,
    "replication": _REPLICATION,
    "compression": Option(
        choice("none", "gzip", "snappy", "lz4", "zstd"),
        "none",
        "compression of messages: none, gzip or snappy; also lz4 or zstd (confluent driver)",
    ),
    "required_acks": Option(
        choice("1", "-1", "all"), "-1", "who acknowledges a write: the leader (1) or all replicas (-1, all)"
    ),
    "ack_timeout_ms": Option(integer(1), 10_000, "longest time that the broker waits for its replicas, in ms"),
    "metadata_max_age_ms": _METADATA_AGE,
    "max_request_size": Option(integer(1_000), 900_000, "largest number of bytes sent to one partition at once"),
    "exactly_once": Option(
        boolean,
        False,
        "write each batch and commit its offsets in one transaction, with all other outputs of the instance",
    ),
    **CONNECTION,
}


def _check_client(endpoint: Endpoint) -> None:
    check_brokers(endpoint)
    check(endpoint.uri.client, endpoint.options)
    check_settings(endpoint)


def _check_source(endpoint: Endpoint) -> None:
    _check_client(endpoint)
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


def _with_key(endpoint: Endpoint) -> Mapping[str, Any]:
    """Return the options with the message key of the original's producers of 2015; a simple one had none."""
    options = endpoint.options
    if not options["topic"]:
        raise ConfigurationError(f"kafka URI: option topic is missing; {_NO_OUTPUT_TOPIC}")
    if options["producer"] is None:
        return options
    key = (options["key"] or "{schema}_{revision}") if options["producer"] == "keyed" else None
    return MappingProxyType({**options, "key": key})


def _required_fields(endpoint: Endpoint) -> frozenset[str]:
    from elworkers.config.templates import Template

    options = endpoint.options
    named = Template(options["topic"] + (options["key"] or "")).required_fields
    return named | {"schema"} if options["blacklist"] else named


def _check_route(endpoint: Endpoint, raw: bool) -> None:
    from elworkers.connectors.kafka.route import Route

    options = endpoint.options
    Route(options["topic"], options["key"], options["blacklist"], raw=raw or options["raw"])


def _brokers(endpoint: Endpoint) -> list[str]:
    return endpoints.brokers(endpoint.uri)


def _plan(endpoint: Endpoint, worker: Worker) -> TopicPlan:
    """Return the settings with which a topic of the endpoint is created where it is missing."""
    run_dir, options = os.environ.get("EVENTLOGGING_RUN_DIR"), endpoint.options
    own = options["partitions"] or worker.partitions, options["replication"]
    return TopicPlan(Path(run_dir) if run_dir else None, _brokers(endpoint), own)


def _source(endpoint: Endpoint, worker: Worker, offsets: OffsetStore | None) -> Source:
    from elworkers.connectors.kafka.drivers import driver_of
    from elworkers.connectors.kafka.source import KafkaSource

    group = consumer_group(endpoint, worker.sid)
    if group is None:
        raise ConfigurationError("kafka URI: no consumer group; expected identity=NAME in the URI or --sid NAME")
    plan, hosts, options = _plan(endpoint, worker), _brokers(endpoint), endpoint.options
    static_id = f"{worker.name}/{options['topic']}" if options["static_membership"] else None
    own: dict[str, Any] = {}
    if worker.transactional_id is None:
        own["kafka"] = driver_of(endpoint)
    else:
        from elworkers.connectors.kafka.exactly_once import transaction_of, transactional_driver

        own |= {"kafka": transactional_driver(endpoint), "transaction": transaction_of(worker)}
    return KafkaSource(hosts, options, group, worker.metrics, offsets, plan, static_id=static_id, **own)


def _sink(endpoint: Endpoint, worker: Worker, raw: bool) -> Sink:
    from elworkers.connectors.kafka.drivers import driver_of
    from elworkers.connectors.kafka.leaderless import LeaderlessPartitions
    from elworkers.connectors.kafka.producer_protocol import ProducerContext
    from elworkers.connectors.kafka.route import Route
    from elworkers.connectors.kafka.sink import KafkaSink, settings

    options, hosts = endpoint.options, _brokers(endpoint)
    route = Route(options["topic"], options["key"], options["blacklist"], raw=raw or options["raw"])
    producer_settings = settings(options, worker.partitions)
    context = ProducerContext(
        worker.metrics,
        worker.delivered,
        worker.process_state.setdefault("kafka topics", set()),
        worker.has_schema,
        worker.process_state.setdefault(("kafka leaderless", *hosts), LeaderlessPartitions(worker.metrics)),
        _plan(endpoint, worker),
    )
    producer: Producer | None
    if worker.transactional_id is not None:
        from elworkers.connectors.kafka.exactly_once import transaction_of, transactional_driver

        make = transactional_driver(endpoint).transactional_producer
        # What a transaction has written is seen as a whole or not at all: nothing of it was delivered before.
        arguments = hosts, producer_settings, worker.transactional_id, replace(context, delivered=None)
        producer = transaction_of(worker).with_producer(partial(make, *arguments))
    elif options["exactly_once"]:
        raise ConfigurationError(
            "kafka URI: option exactly_once=True: only outputs of a processor, multiplexer or forwarder have it"
        )
    else:
        key = ("kafka producer", *hosts, producer_settings, endpoint.uri.client, *sorted(connection(options).items()))
        producer = worker.pipeline_state.get(key)
        if producer is None:
            plain = driver_of(endpoint)
            producer = plain.producer(hosts, producer_settings, context)
            worker.pipeline_state[key] = producer
    if producer.wants_more not in worker.batch_size_hints:
        worker.batch_size_hints.append(producer.wants_more)
    return KafkaSink(hosts, options, route, producer, derived=not route.is_constant)


CONNECTORS = (
    Connector(
        "kafka",
        source=SourceSpec(
            SOURCE_OPTIONS,
            open=_source,
            check=_check_source,
            expand=_each_topic,
            brokers=_brokers,
            shared=True,
            side_by_side=True,
        ),
        sink=SinkSpec(
            _SINK_OPTIONS,
            open=_sink,
            check=_check_client,
            normalize=_with_key,
            required_fields=_required_fields,
            check_records=_check_route,
            brokers=_brokers,
        ),
    ),
)
