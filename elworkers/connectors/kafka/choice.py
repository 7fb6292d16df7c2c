# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Chooses the Kafka client of a URI: the one that is named, else pykafka where it can do what is asked for.

A broker is asked for that once; what it said is remembered for as long as the process lives, or until pykafka finds
that the broker is too new for it after all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import structlog

from elworkers.config import kafka_clients
from elworkers.config.argument_files import process_environment
from elworkers.config.inherited import CONFLUENT, PYKAFKA
from elworkers.connectors.kafka.api_versions import FETCH, PRODUCE, VersionRange, ask
from elworkers.core.errors import RetryableError

log = structlog.get_logger(__name__)

_PYKAFKA_SPEAKS = {PRODUCE: 1, FETCH: 2}
"""The version of a request that pykafka sends; with these it writes and reads messages of format 1 (Kafka 0.10)."""

_remembered: dict[tuple[str, ...], str] = {}
"""Brokers → the one that is too new for pykafka; empty where none is."""


def is_too_new(versions: Mapping[int, VersionRange]) -> bool:
    """Return whether a broker does not take pykafka's requests any more, as Kafka 4 does not."""
    return any(key in versions and versions[key].oldest > spoken for key, spoken in _PYKAFKA_SPEAKS.items())


def is_too_old(versions: Mapping[int, VersionRange]) -> bool:
    """Return whether a broker does not take pykafka's requests yet."""
    return any(key not in versions or versions[key].newest < spoken for key, spoken in _PYKAFKA_SPEAKS.items())


def client_for(hosts: Sequence[str], client: str, options: Mapping[str, Any]) -> str:
    """Return `pykafka` or `confluent`, and log once which and why, where the program has a log.

    Args:
        hosts: the brokers, each `host:port`; none: none is asked.
        client: that a URI names; empty: none.
        options: of the URI.

    Raises:
        ConfigurationError: the one that is named cannot do it, or is none.
        RetryableError: no broker answers.
    """
    chosen = kafka_clients.named(client, process_environment())
    if chosen:
        kafka_clients.check(chosen, options)
        why = "the URI names it" if client else f"{kafka_clients.VARIABLE} names it"
    elif lacking := kafka_clients.prefers_confluent(options):
        chosen, why = CONFLUENT, f"the URI has {lacking}"
    elif not hosts:
        chosen, why = PYKAFKA, ""
    elif too_new := _too_new(tuple(hosts)):
        chosen, why = CONFLUENT, f"the broker {too_new} is too new for pykafka"
    else:
        chosen, why = PYKAFKA, "the brokers and the URI ask for nothing that it does not have"
    # A command of an operator has no log, and prints what it was asked for alone.
    if why and structlog.is_configured():
        _log_once(",".join(hosts), chosen, why)
    return chosen


def forget(hosts: Sequence[str]) -> bool:
    """Forget what brokers said; whether it was asked for at all."""
    return _remembered.pop(tuple(hosts), None) is not None


def _too_new(hosts: tuple[str, ...]) -> str:
    """Return the first broker that is too new for pykafka; empty if none of those that answer is."""
    if hosts in _remembered:
        return _remembered[hosts]
    failed: RetryableError | None = None
    answers = False
    for host in hosts:
        try:
            versions = ask(host)
        except RetryableError as error:
            failed = failed or error
            continue
        answers = True
        if is_too_new(versions):
            _remembered[hosts] = host
            return host
    if failed is not None and not answers:
        raise failed
    _remembered[hosts] = ""
    return ""


@cache
def _log_once(hosts: str, client: str, why: str) -> None:
    log.info("a Kafka client was chosen", code="kafka_client_chosen", client=client, why=why, hosts=hosts)
