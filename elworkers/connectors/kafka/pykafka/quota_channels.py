# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Opens connections for requests that quotas count, and waits as long as a broker asks for.

A broker that throttles a client says for how long, and reads nothing from that connection meanwhile. Heartbeats behind
a fetch would come too late, and requests would time out and be repeated; so fetches and produce requests have a
connection of their own, and nothing is sent while the broker does not read it. A quota is a client's and not a
connection's, so that this outlasts connections.
"""

from __future__ import annotations

import select
import threading
import time
from typing import Any

import structlog
from pykafka.connection import BrokerConnection
from pykafka.exceptions import SocketDisconnectedError
from pykafka.handlers import RequestHandler
from pykafka.protocol.base import Request

from elworkers.connectors.kafka.pykafka.absent_brokers import host_text

OVER_QUOTA = (
    "its next message set is larger than a quota of the broker (consumer_byte_rate) lets through in ten seconds,"
    " so that nobody with this client id can read it; raise the quota"
)

_LATELY_S = 30.0
_MAX_REQUEST_THROTTLE_S = 1.0
_WINDOW_S = 11.0
"""Seconds over which a broker measures a quota, by default."""

_CHECK_INTERVAL_S = 0.2

log = structlog.get_logger(__name__)


class QuotaPace:
    """Remembers for how long a broker throttles one kind of traffic of this client.

    Args:
        broker: `host:port`.
        traffic: what is counted, as the log has it.
        quota: the name of the setting that bounds it.
    """

    def __init__(self, broker: str, traffic: str, quota: str) -> None:
        self._broker = broker
        self._traffic = traffic
        self._quota = quota
        self._throttled_until = 0.0
        self._lately_until = 0.0
        self._warned = False
        self._empty_count = 0

    @property
    def remaining_s(self) -> float:
        """Seconds until the broker accepts more; 0 where it does now."""
        return max(0.0, self._throttled_until - time.monotonic())

    @property
    def throttled_lately(self) -> bool:
        """Whether the broker throttles this client, or did a moment ago."""
        return time.monotonic() < self._lately_until

    @property
    def reason(self) -> str:
        """A sentence that says who throttles what; the same each time."""
        return (
            f"the broker {self._broker} throttles {self._traffic} of client id {Request.CLIENT_ID.decode()}: a quota"
            f" ({self._quota} or request_percentage) lets through no more for now"
        )

    def throttled(self, throttle_ms: int) -> None:
        """Take note of a response's throttle time; the first one is logged."""
        if throttle_ms > 0:
            self._record(throttle_ms, throttle_ms / 1000)

    def fetched(self, throttle_ms: int, *, empty: bool) -> None:
        """Take note of a fetch's throttle time, as `throttled`.

        Args:
            empty: it was over the quota, so that it has to be asked again. An answer that is not empty is of a broker
                before 2.0, which has let the time pass.
        """
        self._empty_count = self._empty_count + 1 if empty else 0
        if throttle_ms > 0:
            self._record(throttle_ms, self._backoff_s(throttle_ms / 1000) if empty else 0.0)

    def _backoff_s(self, throttle_s: float) -> float:
        if throttle_s > _MAX_REQUEST_THROTTLE_S:
            return throttle_s
        # For a quota of requests it may have to be more than the broker says, and asking counts as well.
        return min(_WINDOW_S, throttle_s * float(1 << min(self._empty_count - 1, 9)))

    def _record(self, throttle_ms: int, wait_s: float) -> None:
        self._throttled_until = time.monotonic() + wait_s
        self._lately_until = self._throttled_until + _LATELY_S
        if not self._warned:
            self._warned = True
            log.warning(
                "the broker throttles this client by a quota; going on at its pace",
                code="kafka_client_throttled",
                broker=self._broker,
                client_id=Request.CLIENT_ID.decode(),
                what=self._traffic,
                quota=f"{self._quota} or request_percentage",
                throttle_ms=throttle_ms,
            )

    def wait(self, cancelled: threading.Event) -> bool:
        """Wait until the broker accepts more; False where the event came first."""
        while (remaining_s := self.remaining_s) and not cancelled.is_set():
            cancelled.wait(min(remaining_s, _CHECK_INTERVAL_S))
        return not cancelled.is_set()


_paces: dict[tuple[str, bytes, str], QuotaPace] = {}
_lock = threading.Lock()


def _pace(broker: str, traffic: str, quota: str) -> QuotaPace:
    key = (broker, Request.CLIENT_ID, traffic)
    return _paces.setdefault(key, QuotaPace(broker, traffic, quota))


class Channel:
    """A connection to one broker for fetches and produce requests; made when it is first needed, and anew when lost.

    Args:
        broker: of pykafka.

    Attributes:
        fetches, produces: the broker's pace.
    """

    def __init__(self, broker: Any) -> None:
        host = host_text(broker.host)
        self._address = (broker.host, broker.port, broker._handler)
        self._timeout_ms = broker._socket_timeout_ms
        self._requests: Any = None
        self._lock = threading.Lock()
        self.fetches = _pace(f"{host}:{broker.port}", "fetches", "consumer_byte_rate")
        self.produces = _pace(f"{host}:{broker.port}", "messages", "producer_byte_rate")

    def request(self, request: Any) -> Any:
        """Send a request, and return its pending response.

        Raises:
            SocketDisconnectedError: the broker cannot be reached.
        """
        with self._lock:
            if self._requests is None or not self._is_alive():
                self._connect()
            return self._requests.request(request)

    def _is_alive(self) -> bool:
        shared = self._requests.shared
        if not shared.connection.connected or shared.requests.unfinished_tasks:
            return bool(shared.connection.connected)
        # Brokers close what was idle for long; where no answer is due, all that can be read is the end.
        poll = select.poll()
        poll.register(shared.connection._socket, select.POLLIN)
        return not poll.poll(0)

    def _connect(self) -> None:
        self.close()
        connection = BrokerConnection(*self._address)
        connection.connect(self._timeout_ms)
        requests = RequestHandler(self._address[2], connection)
        requests.start()
        self._requests = requests

    def close(self) -> None:
        """Let go of the connection."""
        requests, self._requests = self._requests, None
        if requests is not None:
            requests.stop()


def channel_to(broker: Any) -> Channel:
    """Return the channel to a broker of pykafka.

    Raises:
        SocketDisconnectedError: it is known not to be there.
    """
    if broker.handler is None:
        raise SocketDisconnectedError(getattr(broker, "why", "") or f"broker {broker.id} is not there")
    with _lock:
        found: Channel | None = getattr(broker, "channel", None)
        if found is None:
            found = broker.channel = Channel(broker)
    return found


def close(broker: Any) -> None:
    """Let go of the connection to a broker of pykafka, where there is one."""
    found: Channel | None = getattr(broker, "channel", None)
    if found is not None:
        found.close()
