# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Notices requests of a transactional producer that a broker may still get after their transaction has ended.

A request that was given up, or whose connection has broken, may be on its way. librdkafka sends it again and reports
success; where the first one arrives inside the next transaction, a broker takes it as part of that one, which is then
ended early or without some of its records, while librdkafka still reports success (KIP-890 tells how; librdkafka has
no part of it). librdkafka tells of such requests in its log alone. A producer that was in doubt must not begin another
transaction: a new one gets a new epoch, and brokers refuse what comes late of the old.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from elworkers.connectors.kafka.confluent.client import ClientEvents

_TIMED_OUT, _CONNECTION_FAILED = "REQTMOUT", "FAIL"
"""What librdkafka calls these lines of its log (`rdkafka_broker.c`)."""

_NEVER_CONNECTED = "Connect to "
"""Begins what it says of a connection over which nothing can have been sent."""

SETTINGS: Mapping[str, Any] = MappingProxyType({"log_level": 6, "log.connection.close": True})
"""librdkafka's settings with which it tells of every such request."""


class DoubtLog:
    """Reads the log of one client; its `logger`.

    librdkafka leaves out what repeats itself within half a minute, so that a client is of no further use from the first
    such line on, whether or not a request of a transaction was on its way then.

    Args:
        events: hears each line after this.

    Attributes:
        reason: the first such line; empty where there is no doubt.
    """

    def __init__(self, events: ClientEvents) -> None:
        self._events = events
        self.reason = ""

    def log(self, level: int, text: str, *args: object) -> None:
        """Take a line of librdkafka's log.

        Args:
            level: as in `logging`.
            text: with a `%s` for each of `args`.
            args: the kind of line, the client, and what it says.
        """
        kind, said = str(args[0]), str(args[-1])
        if kind == _TIMED_OUT or (kind == _CONNECTION_FAILED and _NEVER_CONNECTED not in said):
            self.reason = self.reason or said
        self._events.log(level, text, *args)
