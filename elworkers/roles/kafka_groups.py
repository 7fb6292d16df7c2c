# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Checks instances together: the Kafka client of a group's members, and who reads topics that have transactions.

Two clients cannot share a consumer group: brokers refuse the second one's members. pykafka cannot tell messages of
aborted transactions from others, so its readers would stand still.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from elworkers.config.argument_files import Argument, Environment
from elworkers.config.arguments import Arguments
from elworkers.config.endpoints import brokers, consumer_group
from elworkers.config.inherited import CONFLUENT, PYKAFKA
from elworkers.config.kafka_clients import VARIABLE, named, prefers_confluent
from elworkers.config.options import ERROR_TOPIC, READ_UNCOMMITTED
from elworkers.config.topic_plan import matches
from elworkers.config.uris import Endpoint
from elworkers.connectors.connector import SinkEndpoint, SourceEndpoint
from elworkers.core.errors import ConfigurationError
from elworkers.roles.exactly_once import is_exactly_once


class _Reader(NamedTuple):
    """An input of an instance.

    Attributes:
        title: `role/name`.
        hosts: the brokers, each `host:port`.
        group: None for an importer's.
        topic: its name, or an importer's pattern of names.
        client: that it has whatever the brokers are; empty: they decide.
        refuses: whether it does not read messages that may have been aborted.
        is_static: whether its members keep their names, and their partitions, over a restart.
    """

    title: str
    location: Argument
    hosts: frozenset[str]
    group: str | None
    topic: str
    client: str
    refuses: bool
    is_static: bool


class _Written(NamedTuple):
    """A topic, or a template of names, that an instance writes to in transactions."""

    title: str
    hosts: frozenset[str]
    topic: str


def conflicts(instances: Mapping[str, Arguments], env: Environment) -> dict[str, ConfigurationError]:
    """Return the instances that cannot run beside those before them, and why.

    Args:
        instances: by their `role/name`, in the order in which they are started.
        env: may name the Kafka client.
    """
    readers = [reader for title, arguments in instances.items() for reader in _readers(title, arguments, env)]
    found: dict[str, ConfigurationError] = {}
    written = [one for title, arguments in instances.items() for one in _written(title, arguments)]
    for number, reader in enumerate(readers):
        before = readers[:number]
        why = _of_group(reader, before) or _of_static_members(reader, before) or _of_transactions(reader, written)
        if why:
            found.setdefault(reader.title, reader.location.error(why))
    return found


def _of_group(reader: _Reader, before: Sequence[_Reader]) -> str:
    for other in before:
        same_group = reader.group is not None and reader.group == other.group and reader.hosts & other.hosts
        if same_group and {reader.client, other.client} == {PYKAFKA, CONFLUENT}:
            return (
                f"kafka URI: {other.title} reads as group {reader.group} with {other.client}, and this with"
                f" {reader.client}; the two cannot share a group, expected the same client"
            )
    return ""


def _of_static_members(reader: _Reader, before: Iterable[_Reader]) -> str:
    for other in before:
        if reader.is_static and other.is_static and reader.hosts & other.hosts and _is_same_input(reader, other):
            return (
                f"kafka URI: option static_membership=True: the instance reads {reader.topic} as group {reader.group}"
                " twice, and the second static member of a name shuts the first out; expected one such input"
            )
    return ""


def _is_same_input(one: _Reader, other: _Reader) -> bool:
    return (one.title, one.group, one.topic) == (other.title, other.group, other.topic)


def _of_transactions(reader: _Reader, written: Iterable[_Written]) -> str:
    for one in written:
        if reader.client != CONFLUENT and reader.refuses and reader.hosts & one.hosts and _reads(reader, one.topic):
            pykafka = (
                PYKAFKA if reader.client else f"{PYKAFKA}, which reads here unless the brokers are too new for it,"
            )
            return (
                f"kafka URI: {one.title} writes to {one.topic} with exactly_once=True, and {pykafka} cannot tell which"
                f" messages of transactions count; expected kafka-confluent:, or {VARIABLE}={CONFLUENT}"
            )
    return ""


def _reads(reader: _Reader, written: str) -> bool:
    if reader.group is not None:
        return matches(written, reader.topic)
    # A template stands for any name: one is as good as another.
    return re.fullmatch(reader.topic, re.sub(r"\{[^{}]*\}", "Any", written)) is not None


def _readers(title: str, arguments: Arguments, env: Environment) -> Iterator[_Reader]:
    transactional = is_exactly_once(arguments)
    for name in ("input", "kafka"):
        endpoints = zip(arguments.endpoints.get(name, ()), arguments.places.get(name, ()), strict=True)
        for endpoint, location in endpoints:
            hosts = endpoint.brokers if isinstance(endpoint, SourceEndpoint) else brokers(endpoint.uri)
            if hosts:
                client = named(endpoint.uri.client, env) or _sure(endpoint, transactional=transactional)
                group = consumer_group(endpoint, arguments.values.get("sid")) if name == "input" else None
                topic = endpoint.options["topic"] if name == "input" else endpoint.options["topics"]
                refuses = endpoint.options.get("transactions") != READ_UNCOMMITTED
                is_static = bool(endpoint.options.get("static_membership"))
                yield _Reader(title, location, frozenset(hosts), group, topic, client, refuses, is_static)


def _sure(endpoint: Endpoint, *, transactional: bool) -> str:
    return CONFLUENT if transactional or prefers_confluent(endpoint.options) else ""


def _written(title: str, arguments: Arguments) -> Iterator[_Written]:
    if not is_exactly_once(arguments):
        return
    for name in ("output", "output_invalid"):
        for endpoint in arguments.endpoints.get(name, ()):
            if isinstance(endpoint, SinkEndpoint) and endpoint.brokers:
                yield _Written(title, frozenset(endpoint.brokers), endpoint.options["topic"])
    # Records that an output refuses go to the topic of EventErrors, whatever --output-invalid names.
    for source in arguments.endpoints["input"]:
        yield _Written(title, frozenset(source.brokers), ERROR_TOPIC)
