# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Sends datagrams to the first address of a host that takes them."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Sequence

from elworkers.core.sockets import SocketAddress, resolve


class Sender:
    """A connected UDP socket to one of the addresses that a host's name has.

    Where nothing listens at an address, the first datagram fails on this machine, and a later one elsewhere.

    Args:
        host: IPv4 or IPv6 address (without brackets) or name.
        port: UDP port.
    """

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._address: SocketAddress | None = None
        self._socket: socket.socket | None = None

    def send(self, datagrams: Sequence[bytes]) -> list[int]:
        """Send all of them to one address; where that fails, all of them to the next. May be called again.

        Returns:
            Which of them, counted from 0, are too long for a datagram.

        Raises:
            OSError: the host is not known, or no address takes them (`ConnectionRefusedError`: nothing listens there).
        """
        addresses = resolve(self._host, self._port, socket.SOCK_DGRAM)
        # The one that took the last ones first.
        at = addresses.index(self._address) if self._address in addresses else 0
        failed: OSError | None = None
        for address in addresses[at:] + addresses[:at]:
            try:
                return self._send_to(address, datagrams)
            except OSError as error:
                # Of several reasons, that nothing listens is the most useful.
                failed = error if failed is None or isinstance(error, ConnectionRefusedError) else failed
                self.close()
        raise failed or OSError(errno.EADDRNOTAVAIL, "has no address")

    def _send_to(self, address: SocketAddress, datagrams: Sequence[bytes]) -> list[int]:
        if self._socket is None or address != self._address:
            self.close()
            self._socket = socket.socket(address[0], socket.SOCK_DGRAM)
            self._socket.connect(address[1])
            self._address = address
        too_long = []
        for number, datagram in enumerate(datagrams):
            try:
                self._socket.send(datagram)
            except OSError as error:
                if error.errno != errno.EMSGSIZE:
                    raise
                too_long.append(number)
        # The last datagram's own answer; on this machine and on some networks it is there by now.
        error_number = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error_number:
            raise OSError(error_number, os.strerror(error_number))
        return too_long

    def close(self) -> None:
        """Close the socket; never raises."""
        if self._socket is not None:
            self._socket.close()
        self._socket = self._address = None
