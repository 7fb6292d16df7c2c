# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Receives datagrams on a thread of its own."""

from __future__ import annotations

import threading
import time

import structlog

from elworkers.connectors.spool.listener import Arrival, Failed, LineKeeper
from elworkers.connectors.udp.source import UdpSource
from elworkers.core.errors import RetryableError

_RECEIVE, _RECEIVE_WITHIN_S = 1_000, 0.2
_LAST_S = 2.0
"""Longest time that the socket is read when the listener is closed: a flood must not keep it from that."""

log = structlog.get_logger(__name__)


class UdpListener:
    """Takes the lines of datagrams before the kernel's buffer, a second or so of them, is full.

    Implements `listener.Listener`.

    Args:
        udp: the socket, which is this listener's own from now on.
    """

    def __init__(self, udp: UdpSource) -> None:
        self._udp = udp
        self._closed = threading.Event()
        self._receiver: threading.Thread | None = None
        self._keeper: LineKeeper | None = None

    def open(self, keeper: LineKeeper, failed: Failed) -> None:
        """See `listener.Listener.open`."""
        self._keeper = keeper
        self._receiver = threading.Thread(target=self._receive, args=(keeper, failed), name="receiver", daemon=True)
        self._receiver.start()

    def _receive(self, keeper: LineKeeper, failed: Failed) -> None:
        try:
            while not self._closed.is_set():
                self._take(keeper, _RECEIVE_WITHIN_S)
        except RetryableError as error:
            self._keeper = None
            failed(error)

    def _take(self, keeper: LineKeeper, within_s: float) -> bool:
        records = self._udp.poll(_RECEIVE, within_s)
        if records:
            keeper.keep([Arrival([record.value for record in records], records[0].timestamp_ms)])
        return bool(records)

    def close(self) -> None:
        """Take what the socket still holds, and close it."""
        self._closed.set()
        if self._receiver is not None:
            self._receiver.join()
        until = time.monotonic() + _LAST_S
        try:
            while self._keeper is not None and time.monotonic() < until and self._take(self._keeper, 0.0):
                pass
        except RetryableError as error:
            log.warning("the socket could not be emptied", code="udp_drain_failed", reason=str(error))
        self._keeper = None
        self._udp.close()
