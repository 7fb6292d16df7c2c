# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Says which Kafka client a URI or the environment names, and what the older one cannot do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, TypeVar

from elworkers.config import kafka_security, librdkafka
from elworkers.config.argument_files import Environment
from elworkers.config.inherited import CONFLUENT, PYKAFKA
from elworkers.config.kafka_security import PLAINTEXT, SECURITY, SSL
from elworkers.config.uris import Endpoint, Option, Options
from elworkers.core.errors import ConfigurationError


def _no_value(_text: str) -> Any:
    raise ValueError("rdkafka.NAME=VALUE, with the name of a setting of librdkafka")


_Endpoint = TypeVar("_Endpoint", bound=Endpoint)

CONNECTION: Options = {
    **SECURITY,
    librdkafka.PREFIX: Option(
        _no_value,
        (),
        "a setting of librdkafka; see [Kafka](kafka.md#settings-of-librdkafka)",
        librdkafka.setting,
    ),
}
"""Options of `kafka:` URIs that say how brokers are reached, and as whom."""

VARIABLE = "EVENTLOGGING_KAFKA_DRIVER"
"""The variable of the environment that names the client of all `kafka:` URIs."""

_PYKAFKA_COMPRESSIONS = frozenset({"none", "gzip", "snappy"})


def named(client: str, env: Environment) -> str:
    """Return the client that is named; empty where it is to be chosen.

    Args:
        client: by the scheme of the URI; it counts before the environment.
        env: see `argument_files.process_environment`.

    Raises:
        ConfigurationError: the environment names one that there is not.
    """
    if client:
        return client
    found = env.get(VARIABLE, "")
    if found not in ("", PYKAFKA, CONFLUENT):
        raise ConfigurationError(f"{VARIABLE}={found}; expected {PYKAFKA} or {CONFLUENT}, or the variable left out")
    return found


def pykafka_lacks(options: Mapping[str, Any]) -> str:
    """Return what a URI asks for that pykafka does not have, as `option=value` where it has one; empty: nothing."""
    return next(_lacking(options), "")


def _lacking(options: Mapping[str, Any]) -> Iterator[str]:
    if options.get("exactly_once"):
        yield "exactly_once=True"
    if options.get("static_membership"):
        yield "static_membership=True"
    if options.get("client_rack") is not None:
        yield f"client_rack={options['client_rack']}"
    compression = options.get("compression", "none")
    if compression not in _PYKAFKA_COMPRESSIONS:
        yield f"compression={compression}"
    protocol = options.get("security_protocol") or PLAINTEXT
    if protocol not in (PLAINTEXT, SSL):
        yield f"security_protocol={protocol}"
    if protocol == SSL and options.get("use_rdkafka"):
        yield f"security_protocol={SSL} together with use_rdkafka=True"
    for name, _ in options.get(librdkafka.PREFIX, ()):
        yield f"{librdkafka.PREFIX}.{name}"


def prefers_confluent(options: Mapping[str, Any]) -> str:
    """Return what a URI asks for that is left to confluent-kafka where no client is named; empty: nothing."""
    # What a broker takes cannot be asked here through TLS.
    return pykafka_lacks(options) or (f"security_protocol={SSL}" if options.get("security_protocol") == SSL else "")


def check(client: str, options: Mapping[str, Any]) -> None:
    """Look whether the client that is named can do what a URI asks for, and whether that makes sense.

    Raises:
        ConfigurationError: it cannot, or it does not.
    """
    kafka_security.check(options)
    lacking = pykafka_lacks(options) if client == PYKAFKA else ""
    if lacking:
        raise ConfigurationError(
            f"kafka URI: pykafka has no {lacking}; expected kafka-confluent:, which has, or the option left out"
        )


def connection(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return those options of a URI that say how brokers are reached; none for a URI of another scheme."""
    return {name: options[name] for name in CONNECTION if name in options}


def connected_as(endpoint: _Endpoint, other: Endpoint) -> _Endpoint:
    """Return an endpoint that reaches its brokers as another one does: by the same client, as the same user."""
    options = MappingProxyType({**endpoint.options, **connection(other.options)})
    return replace(endpoint, uri=replace(endpoint.uri, client=other.uri.client), options=options)
