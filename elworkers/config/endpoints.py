# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""The text of an input or output URI comes in; its scheme's typed options, checked as far as text can be, go out.

Nothing heavy is imported here: `eventlogging-init` and `eventloggingctl` check hundreds of instance files with it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from elworkers.config import inherited
from elworkers.config.inherited import PASSED, NameRule, NameRules
from elworkers.config.options import (
    EVENTS_PORT,
    HTTP_PORT,
    KAFKA_PORT,
    KAFKA_TOPICS,
    SINKS,
    SOURCES,
    STORES,
    WEBHDFS_PORT,
)
from elworkers.config.uris import Endpoint, Options, Uri, one_of_schemes, parse, split_host, typed
from elworkers.core.errors import ConfigurationError
from elworkers.core.extras import needs
from elworkers.core.sockets import Address

_NO_TOPIC = "expected topic=NAME"
_NO_OUTPUT_TOPIC = (
    "expected topic=NAME; the original took topic=eventlogging_{schema} in 2015, and the event's own topic later, "
    "which is topic={topic} or topic={meta.topic}"
)


def check_topics(text: str) -> Endpoint:
    """The brokers and topics of an importer, with typed options.

    Raises:
        ConfigurationError: names the option and what was expected.
    """
    uri = _unwrapped(text, "a consumer of these topics, which takes functions")
    endpoint = typed(uri, one_of_schemes(uri, {"kafka": KAFKA_TOPICS}, "input of an importer"))
    _check_brokers(endpoint)
    return endpoint


def check_store(text: str) -> Endpoint:
    """The base folder of an importer, with typed options; those of other schemes than `STORES` go to fsspec as text.

    Raises:
        ConfigurationError: names the option and what was expected.
    """
    uri = _unwrapped(text, "file:///PATH or hdfs://NAMENODE:9870/PATH")
    if uri.scheme not in STORES:
        needs("hdfs", f"{uri.scheme} URI")
        from fsspec import available_protocols

        one_of_schemes(uri, {name: {} for name in (*STORES, *available_protocols())}, "folder")
        return Endpoint(uri, dict(uri.query))
    endpoint = typed(uri, STORES[uri.scheme])
    if len(uri.path) < 2 or not (uri.hosts or uri.scheme == "file"):
        expected = "file:///PATH" if uri.scheme == "file" else f"{uri.scheme}://NAMENODE:9870/PATH"
        raise ConfigurationError(f"{uri.scheme} URI: no {'host' if len(uri.path) > 1 else 'path'}; expected {expected}")
    if uri.hosts:
        uri.endpoint(WEBHDFS_PORT)
    return endpoint


def _unwrapped(text: str, expected: str) -> Uri:
    uri = parse(text)
    if uri.wraps:
        raise ConfigurationError(
            f"{uri.wraps[0].scheme} URI: an importer writes messages as they are; expected {expected}"
        )
    return uri


def check_source(text: str) -> Endpoint:
    """An input URI with its typed options.

    Raises:
        ConfigurationError: names the option and what was expected.
    """
    return check_sources(text)[0]


def check_sources(text: str) -> tuple[Endpoint, ...]:
    """An input URI with its typed options, once for each topic that it names; once where it is not Kafka's.

    Raises:
        ConfigurationError: names the option and what was expected.
    """
    uri = parse(text)
    declared = one_of_schemes(uri, SOURCES, "input", inherited.INPUT_SCHEMES)
    endpoint = typed(uri, declared, _ways(inherited.INPUTS, uri.scheme, SINKS, "output"))
    if uri.scheme != "kafka":
        _check_place(endpoint)
        return (endpoint,)
    _check_brokers(endpoint)
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
    return tuple(
        replace(endpoint, options=MappingProxyType({**endpoint.options, "topic": topic})) for topic in _topics(endpoint)
    )


def _topics(endpoint: Endpoint) -> list[str]:
    # As in the original, of which one client took both, and the other only the plural.
    option = "topics" if endpoint.options["topics"] else "topic"
    if not endpoint.options[option]:
        raise ConfigurationError(f"kafka URI: option topic is missing; {_NO_TOPIC}")
    names = dict.fromkeys(name.strip() for name in endpoint.options[option].split(","))
    for name in names:
        if not re.fullmatch(r"[A-Za-z0-9._-]{1,249}", name):
            expected = "expected the name of one topic, or several with commas between them"
            raise ConfigurationError(f"kafka URI: option {option}={endpoint.options[option]!r}; {expected}")
    return list(names)


