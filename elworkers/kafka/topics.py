"""Topic names come in; topics that exist, their partitions and offsets go out."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Sequence
from typing import Any

from pykafka.exceptions import KafkaException
from pykafka.protocol.admin import CreateTopicRequest, CreateTopicsRequest
from pykafka.utils import struct_helpers

from elworkers.errors import ConfigurationError, RetryableError
from elworkers.kafka import topicids
from elworkers.kafka.client import translated

_APPEARS_WITHIN_S = 15.0
_EXISTS_ALREADY = 36
_AT_A_TIME = 50
_REFUSED = {
    17: "a name of letters, digits, '.', '_' and '-' was expected",
    37: "the number of partitions is not valid",
    38: "the number of replicas is larger than that of brokers",
}
"""Error codes of Kafka's protocol that no second try will change."""


def ensure(
    cluster: Any, name: str, partitions: int | None = None, replication: int | None = None, *, create: bool = True
) -> Any:
    """The topic, created where it does not exist yet.

    pykafka's own auto-creation fails on brokers of today, so topics are made explicitly.

    Args:
        cluster: of `client.connect`.
        name: the topic.
        partitions: how many it gets when it has to be created; None means the broker's default.
        replication: how many replicas of each; None means the broker's default.
        create: False: wait for somebody else to make it.

    Raises:
        RetryableError: the broker is away, the topic does not get leaders in time, or is not there to be read.
        ConfigurationError: the broker refuses the name, the partitions or the replication.
    """
    key = name.encode()
    with translated(f"look up topic {name}"):
        if _known(cluster, key) and _led(topic := cluster.topics[key]) and _served(topic):
            # Asking for metadata costs as much as the cluster has topics; a sink may want a thousand of them.
            return topic
        if not _known(cluster, key):
            cluster.update()
        if not _known(cluster, key):
            if not create:
                raise RetryableError(
                    f"Kafka: topic {name} was deleted while it was read; reading again once it is made"
                )
            _create(cluster, [name], partitions or -1, replication or -1)
    deadline = time.monotonic() + _APPEARS_WITHIN_S
    while True:
        with translated(f"wait for topic {name}"):
            cluster.update()
            if _known(cluster, key):
                topic = cluster.topics[key]
                if _led(topic) and _served(topic):
                    return topic
        if time.monotonic() > deadline:
            raise RetryableError(f"Kafka: topic {name} has no leaders {_APPEARS_WITHIN_S:.0f} s after it was created")
        time.sleep(0.05)


def create_missing(cluster: Any, names: Iterable[str], partitions: int | None, replication: int | None) -> None:
    """Create those that do not exist, many at a time; `ensure` then finds each of them.

    One after the other, a thousand topics would ask two thousand times for metadata of all of them.

    Args:
        partitions, replication: as in `ensure`.

    Raises:
        RetryableError, ConfigurationError: as `ensure` does.
    """
    absent = [name for name in names if not _known(cluster, name.encode())]
    if not absent:
        return
    with translated("create topics"):
        cluster.update()
        absent = [name for name in absent if not _known(cluster, name.encode())]
        for begin in range(0, len(absent), _AT_A_TIME):
            _create(cluster, absent[begin : begin + _AT_A_TIME], partitions or -1, replication or -1)
        cluster.update()


def _led(topic: Any) -> bool:
    return topic is not None and bool(topic.partitions) and all(one.leader for one in topic.partitions.values())


def _served(topic: Any) -> bool:
    # Metadata names a leader some moments before that broker knows of it.
    limits = topic.latest_available_offsets()
    return len(limits) == len(topic.partitions) and not any(limit.err for limit in limits.values())


def existing(cluster: Any, name: str) -> Any | None:
    """The topic, or None where the cluster's metadata does not have it."""
    key = name.encode()
    with translated(f"look up topic {name}"):
        return cluster.topics[key] if _known(cluster, key) else None


def ids(cluster: Any, names: Iterable[str]) -> dict[str, str]:
    """Name → Kafka's id of the topic as 32 hex digits, asked for anew.

    Without topics that do not exist; empty where the brokers tell no ids (before Kafka 2.8).

    Args:
        cluster: of `client.connect`.

    Raises:
        RetryableError: no broker answers.
    """
    if not topicids.known(cluster):
        return {}
    wanted = list(names)
    with translated("ask for the ids of topics"):
        brokers = sorted(cluster.brokers.values(), key=lambda broker: not broker.connected)
        for broker in brokers:
            with contextlib.suppress(KafkaException, OSError):
                return topicids.asked(broker, wanted)
    raise RetryableError("Kafka: ask for the ids of topics: no broker answers")


class Freshness:
    """Asks for metadata anew when it is old; pykafka alone does so only after errors, and never sees added partitions.

    Args:
        cluster: of `client.connect`.
        max_age_ms: how old metadata may become.
    """

    def __init__(self, cluster: Any, max_age_ms: int) -> None:
        self._cluster = cluster
        self._max_age_s = max_age_ms / 1000
        self._next = time.monotonic() + self._max_age_s

    def renewed(self) -> bool:
        """Whether metadata was old, and has been asked for.

        Raises:
            RetryableError: no broker answers.
        """
        if time.monotonic() < self._next:
            return False
        with translated("read metadata"):
            self._cluster.update()
        self._next = time.monotonic() + self._max_age_s
        return True


def names(cluster: Any) -> list[str]:
    """The names of all topics but internal ones, from fresh metadata."""
    with translated("list topics"):
        cluster.update()
        return sorted(key.decode() for key in cluster.topics)


def _known(cluster: Any, key: bytes) -> bool:
    return key in cluster.topics.keys()  # noqa: SIM118 - `in` on pykafka's dict would try to create the topic


def _create(cluster: Any, names: Sequence[str], partitions: int, replication: int) -> None:
    broker = cluster.controller_broker or next(iter(cluster.brokers.values()))
    wanted = [CreateTopicRequest(name.encode(), partitions, replication, [], []) for name in names]
    request = CreateTopicsRequest(wanted, timeout=10_000)
    if broker.handler is None:
        broker.connect()
    # pykafka's own response class knows neither "exists already" nor why a topic is refused.
    for topic, code in struct_helpers.unpack_from("[Sh]", broker.handler.request(request).get(), 0):
        name = topic.decode()
        if code in _REFUSED:
            raise ConfigurationError(
                f"Kafka refuses to create the topic {name} with partitions={partitions} replication={replication}"
                f" (-1: the broker's default): {_REFUSED[code]}"
            )
        if code not in (0, _EXISTS_ALREADY):
            raise RetryableError(f"Kafka: create topic {name}: error code {code}")
