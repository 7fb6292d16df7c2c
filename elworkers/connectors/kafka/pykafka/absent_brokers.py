# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Stands in for brokers that are away, so that one partition without a leader is no error of its neighbours."""

from __future__ import annotations

import socket
from collections import defaultdict
from collections.abc import Iterable, Mapping
from types import SimpleNamespace
from typing import Any

from pykafka.exceptions import SocketDisconnectedError
from pykafka.protocol.offset import OffsetPartitionResponse

_NO_LEADER = 5
"""Kafka's error code LEADER_NOT_AVAILABLE."""


def unreachable_reason(host: str, port: int) -> str:
    """Return a sentence on a broker that cannot be reached at the address that it tells its clients."""
    try:
        socket.getaddrinfo(host, port)
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or str(error)
        return (
            f"the broker tells its clients to connect to {host}:{port} (advertised.listeners), and {host} cannot be"
            f" resolved: {why}"
        )
    return f"there is no connection to {host}:{port}, as the broker calls itself (advertised.listeners)"


class AbsentBroker:
    """Has the interface of pykafka's broker for one that cannot be reached; it is false.

    Args:
        number: its id; -1 as the leader of a partition that has none.
        address: host and port, where it has told them.
    """

    handler = None
    connected = False

    def __init__(self, number: int, address: tuple[str, int] | None = None) -> None:
        self.id = number
        self._address = address

    @property
    def why(self) -> str:
        """A sentence on why it cannot be reached; empty where its address is not known."""
        return unreachable_reason(*self._address) if self._address else ""

    def __bool__(self) -> bool:
        return False

    def connect(self, *_: Any, **__: Any) -> None:
        """Fail.

        Raises:
            SocketDisconnectedError: always.
        """
        raise SocketDisconnectedError(self.why or f"broker {self.id} is not there")

    def request_offset_limits(self, requests: Iterable[Any]) -> Any:
        """Answer for each partition that it has no leader."""
        by_topic: defaultdict[bytes, dict[int, OffsetPartitionResponse]] = defaultdict(dict)
        for request in requests:
            by_topic[request.topic_name][request.partition_id] = OffsetPartitionResponse([], _NO_LEADER)
        return SimpleNamespace(topics=by_topic)


class BrokersWithAbsent(dict[int, Any]):
    """The connected brokers of a cluster by id, and an `AbsentBroker` for any other id, which `get` and views lack.

    Args:
        brokers: pykafka's brokers by id, of which some may never have been reached.
    """

    def __init__(self, brokers: Mapping[int, Any]) -> None:
        super().__init__((number, broker) for number, broker in brokers.items() if broker.handler is not None)
        self._brokers = brokers

    @property
    def absent(self) -> list[AbsentBroker]:
        """Brokers that cannot be reached at the address that they advertise."""
        return [self[number] for number in self._brokers if self.get(number) is None]

    def __contains__(self, number: object) -> bool:
        return True

    def __missing__(self, number: int) -> AbsentBroker:
        broker = self._brokers.get(number)
        return AbsentBroker(number, None if broker is None else (host_text(broker.host), broker.port))


def host_text(host: bytes | str) -> str:
    """Return a host as pykafka has it."""
    return host.decode(errors="replace") if isinstance(host, bytes) else host
