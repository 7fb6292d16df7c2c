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
from elworkers.config.kafka_clients import check, connection
from elworkers.config.topic_plan import TopicPlan
from elworkers.config.uris import Endpoint
from elworkers.connectors.connector import Connector, SinkSpec, SourceSpec, Worker
from elworkers.connectors.kafka.drivers import check_settings
from elworkers.connectors.kafka.uri_options import SINK_OPTIONS, SOURCE_OPTIONS
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
            SINK_OPTIONS,
            open=_sink,
            check=_check_client,
            normalize=_with_key,
            required_fields=_required_fields,
            check_records=_check_route,
            brokers=_brokers,
        ),
    ),
)
