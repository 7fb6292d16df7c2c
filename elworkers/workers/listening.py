# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Binds the sockets that listeners read, which outlive their workers."""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence

import structlog

from elworkers.core.backoff import Backoff
from elworkers.core.errors import RetryableError
from elworkers.core.sockets import Address, bind_sockets

log = structlog.get_logger(__name__)


class ListeningSockets:
    """What a pool listens on: opened by its parent, which reads nothing from it, and inherited by its workers.

    What is sent while no worker runs waits in the kernel.

    Args:
        addresses: of all inputs that listen.
        held: sockets that are open already; those that are not wanted any more stay open until `close_unwanted`.

    Attributes:
        complete: whether all of them are open.
    """

    def __init__(self, addresses: Sequence[Address] = (), held: Sequence[socket.socket] = ()) -> None:
        self._addresses = addresses
        self._held = list(held)
        self._sockets: dict[Address, list[socket.socket]] = {}
        self.complete = not addresses

    def open(self) -> None:
        """Open what is not open yet.

        Raises:
            RetryableError: one of them cannot be had; names it.
        """
        for address in self._addresses:
            if address not in self._sockets:
                self._sockets[address] = bind_sockets(address, self._held)
                names = [str(one.getsockname()[0]) for one in self._sockets[address]]
                log.info("listening", code="listener_opened", address=str(address), on=names)
        self.complete = True

    def all(self) -> list[socket.socket]:
        """Return every socket that is open, wanted or not."""
        mine = (one for sockets in self._sockets.values() for one in sockets)
        return list(dict.fromkeys([*mine, *self._held]))

    def close_unwanted(self) -> None:
        """Close those that are not wanted any more."""
        wanted = {one for sockets in self._sockets.values() for one in sockets}
        for one in self._held:
            if one not in wanted:
                one.close()
        self._held = []

    def inherited(self, address: Address) -> list[socket.socket]:
        """Return a worker's own descriptors of an address's sockets; none if nobody has opened it."""
        return [one.dup() for one in self._sockets.get(address, ())]


class BindRetry:
    """Why a pool cannot listen, and when it tries again.

    Attributes:
        reason: empty while it can.
        since: monotonic seconds at which that began.
    """

    def __init__(self) -> None:
        self.reason, self.since = "", 0.0
        self._backoff = Backoff(self._set_reason)
        self._again = 0.0

    def _set_reason(self, reason: str) -> None:
        if reason and not self.reason:
            self.since = time.monotonic()
        self.reason = reason

    def tries(self) -> bool:
        """Return whether it is time to try."""
        return time.monotonic() >= self._again

    def failed(self, error: RetryableError) -> None:
        """Note that binding does not work for now."""
        self._again = time.monotonic() + self._backoff.failed(str(error))

    def worked(self) -> None:
        """Note that binding works."""
        self._backoff.worked()
