# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Notices brokers that do not share out a group's partitions themselves (KIP-848), as those before Kafka 4.0.

librdkafka tries for ever to join by a protocol that a broker does not have, and says so nowhere but in its log
(`rdkafka_feature.c`, `rd_kafka_features_check` and what calls it).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from elworkers.connectors.kafka.confluent.client import ClientEvents

_KIND = "APIVERSION"
_BEGIN, _END = "Broker API support:", " Feature "
_HEARTBEAT = re.compile(r"ApiKey ConsumerGroupHeartbeat \(\d+\) Versions \d+\.\.(\d+)")
_NEEDED_VERSION = 1
"""The version of that request which librdkafka speaks; Kafka 3.9 has version 0 only, and that switched off."""

SETTINGS: Mapping[str, Any] = MappingProxyType({"debug": "feature"})
"""librdkafka's settings with which it tells what each broker has: some hundred lines for each connection."""


class ProtocolLog:
    """Reads the log of one client; its `logger`.

    Args:
        events: hears all other lines.

    Attributes:
        lacking: the first broker that does not have the protocol; empty: none so far.
    """

    def __init__(self, events: ClientEvents) -> None:
        self._events = events
        self._told: dict[str, bool] = {}
        self.lacking = ""

    def log(self, level: int, text: str, *args: object) -> None:
        """Take a line of librdkafka's log.

        Args:
            level: as in `logging`.
            text: with a `%s` for each of `args`.
            args: the kind of line, the client, and what it says.
        """
        if not args or args[0] != _KIND:
            self._events.log(level, text, *args)
            return
        said = str(args[-1])
        # "[thrd:BROKER]: BROKER: what it has"; each broker has a thread, whose lines come between those of others.
        broker, _, what = said.partition("]: ")[2].partition(": ")
        if _BEGIN in what:
            self._told[broker] = False
        elif heartbeat := _HEARTBEAT.search(what):
            self._told[broker] = int(heartbeat[1]) >= _NEEDED_VERSION
        elif what.startswith(_END) and not self._told.get(broker, True):
            self.lacking = self.lacking or broker
