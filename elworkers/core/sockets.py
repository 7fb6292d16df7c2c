# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Binds sockets to every address that a name means."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from elworkers.core.errors import RetryableError

BACKLOG = 1_024
"""Connections that wait to be accepted."""

_NOT_OF_THIS_HOST = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EINVAL)
"""Errors of bind(2) for an address that no interface has (EINVAL: of one of a link, where no link is named)."""


class Address(NamedTuple):
    """What an input listens on.

    Attributes:
        scheme: `udp` or `http`.
        host: IPv4 or IPv6 address (without brackets) or name.
        port: 0 for a free one.
        receive_buffer: bytes asked for as SO_RCVBUF of UDP.
    """

    scheme: str
    host: str
    port: int
    receive_buffer: int = 0

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    @property
    def socket_type(self) -> socket.SocketKind:
        """Datagrams or connections."""
        return socket.SOCK_DGRAM if self.scheme == "udp" else socket.SOCK_STREAM


SocketAddress = tuple[socket.AddressFamily, Any]
"""A socket's family, and the address as that family has it."""


def resolve(host: str, port: int, socket_type: socket.SocketKind) -> list[SocketAddress]:
    """Return family and address of each address of the name, each once, in the order of preference.

    Raises:
        OSError: the host is not known.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket_type)
    except UnicodeError:
        # Of a part that is empty or longer than 63 characters.
        raise OSError(errno.EINVAL, "is no name of a host") from None
    return list(dict.fromkeys((family, address) for family, _, _, _, address in found))


def bind_sockets(address: Address, inherited: Sequence[socket.socket] = ()) -> list[socket.socket]:
    """Return non-blocking sockets, bound to every address of the host; those of connections listen.

    An address that this host does not have is logged and passed over where the name has another one. Bound to `::`
    alone a socket takes IPv4 as well.

    Args:
        address: to bind.
        inherited: sockets that are bound already; those of this address are taken in place of new ones.

    Raises:
        RetryableError: the host is not known, none of its addresses is one of this host, or another process has one.
    """
    try:
        addresses = resolve(address.host, address.port, address.socket_type)
    except OSError as error:
        raise RetryableError(f"{address}: {error.strerror or error}") from error
    made: list[socket.socket] = []
    try:
        for one in _bind_each(address, addresses, inherited):
            made.append(one)
        for one in made:
            _set_up(one, address)
    except OSError as error:
        for one in made:
            if one not in inherited:
                one.close()
        raise RetryableError(
            f"{address}: cannot be bound: {error.strerror}{_hint_of_holder(error, addresses, inherited)}"
        ) from error
    return made


def _hint_of_holder(error: OSError, addresses: Sequence[SocketAddress], inherited: Sequence[socket.socket]) -> str:
    """Return a hint, if this instance itself may hold the address by another one with the same port."""
    wanted, ports = [where[0] for _, where in addresses], {where[1] for _, where in addresses}
    mine = [host for host, port, *_ in (one.getsockname() for one in inherited) if port in ports and host not in wanted]
    if error.errno != errno.EADDRINUSE or not mine:
        return ""
    return f", perhaps by this instance itself, which listens on {' and '.join(mine)}; stop and start it"


def _bind_each(
    address: Address, addresses: Sequence[SocketAddress], inherited: Sequence[socket.socket]
) -> Iterator[socket.socket]:
    missing: OSError | None = None
    found = False
    port = address.port
    for family, where in addresses:
        socket_address = family, (where[0], port, *where[2:])
        try:
            made = _find_inherited(inherited, address.socket_type, socket_address) or _bind(
                address, socket_address, v6_and_v4=len(addresses) == 1
            )
        except OSError as error:
            if error.errno not in _NOT_OF_THIS_HOST:
                raise
            missing = error
            _log_missing(address, where[0], error)
            continue
        # Where any port will do, it is the same for all of them.
        port, found = made.getsockname()[1], True
        yield made
    if missing is not None and not found:
        raise missing


def _log_missing(address: Address, host: str, error: OSError) -> None:
    # Control reads the roles' options without any log.
    import structlog

    log = structlog.get_logger(__name__)
    log.warning(
        "this host has no such address",
        code="listener_address_missing",
        address=str(address),
        host=host,
        reason=error.strerror,
    )


def _find_inherited(
    inherited: Sequence[socket.socket], socket_type: socket.SocketKind, socket_address: SocketAddress
) -> socket.socket | None:
    return next(
        (one for one in inherited if one.type == socket_type and (one.family, one.getsockname()) == socket_address),
        None,
    )


def _bind(address: Address, socket_address: SocketAddress, *, v6_and_v4: bool) -> socket.socket:
    family, where = socket_address
    made = socket.socket(family, address.socket_type)
    try:
        made.setblocking(False)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not v6_and_v4)
        if address.socket_type == socket.SOCK_STREAM:
            # It lets us have an address whose last connections are still dying. Not for UDP, on purpose: there it lets
            # a second process take the datagrams away unnoticed.
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(where)
    except OSError:
        made.close()
        raise
    return made


def _set_up(made: socket.socket, address: Address) -> None:
    if address.socket_type == socket.SOCK_STREAM:
        made.listen(BACKLOG)
    elif address.receive_buffer:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, address.receive_buffer)
