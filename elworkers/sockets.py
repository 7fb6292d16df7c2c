"""An address comes in; a socket that is bound to it goes out."""

from __future__ import annotations

import socket

from elworkers.errors import RetryableError


def place(scheme: str, host: str, port: int) -> str:
    """The address as a URI has it."""
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def bound(scheme: str, host: str, port: int, kind: socket.SocketKind, **options: int) -> socket.socket:
    """A non-blocking socket; bound to `::` it takes IPv4 as well.

    Args:
        scheme: what errors call the address by.
        host: IPv4 or IPv6 address (without brackets) or name.
        port: 0 for a free one.
        kind: SOCK_DGRAM or SOCK_STREAM.
        options: of SOL_SOCKET, as `SO_RCVBUF=4096`, set before it is bound.

    Raises:
        RetryableError: the address cannot be bound, for example because another process still has it.
    """
    where = place(scheme, host, port)
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=kind)[0]
        made = socket.socket(family, kind)
    except OSError as error:
        raise RetryableError(f"{where}: {error.strerror or error}") from error
    try:
        made.setblocking(False)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        for name, value in options.items():
            made.setsockopt(socket.SOL_SOCKET, getattr(socket, name), value)
        made.bind(address)
    except OSError as error:
        made.close()
        raise RetryableError(f"{where}: cannot be bound: {error.strerror}") from error
    return made
