# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Decides which Kafka client is used; nothing else does."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from elworkers.config import endpoints
from elworkers.config.inherited import CONFLUENT
from elworkers.config.librdkafka import PREFIX
from elworkers.config.uris import Endpoint

if TYPE_CHECKING:
    from elworkers.connectors.kafka.driver import Driver
    from elworkers.connectors.kafka.memory.broker import MemoryBroker
    from elworkers.connectors.kafka.transactional import TransactionalDriver


_process: dict[str, str] = {}
"""What this process calls itself towards the brokers, once it is known."""

_NO_OPTIONS: Mapping[str, Any] = MappingProxyType({})


def driver(hosts: Sequence[str] = (), client: str = "", options: Mapping[str, Any] = _NO_OPTIONS) -> Driver:
    """Return a driver; its client is imported only here, because that takes time and starts threads.

    Args:
        hosts: the brokers, each `host:port`; where no client is named, they are asked what they take.
        client: `pykafka` or `confluent`; empty: the environment's, or the one that can do what is asked for.
        options: of a URI, typed.

    Raises:
        ConfigurationError: the client that is named cannot do what the options say, or is none.
        RetryableError: no broker answers.
    """
    from elworkers.connectors.kafka.choice import client_for

    made: Driver
    if client_for(hosts, client, options) == CONFLUENT:
        from elworkers.connectors.kafka.confluent.confluent_driver import ConfluentDriver

        made = ConfluentDriver(options)
    else:
        from elworkers.connectors.kafka.pykafka.pykafka_driver import PykafkaDriver

        made = PykafkaDriver(options)
    if name := _process.get("client_id"):
        made.name_process(name)
    return made


def driver_of(endpoint: Endpoint) -> Driver:
    """Return a driver for the brokers of a `kafka:` URI, and what it asks for; raises as `driver` does."""
    return driver(endpoints.brokers(endpoint.uri), endpoint.uri.client, endpoint.options)


def check_settings(endpoint: Endpoint) -> None:
    """Look whether librdkafka takes what a URI has as `rdkafka.NAME=`; it is imported only where there is some.

    Raises:
        ConfigurationError: it does not.
    """
    if settings := endpoint.options[PREFIX]:
        from elworkers.connectors.kafka.confluent import setting_values

        setting_values.check(settings)


def name_process(client_id: str) -> None:
    """Name this process to the brokers, whichever client it uses; see `driver.Driver.name_process`."""
    _process["client_id"] = client_id


def in_memory(broker: MemoryBroker) -> TransactionalDriver:
    """Return a driver whose Kafka is in this process."""
    from elworkers.connectors.kafka.memory.memory_driver import MemoryDriver

    return MemoryDriver(broker)


def client_id(role: str, instance: str, worker: int) -> str:
    """Return what a worker calls itself towards the brokers: `elworkers-<role>-<instance>-<worker>@<host>`.

    The same after each start, so that a quota can name it.
    """
    return f"elworkers-{role}-{instance}-{worker}@{socket.gethostname()}"
