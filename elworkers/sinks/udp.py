"""Records come in; each goes out as one datagram."""

from __future__ import annotations

import errno
import socket
from collections.abc import Sequence

from elworkers.contracts import Positions, Record, Refusal
from elworkers.errors import RetryableError
from elworkers.lastresort import LastResort, good_record

_LARGEST_PAYLOAD = 65_507


class UdpSink:
    """Sends to one address; implements `contracts.Sink`.

    UDP acknowledges nothing: what was sent counts as stored, unless the other side's machine says that nobody listens.

    Args:
        host: IPv4 or IPv6 address (without brackets) or name.
        port: UDP port.

    Raises:
        RetryableError: the host is not known.
    """

    def __init__(self, host: str, port: int) -> None:
        self._place = f"udp://[{host}]:{port}" if ":" in host else f"udp://{host}:{port}"
        self._pending: list[Record] = []
        self._datagrams = LastResort("make a datagram of", lambda: _fits(good_record()))
        try:
            family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
            self._socket = socket.socket(family, kind)
        except OSError as error:
            raise RetryableError(f"{self._place}: {error.strerror or error}") from error
        try:
            self._socket.connect(address)
        except OSError as error:
            self._socket.close()
            raise RetryableError(f"{self._place}: {error.strerror}") from error

    def write(self, records: Sequence[Record]) -> None:
        """See `contracts.Sink.write`."""
        self._pending += records

    def flush(self) -> list[Refusal]:
        """See `contracts.Sink.flush`; a value that no datagram can hold is refused."""
        pending, self._pending = self._pending, []
        refused = []
        for record in pending:
            try:
                fits = _fits(record)
            except Exception as error:  # noqa: BLE001 - whose fault it is, is seen there
                refused.append(self._datagrams.refusal(record, error))
                continue
            if not fits or not self._send(record.value):
                message = f"{len(record.value)} bytes do not fit into a datagram of {_LARGEST_PAYLOAD}"
                refused.append(Refusal(record, message, too_large=True))
        # The last datagram's own answer; on this machine and on some networks it is there by now.
        if self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNREFUSED:
            raise RetryableError(f"{self._place}: nobody listens")
        return refused

    def _send(self, value: bytes) -> bool:
        try:
            self._socket.send(value)
        except ConnectionRefusedError:
            # What an earlier datagram met; this one was not sent.
            raise RetryableError(f"{self._place}: nobody listens") from None
        except OSError as error:
            if error.errno == errno.EMSGSIZE:
                return False
            raise RetryableError(f"{self._place}: {error.strerror}") from error
        return True

    def settle(self, positions: Positions) -> None:
        """Nothing: what was flushed is final."""

    def close(self) -> None:
        """Close the socket."""
        self._pending = []
        self._socket.close()


def _fits(record: Record) -> bool:
    return len(record.value) <= _LARGEST_PAYLOAD
