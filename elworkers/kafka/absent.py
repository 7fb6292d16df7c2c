"""Stands in for brokers that are not there, so that one partition without a leader is no error of its neighbours."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

from pykafka.exceptions import SocketDisconnectedError
from pykafka.protocol.offset import OffsetPartitionResponse

_NO_LEADER = 5
"""Kafka's error code LEADER_NOT_AVAILABLE."""


class AbsentBroker:
    """What pykafka asks of a broker, for one that nobody can reach; it is false.

    Args:
        number: its id; -1 as the leader of a partition that has none.
    """

    handler = None
    connected = False

    def __init__(self, number: int) -> None:
        self.id = number

    def __bool__(self) -> bool:
        return False

    def connect(self, *_: Any, **__: Any) -> None:
        """Fail.

        Raises:
            SocketDisconnectedError: always.
        """
        raise SocketDisconnectedError(f"broker {self.id} is not there")

    def request_offset_limits(self, requests: Iterable[Any]) -> Any:
        """Answer for each partition that it has no leader."""
        told: defaultdict[bytes, dict[int, OffsetPartitionResponse]] = defaultdict(dict)
        for request in requests:
            told[request.topic_name][request.partition_id] = OffsetPartitionResponse([], _NO_LEADER)
        return SimpleNamespace(topics=told)


class Brokers(dict[int, Any]):
    """The brokers of a cluster by id, and an `AbsentBroker` for any other id; `get` and views have only those there."""

    def __contains__(self, number: object) -> bool:
        return True

    def __missing__(self, number: int) -> AbsentBroker:
        return AbsentBroker(number)