def _ways(tables: Mapping[str, NameRules], scheme: str, others: Mapping[str, Options], what: str) -> NameRules:
    """What becomes of names that a scheme does not declare: the original's, and those of the other direction.

    One URI was often an output here and an input there.
    """
    elsewhere = dict.fromkeys(others.get(scheme, ()), NameRule(PASSED, f"it means something only for an {what}"))
    return {**elsewhere, **tables.get(scheme, {})}


def listens_on(endpoint: Endpoint) -> Address | None:
    """What an input of `check_source` listens on, where it does."""
    if endpoint.uri.scheme == "udp":
        return Address("udp", *endpoint.uri.endpoint(EVENTS_PORT), endpoint.options["receive_buffer"])
    return Address("http", *endpoint.uri.endpoint(HTTP_PORT)) if endpoint.uri.scheme == "http" else None


def check_sink(text: str) -> Endpoint:
    """An output URI with its typed options.

    Raises:
        ConfigurationError: names the option and what was expected.
    """
    uri = parse(text)
    declared = one_of_schemes(uri, SINKS, "output", inherited.OUTPUT_SCHEMES)
    endpoint = typed(uri, declared, _ways(inherited.OUTPUTS, uri.scheme, SOURCES, "input"))
    if uri.scheme == "kafka":
        _check_brokers(endpoint)
        return _keyed(endpoint)
    _check_place(endpoint)
    if uri.scheme == "mysql":
        _check_login(endpoint.options)
    return endpoint


def _keyed(endpoint: Endpoint) -> Endpoint:
    """With the key that the original's producers of 2015 gave messages; a simple one gave them none."""
    options = endpoint.options
    if not options["topic"]:
        raise ConfigurationError(f"kafka URI: option topic is missing; {_NO_OUTPUT_TOPIC}")
    if options["producer"] is None:
        return endpoint
    key = (options["key"] or "{schema}_{revision}") if options["producer"] == "keyed" else None
    return replace(endpoint, options=MappingProxyType({**options, "key": key}))


def _check_login(options: Mapping[str, Any]) -> None:
    if options["ssl_key"] is not None and options["ssl_cert"] is None:
        raise ConfigurationError("mysql URI: option ssl_key without a certificate; expected ssl_cert=FILE as well")
    wanted = any(options[name] is not None for name in ("ssl_ca", "ssl_cert", "ssl_verify"))
    if options["allow_cleartext"] and not (wanted and options["ssl_verify"] is not False):
        raise ConfigurationError(
            "mysql URI: allow_cleartext=True without a checked certificate; expected ssl_ca=FILE as well"
        )


def _check_place(endpoint: Endpoint) -> None:
    uri = endpoint.uri
    if uri.scheme == "udp":
        uri.endpoint(EVENTS_PORT)
    elif uri.scheme == "http":
        uri.endpoint(HTTP_PORT)
        if len(uri.path) < 2:
            raise ConfigurationError("http URI: no path; expected http://HOST:PORT/beacon/event")
        if uri.path in ("/healthz", "/eventlogging.js"):
            raise ConfigurationError(f"http URI: path {uri.path} has another use; expected one as /beacon/event")
    elif uri.scheme == "varnish" and (uri.hosts or not uri.path.startswith("/")):
        expected = "expected varnish:///NAME or varnish:////FOLDER (varnishd's -n)"
        raise ConfigurationError(f"varnish URI: {'a host' if uri.hosts else 'no name behind ///'}; {expected}")
    elif uri.scheme in ("file", "sqlite") and len(uri.path) < 2:
        raise ConfigurationError(f"{uri.scheme} URI: no path; expected {uri.scheme}:///PATH")
    elif uri.scheme == "mysql":
        uri.endpoint(3306)
        if len(uri.path) < 2 or "/" in uri.path[1:]:
            raise ConfigurationError("mysql URI: no database; expected mysql://USER:PASSWORD@HOST/DATABASE")


def _check_brokers(endpoint: Endpoint) -> None:
    if not endpoint.uri.hosts:
        raise ConfigurationError("kafka URI: no broker; expected kafka:///HOST:PORT,…?…")
    for host in endpoint.uri.hosts:
        split_host(host, KAFKA_PORT, "kafka URI")


def brokers(uri: Uri) -> list[str]:
    """Kafka's brokers, each `host:port`."""
    return ["{}:{}".format(*split_host(host, KAFKA_PORT, "kafka URI")) for host in uri.hosts]


def consumer_group(endpoint: Endpoint, sid: str | None) -> str | None:
    """The one consumer group that `--sid` and the URI's `identity=` name, if any.

    Raises:
        ConfigurationError: they name different groups.
    """
    named = endpoint.options.get("identity") or endpoint.options.get("consumer_group")
    if named and sid and named != sid:
        raise ConfigurationError(f"--sid {sid} and identity={named} name different consumer groups; expected one")
    chosen: str | None = sid or named
    return chosen
