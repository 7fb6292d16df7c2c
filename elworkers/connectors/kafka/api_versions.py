# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Asks a broker which versions of its requests it takes, and whether it wants TLS or a login, without a Kafka client.

The request is ApiVersions 0 (https://kafka.apache.org/protocol#The_Messages_ApiVersions), which every broker since 0.10
answers, also before a login.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from elworkers.config.kafka_security import PLAINTEXT, SASL_SSL, SSL
from elworkers.config.uris import split_host
from elworkers.connectors.kafka import tls
from elworkers.connectors.kafka.errors import CredentialsRefusedError, OutageError

PRODUCE, FETCH = 0, 1
"""Keys of requests."""

_METADATA, _API_VERSIONS = 3, 18
_TIMEOUT_S = 5.0
_LARGEST = 64 * 1024
_TLS_ALERT = b"\x15\x03"
"""What an answer begins with where a broker speaks TLS: an alert (RFC 8446, 5.1)."""


class VersionRange(NamedTuple):
    """The versions of a request that a broker takes, both included."""

    oldest: int
    newest: int


def ask(
    host: str, timeout_s: float = _TIMEOUT_S, options: Mapping[str, Any] = MappingProxyType({})
) -> dict[int, VersionRange]:
    """Return the versions that a broker takes, by key of the request.

    Args:
        host: `host:port`.
        timeout_s: longest wait for each step of it.
        options: of a URI, typed: whether by TLS, and whether the client would log in; if not, it is seen whether the
            broker takes it without.

    Raises:
        OutageError: it does not answer, or with something else.
        CredentialsRefusedError: it wants TLS or a login, or does not take the certificate; or its own is not right; or
            a file cannot be used.
    """
    name, port = split_host(host, 9092, "kafka URI")
    protocol = options.get("security_protocol") or PLAINTEXT
    context = tls.context(options) if protocol in (SSL, SASL_SSL) else None
    try:
        with socket.create_connection((name, port), timeout=timeout_s) as plain:
            plain.settimeout(timeout_s)
            with contextlib.ExitStack() as stack:
                connection = plain
                if context is not None:
                    connection = stack.enter_context(context.wrap_socket(plain, server_hostname=name))
                versions = _versions(_exchange(connection, host, _API_VERSIONS, 0, b""))
                if protocol in (PLAINTEXT, SSL):
                    _try_without_login(connection, host, versions)
                return versions
    except ssl.SSLError as error:
        raise tls.refusal(host, error, options) from error
    except (OSError, struct.error) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        if context is not None and isinstance(error, ConnectionError):
            reason += " (it may not speak TLS at this port, or not take a client without a certificate)"
        raise OutageError(f"Kafka: no broker of {host} answers ({reason})") from error


def _try_without_login(connection: socket.socket, host: str, versions: Mapping[int, VersionRange]) -> None:
    """Ask for the brokers, and for no topic: a broker that wants a login closes the connection."""
    oldest, newest = versions.get(_METADATA, VersionRange(0, 0))
    if not oldest <= 1 <= newest:
        return
    try:
        _exchange(connection, host, _METADATA, 1, struct.pack("!i", 0))
    except ConnectionError as error:
        raise CredentialsRefusedError(
            f"Kafka: the broker {host} closes connections without a login;"
            " expected security_protocol=SASL_SSL or SASL_PLAINTEXT with a sasl_mechanism"
        ) from error


def _exchange(connection: socket.socket, host: str, key: int, version: int, body: bytes) -> bytes:
    client = b"elworkers"
    request = struct.pack("!hhih", key, version, 1, len(client)) + client + body
    connection.sendall(struct.pack("!i", len(request)) + request)
    head = _receive(connection, 4)
    if head.startswith(_TLS_ALERT):
        raise CredentialsRefusedError(
            f"Kafka: the broker {host} speaks TLS at this port; expected security_protocol=SSL or SASL_SSL"
        )
    (size,) = struct.unpack("!i", head)
    if not 4 <= size <= _LARGEST:
        raise OutageError(f"Kafka: what answers at {host} is no broker")
    return _receive(connection, size)[4:]


def _receive(connection: socket.socket, size: int) -> bytes:
    received = bytearray()
    while len(received) < size:
        chunk = connection.recv(size - len(received))
        if not chunk:
            raise ConnectionError("it has closed the connection in the middle of an answer")
        received += chunk
    return bytes(received)


def _versions(answer: bytes) -> dict[int, VersionRange]:
    error, count = struct.unpack_from("!hi", answer)
    if error:
        return {}
    found = (struct.unpack_from("!hhh", answer, 6 + 6 * number) for number in range(count))
    return {key: VersionRange(oldest, newest) for key, oldest, newest in found}
