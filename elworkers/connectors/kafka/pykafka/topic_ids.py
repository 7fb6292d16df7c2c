# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Asks for Kafka's ids of topics: one that was deleted and created again has another one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from elworkers.connectors.kafka.pykafka.protocol import NO_TAGS, RawRequest, ResponseReader, array, ask, compact

_METADATA, _VERSION = 3, 10
"""The first version that tells ids; brokers have it since 2.8."""

_NO_ID = bytes(16)


def is_supported(cluster: Any) -> bool:
    """Return whether the brokers tell ids.

    Args:
        cluster: of `client.connect`, which has asked for the versions that they speak.
    """
    versions = cluster._api_versions.get(_METADATA)
    return versions is not None and bool(versions.max >= _VERSION)


def fetch(broker: Any, names: Sequence[str]) -> dict[str, str]:
    """Return for each name the id as 32 hex digits, without topics that do not exist.

    Raises:
        KafkaException, OSError, RetryableError: the broker is away; the caller translates.
    """
    wanted = array([_NO_ID + compact(name) + NO_TAGS for name in names], flexible=True)
    # No topic is made by asking for it, and nobody asks what may be done with it.
    body = wanted + bytes(3) + NO_TAGS
    return _parse(ask(broker, RawRequest(_METADATA, _VERSION, body, flexible=True)))


def _parse(response: ResponseReader) -> dict[str, str]:
    response.tags()
    response.take(4)
    list(response.structures(lambda: (response.take(4), response.compact(), response.take(4), response.compact())))
    response.compact()
    response.take(4)
    return {name: found.hex() for name, found in response.structures(lambda: _topic(response)) if found != _NO_ID}


def _topic(response: ResponseReader) -> tuple[str, bytes]:
    code, name, found = response.number(2), response.compact(), response.take(16)
    response.take(1)
    list(response.structures(lambda: _partition(response)))
    response.take(4)
    return name, _NO_ID if code else found


def _partition(response: ResponseReader) -> None:
    response.take(14)
    for _ in range(3):
        response.take(4 * max(0, response.unsigned() - 1))
