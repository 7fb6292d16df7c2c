# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Connects to a cluster by pykafka, and turns its errors into this program's."""

from __future__ import annotations

import contextlib
import logging
import re
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from kazoo.exceptions import KazooException
from kazoo.handlers.threading import KazooTimeoutError
from pykafka.cluster import Cluster
from pykafka.exceptions import GroupAuthorizationFailed, KafkaException, TopicAuthorizationFailed
from pykafka.handlers import ThreadingHandler
from pykafka.protocol.base import Request

from elworkers.config.kafka_security import SSL
from elworkers.connectors.kafka import api_versions, choice, tls
from elworkers.connectors.kafka.errors import (
    CredentialsRefusedError,
    NotAuthorizedError,
    OutageError,
    UnsupportedBrokerError,
)
from elworkers.connectors.kafka.pykafka import quota_channels
from elworkers.connectors.kafka.pykafka.absent_brokers import BrokersWithAbsent, host_text, unreachable_reason
from elworkers.core.errors import ConfigurationError, RetryableError

BROKER_VERSION = "1.0.0"
"""What pykafka is told: it then asks for API versions and writes messages with a timestamp (format 1)."""

_SOCKET_TIMEOUT_MS = 30_000

# pykafka reports each of its retries with a stack trace; what matters reaches our log as one line.
logging.getLogger("pykafka").setLevel(logging.CRITICAL)
logging.getLogger("kazoo").setLevel(logging.CRITICAL)


class _TlsSockets:
    """Opens connections by TLS, whose context of its own pykafka has check no names of brokers."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._options = options

    def create_connection(self, address: tuple[bytes | str, int], timeout_s: float, source: Any = None) -> Any:
        """Return a connection on which the broker's certificate was looked at."""
        host = host_text(address[0])
        plain = socket.create_connection((host, address[1]), timeout_s, source)
        try:
            return tls.context(self._options).wrap_socket(plain, server_hostname=host)
        except BaseException:
            plain.close()
            raise


class Handler(ThreadingHandler):  # type: ignore[misc]
    """Runs pykafka's threads without their sleep of zero seconds, which costs some 60 µs a consumed message.

    Args:
        options: of a URI, typed; whether connections are made by TLS.
    """

    def __init__(self, options: Mapping[str, Any] = MappingProxyType({})) -> None:
        if options.get("security_protocol") == SSL:
            self.Socket = _TlsSockets(options)

    def sleep(self, seconds: float = 0) -> None:
        """Sleep, unless for zero seconds."""
        if seconds > 0:
            time.sleep(seconds)


class _Cluster(Cluster):  # type: ignore[misc]
    """A cluster that asks for metadata over the connections that it has.

    pykafka means to, but each request makes another connection, with a thread and a buffer of a megabyte: 600 MiB
    where a thousand topics were looked up at once.
    """

    @property
    def brokers(self) -> BrokersWithAbsent:
        """The brokers by id; pykafka calls a whole topic wrong where one of its brokers is not among them."""
        return BrokersWithAbsent(self._brokers)

    def _get_metadata(self, topics: Any = None) -> Any:
        for broker in list(self.brokers.values()):
            if broker.connected:
                with contextlib.suppress(KafkaException, OSError):
                    response = broker.request_metadata(topics)
                    # None where the broker has gone.
                    if response is not None:
                        return response
        return super()._get_metadata(topics)


def set_client_id(text: str) -> None:
    """Name this process to the brokers, in every request from now on.

    Args:
        text: at most 200 ASCII characters; the host name belongs into it (issue 4, point 8).
    """
    client_id = text.encode("ascii", "replace")[:200]
    Request.CLIENT_ID = client_id
    Request.HEADER_LEN = 14 + len(client_id)


@contextlib.contextmanager
def translate_errors(operation: str) -> Iterator[None]:
    """Turn whatever pykafka and kazoo raise when a server is away into an error of `driver`.

    They raise their own errors, but also what their half-closed connections lead to: AttributeError on a
    connection that is None, KeyError on a broker that has left, struct.error on half a response. Such an error counts
    as theirs only where their code has raised it: one of ours is a bug, and goes on as what it is.
    """
    try:
        yield
    except (RetryableError, ConfigurationError):
        raise
    except (TopicAuthorizationFailed, GroupAuthorizationFailed) as error:
        raise NotAuthorizedError(f"Kafka: {operation}: {_describe(error)}") from error
    except (KafkaException, KazooException, KazooTimeoutError, OSError) as error:
        raise OutageError(f"Kafka: {operation}: {_describe(error)}") from error
    except Exception as error:
        if not _raised_by_library(error):
            raise
        raise OutageError(f"Kafka: {operation}: {_describe(error)}") from error


