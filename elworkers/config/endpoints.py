# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Checks the URIs of an importer, and types their options, without opening anything.

Nothing heavy is imported here: `eventlogging-init` and `eventloggingctl` check hundreds of instance files with it.
"""

from __future__ import annotations

from dataclasses import dataclass

from elworkers.config.options import KAFKA_PORT, KAFKA_TOPICS, STORES, WEBHDFS_PORT
from elworkers.config.uris import Endpoint, Uri, parse, split_host, typed, unknown_scheme
from elworkers.core.errors import ConfigurationError
from elworkers.core.extras import needs


@dataclass(frozen=True)
class StoreEndpoint(Endpoint):
    """The base folder of an importer."""

    @property
    def is_local(self) -> bool:
        """Whether it is on this host's own disks."""
        return self.uri.scheme == "file"

    @property
    def is_hdfs(self) -> bool:
        """Whether it is in HDFS; what is neither is a file system of fsspec's, with the scheme as its name."""
        return self.uri.scheme in ("hdfs", "webhdfs")


def check_topics(text: str) -> Endpoint:
    """Return the brokers and topics of an importer, with typed options.

    Raises:
        ConfigurationError: names the option and what was expected.
    """
    uri = _unwrapped(text, "a consumer of these topics, which takes functions")
    if uri.scheme != "kafka":
        raise unknown_scheme(uri, ("kafka",), "input of an importer")
    endpoint = typed(uri, KAFKA_TOPICS)
    check_brokers(endpoint)
    return endpoint


def check_store(text: str) -> StoreEndpoint:
    """Return the base folder of an importer with typed options; those of schemes unknown here go to fsspec as text.

    Raises:
        ConfigurationError: names the option and what was expected.
    """
    uri = _unwrapped(text, "file:///PATH or hdfs://NAMENODE:9870/PATH")
    if uri.scheme not in STORES:
        needs("hdfs", f"{uri.scheme} URI")
        from fsspec import available_protocols

        known = (*STORES, *available_protocols())
        if uri.scheme not in known:
            raise unknown_scheme(uri, known, "folder")
        return StoreEndpoint(uri, dict(uri.query))
    validated = typed(uri, STORES[uri.scheme])
    endpoint = StoreEndpoint(uri, validated.options, validated.passed)
    if len(uri.path) < 2 or not (uri.hosts or endpoint.is_local):
        expected = "file:///PATH" if endpoint.is_local else f"{uri.scheme}://NAMENODE:9870/PATH"
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
