# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Creates topics by librdkafka."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, NewTopic

from elworkers.connectors.kafka.confluent.client import ClientEvents
from elworkers.connectors.kafka.confluent.errors import translated
from elworkers.connectors.kafka.error_codes import EXISTS_ALREADY
from elworkers.connectors.kafka.topic_client import NO_SETTINGS
from elworkers.connectors.kafka.topic_fallback import Numbers, create_with_fallback

_AT_A_TIME = 50
_BROKER_TIMEOUT_S, _REQUEST_TIMEOUT_S, _TIMEOUT_S = 10, 20, 30.0


def create_topics(
    admin: AdminClient,
    events: ClientEvents,
    names: Sequence[str],
    numbers: Numbers,
    fallback: Numbers,
    settings: Mapping[str, str] = NO_SETTINGS,
) -> dict[str, int]:
    """Create topics, many at a time; those that are there already stay as they are.

    Args:
        admin: a client, with what it says in `events`.
        names: topics.
        numbers: partitions and replication.
        fallback: replaces a number that Kafka refuses; see `topic_fallback`.
        settings: of the topics, where they are not to be the broker's.

    Returns:
        Names that could not be created, with Kafka's error code.

    Raises:
        RetryableError: the broker is away.
    """

    def create(wanted: Sequence[str], numbers: Numbers) -> dict[str, int]:
        rejected: dict[str, int] = {}
        for begin in range(0, len(wanted), _AT_A_TIME):
            rejected |= _create(admin, events, wanted[begin : begin + _AT_A_TIME], numbers, settings)
        return rejected

    return create_with_fallback(create, create(names, numbers), numbers, fallback)


def _create(
    admin: AdminClient, events: ClientEvents, names: Sequence[str], numbers: Numbers, settings: Mapping[str, str]
) -> dict[str, int]:
    partitions, replication = numbers
    wanted = [NewTopic(name, partitions or -1, replication or -1, config=dict(settings)) for name in names]
    futures = admin.create_topics(wanted, operation_timeout=_BROKER_TIMEOUT_S, request_timeout=_REQUEST_TIMEOUT_S)
    rejected: dict[str, int] = {}
    for name, future in futures.items():
        try:
            future.result(_TIMEOUT_S)
        except KafkaException as error:
            code = error.args[0].code()
            if code < 0:
                admin.poll(0)
                raise translated(error.args[0], f"create topic {name}", events) from error
            if code != EXISTS_ALREADY:
                rejected[name] = code
    return rejected
