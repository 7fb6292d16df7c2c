# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Checks URIs of Kafka, and what an importer reads, without opening anything.

Nothing heavy is imported here: `eventlogging-init` and `eventloggingctl` check hundreds of instance files with it.
"""

from __future__ import annotations

from elworkers.config import kafka_clients
from elworkers.config.inherited import KAFKA_SECURITY
from elworkers.config.options import KAFKA_PORT, KAFKA_TOPICS
from elworkers.config.uris import Endpoint, Uri, parse, split_host, typed, unknown_scheme
from elworkers.core.errors import ConfigurationError


def check_topics(text: str) -> Endpoint:
    """Return the brokers and topics of an importer, with typed options.

    Raises:
        ConfigurationError: names the option and what was expected.
    """
    uri = unwrapped(text, "a consumer of these topics, which takes functions")
    if uri.scheme != "kafka":
        raise unknown_scheme(uri, ("kafka",), "input of an importer")
    endpoint = typed(uri, {**KAFKA_TOPICS, **kafka_clients.CONNECTION}, KAFKA_SECURITY)
    check_brokers(endpoint)
    kafka_clients.check(uri.client, endpoint.options)
    return endpoint


def unwrapped(text: str, expected: str) -> Uri:
    """Return a URI of an importer, which has no functions before it.

    Args:
        text: as it is written.
        expected: what is expected in place of functions.

    Raises:
        ConfigurationError: it has some, or is no URI.
    """
    uri = parse(text)
    if uri.wraps:
        raise ConfigurationError(
            f"{uri.wraps[0].scheme} URI: an importer writes messages as they are; expected {expected}"
        )
    return uri


def check_brokers(endpoint: Endpoint) -> None:
    """Look whether a URI names Kafka's brokers.

    Raises:
        ConfigurationError: it names none, or one is no HOST:PORT.
    """
    if not endpoint.uri.hosts:
        raise ConfigurationError("kafka URI: no broker; expected kafka:///HOST:PORT,…?…")
    for host in endpoint.uri.hosts:
        split_host(host, KAFKA_PORT, "kafka URI")


def brokers(uri: Uri) -> list[str]:
    """Kafka's brokers, each `host:port`."""
    return ["{}:{}".format(*split_host(host, KAFKA_PORT, "kafka URI")) for host in uri.hosts]


def consumer_group(endpoint: Endpoint, sid: str | None) -> str | None:
    """Return the one consumer group that `--sid` and the URI's `identity=` name, if any.

    Raises:
        ConfigurationError: they name different groups.
    """
    named = endpoint.options.get("identity") or endpoint.options.get("consumer_group")
    if named and sid and named != sid:
        raise ConfigurationError(f"--sid {sid} and identity={named} name different consumer groups; expected one")
    chosen: str | None = sid or named
    return chosen
