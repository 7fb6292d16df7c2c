# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Decides from Kafka's error codes whose fault an error is.

Codes are those of Kafka's protocol guide, "Error Codes". What is on no list here is decided by the company it keeps: it
is the record's own where the brokers take others.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from elworkers.connectors.kafka.errors import NotAuthorizedError, OutageError
from elworkers.core.errors import ConfigurationError, RetryableError

TOO_LARGE: Mapping[int, str] = MappingProxyType(
    {
        10: "larger than the topic's max.message.bytes",
        18: "larger than the topic's segment.bytes",
    }
)
"""Codes of message sets that are too large; a smaller set, or a shorter message, may be accepted."""

INVALID_RECORD: Mapping[int, str] = MappingProxyType(
    {
        **TOO_LARGE,
        2: "damaged on its way, or without the key that a compacted topic asks for",
        32: "its time is further from the broker's than the topic's message.timestamp options allow",
        43: "the topic's message format does not have it",
        87: "the topic takes no such message; one with cleanup.policy=compact takes none without a key",
    }
)
"""Codes of records that will never be accepted. The broker rejects a whole message set for one of them."""

KEY_REQUIRED = frozenset((2, 87))
"""Codes that a compacted topic gives to a record without a key, by the broker's version."""

INVALID_NAME: Mapping[int, str] = MappingProxyType(
    {
        17: "a name of letters, digits, '.', '_' and '-' was expected, of up to 249 of them, that no other topic has,"
        " also where one has '.' and the other '_'",
        44: "a policy of the brokers forbids it",
    }
)
"""Codes about the name of one topic."""

INVALID_SETTINGS: Mapping[int, str] = MappingProxyType(
    {
        37: "the number of partitions is not valid",
        38: "the number of replicas is larger than that of brokers",
    }
)
"""Codes about how a topic was to be created."""

OUTAGES: Mapping[int, str] = MappingProxyType(
    {
        3: "its leader does not know the partition",
        5: "no leader",
        6: "the leader has moved",
        7: "timed out",
        8: "the broker is not available",
        9: "a replica is not available",
        13: "a network error between brokers",
        14: "the coordinator is loading",
        15: "no coordinator",
        16: "the coordinator has moved",
        19: "not enough replicas",
        20: "not enough replicas have it yet",
        29: "no right to this topic",
        30: "no right to this group",
        31: "no right to this cluster",
        41: "the controller has moved",
        56: "the broker's disk",
        72: "the leader does not have this listener",
        74: "the leader has changed",
        75: "the leader has changed",
        89: "the brokers' quota for such requests",
    }
)
"""Codes of what does not work now, for one topic or for all, and may work later."""

NOT_AUTHORIZED = frozenset((29, 30, 31))
"""Codes of outages that end when an administrator grants a permission."""

MAYBE_STORED = frozenset((7, 20))
"""Codes of outages in which the leader may have stored the records."""

EXISTS_ALREADY, FORBIDDEN = 36, 44
"""Codes of topics that cannot be created: one is there, a policy is against it."""

_DESCRIPTIONS: Mapping[int, str] = MappingProxyType({**INVALID_RECORD, **INVALID_NAME, **INVALID_SETTINGS, **OUTAGES})


def error_type(code: int) -> type[RetryableError]:
    """Return the error of `errors` that an outage's code means."""
    return NotAuthorizedError if code in NOT_AUTHORIZED else OutageError


def describe(code: int) -> str:
    """Return what the code means, with its number."""
    return f"{_DESCRIPTIONS.get(code, 'for a reason that is not known here')} (Kafka's error {code})"


def creation_error(
    name: str, code: int, partitions: int | None, replication: int | None
) -> ConfigurationError | RetryableError:
    """Return the error for a configured topic that could not be created.

    Args:
        name: of the topic.
        code: Kafka's.
        partitions, replication: as they were asked for; None: the broker's default.
    """
    message = (
        f"Kafka refuses to create the topic {name} with partitions={partitions or -1} replication={replication or -1}"
        f" (-1: the broker's default): {describe(code)}"
    )
    # What the broker's own defaults make impossible is nothing that the operator wrote here.
    if (code in INVALID_NAME and code != FORBIDDEN) or (code in INVALID_SETTINGS and (partitions or replication)):
        return ConfigurationError(message)
    return error_type(code)(message)
