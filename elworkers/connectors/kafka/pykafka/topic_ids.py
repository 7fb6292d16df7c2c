# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Asks for Kafka's ids of topics: one that was deleted and created again has another one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from elworkers.connectors.kafka.pykafka.protocol import NO_TAGS, Answer, RawRequest, array, ask, compact

_METADATA, _VERSION = 3, 10
"""The first version that tells ids; brokers have it since 2.8."""

_NO_ID = bytes(16)


def known(cluster: Any) -> bool:
    """Return whether the brokers tell ids.

    Args:
        cluster: of `client.connect`, which has asked for the versions that they speak.
    """
    spoken = cluster._api_versions.get(_METADATA)
    return spoken is not None and bool(spoken.max >= _VERSION)


def asked(broker: Any, names: Sequence[str]) -> dict[str, str]:
    """Return for each name the id as 32 hex digits, without topics that do not exist.

    Raises:
        KafkaException, OSError, RetryableError: the broker is away; the caller translates.
    """
    wanted = array([_NO_ID + compact(name) + NO_TAGS for name in names], flexible=True)
    # No topic is made by asking for it, and nobody asks what may be done with it.
    body = wanted + bytes(3) + NO_TAGS
    return _told(ask(broker, RawRequest(_METADATA, _VERSION, body, flexible=True)))


def _told(answer: Answer) -> dict[str, str]:
    answer.tags()
    answer.take(4)
    list(answer.structures(lambda: (answer.take(4), answer.compact(), answer.take(4), answer.compact())))
    answer.compact()
    answer.take(4)
    return {name: found.hex() for name, found in answer.structures(lambda: _topic(answer)) if found != _NO_ID}


def _topic(answer: Answer) -> tuple[str, bytes]:
    code, name, found = answer.number(2), answer.compact(), answer.take(16)
    answer.take(1)
    list(answer.structures(lambda: _partition(answer)))
    answer.take(4)
    return name, _NO_ID if code else found


def _partition(answer: Answer) -> None:
    answer.take(14)
    for _ in range(3):
        answer.take(4 * max(0, answer.unsigned() - 1))