_LIBRARIES = frozenset(("pykafka", "kazoo"))


def _raised_by_library(error: Exception) -> bool:
    """Return whether the innermost code on the way that is either the library's or ours is the library's."""
    last = ""
    frame = error.__traceback__
    while frame is not None:
        package = str(frame.tb_frame.f_globals.get("__name__", "")).partition(".")[0]
        if package in _LIBRARIES or package == "elworkers":
            last = package
        frame = frame.tb_next
    return last in _LIBRARIES


_MESSAGES = {
    "SocketDisconnectedError": "the broker has closed the connection",
    "NoBrokersAvailableError": "no broker can be reached",
    "LeaderNotFoundError": "a partition has no leader",
    "LeaderNotAvailable": "a partition has no leader at the moment",
    "NotLeaderForPartition": "another broker leads the partition now",
    "NotCoordinatorForGroup": "another broker coordinates the group now",
    "GroupCoordinatorNotAvailable": "the group has no coordinator at the moment",
    "GroupLoadInProgress": "the group's coordinator is not ready yet",
    "RequestTimedOut": "the broker has not got it done in time",
    "UnknownMemberId": "the group has given this member up, because it had heard nothing of it for too long",
    "UnknownTopicOrPartition": "the broker does not know the topic or partition",
    "ConsumerStoppedException": "the consumer has stopped",
    "ReferenceError": "the consumer has stopped",
}
"""Messages for errors that the library raises without one."""


_ADDRESS = re.compile(r"<broker b?'?(?P<host>[^'>]*?)'?:(?P<port>\d+)>")
"""The whole message of the library's errors where a connection fails or ends."""


def _describe(error: Exception) -> str:
    name = type(error).__name__
    text = str(error).replace("See logs.", "").strip()
    if address := _ADDRESS.fullmatch(text):
        text = unreachable_reason(address["host"], int(address["port"]))
    if not text or text == name:
        text = _MESSAGES.get(name, "the library says no more")
    return f"{text} ({name})"


def connect(
    hosts: Sequence[str],
    options: Mapping[str, Any] = MappingProxyType({}),
    socket_timeout_ms: int = _SOCKET_TIMEOUT_MS,
) -> Any:
    """Return a cluster that is connected to at least one of the brokers.

    Args:
        hosts: each `host:port`.
        options: of a URI, typed: whether by TLS.
        socket_timeout_ms: longest wait for one answer, in ms.

    Raises:
        RetryableError: no broker answers, or none can be reached at the address that it tells its clients.
        ConfigurationError: the broker no longer speaks pykafka's record format (Kafka 4).
    """
    first_error: RetryableError | None = None
    unreachable: RetryableError | None = None
    for host in hosts:
        try:
            _check_versions(host, hosts, options)
        except RetryableError as error:
            first_error = first_error or error
            continue
        with translate_errors(f"read metadata from {host}"):
            cluster = _Cluster(
                host,
                Handler(options),
                socket_timeout_ms=socket_timeout_ms,
                offsets_channel_socket_timeout_ms=10_000,
                broker_version=BROKER_VERSION,
            )
        if cluster.brokers or not cluster.brokers.absent:
            return cluster
        unreachable = unreachable or OutageError(f"Kafka: {host} answers, but {cluster.brokers.absent[0].why}")
    if unreachable is not None:
        raise unreachable
    if isinstance(first_error, CredentialsRefusedError):
        raise first_error
    raise OutageError(f"Kafka: no broker of {','.join(hosts)} answers ({first_error})")


def _check_versions(host: str, hosts: Sequence[str], options: Mapping[str, Any]) -> None:
    # Asked over a connection of its own: Cluster logs and retries for long before it gives up on a dead broker.
    versions = api_versions.ask(host, options=options)
    if choice.is_too_new(versions):
        too_new = (
            f"the broker {host} is too new for pykafka (it has dropped the record formats of before Kafka 0.11,"
            " as Kafka 4 does)"
        )
        if choice.forget(hosts):
            # It was not when the client was chosen: the next try chooses another.
            raise OutageError(f"Kafka: {too_new} now; it is asked with another client next")
        raise UnsupportedBrokerError(
            f"{too_new}; write kafka-confluent: in place of kafka-pykafka:, or use a broker of a version up to 3.9"
        )
    if choice.is_too_old(versions):
        raise UnsupportedBrokerError(
            f"the broker {host} is too old (messages have times since Kafka 0.10); use one of version 0.10 to 3.9"
        )


def close(cluster: Any) -> None:
    """Let go of the connections of a cluster; never raises."""
    for broker in list(cluster.brokers.values()):
        quota_channels.close(broker)
        handler = broker.handler
        if handler is not None:
            handler.stop()
