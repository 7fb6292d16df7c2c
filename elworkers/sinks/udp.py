"""Records come in; each goes out as one datagram."""

from __future__ import annotations

import socket
from collections.abc import Sequence

from elworkers.contracts import Record, Refusal
from elworkers.errors import RetryableError

_LARGEST_PAYLOAD = 65_507


class UdpSink:
    """Sends to one address; implements `contracts.Sink`. UDP acknowledges nothing: sent is all there is to know.

    Raises:
        RetryableError: the host is not known.
    """

    def __init__(self, host: str, port: int) -> None:
        self._place = f"udp://{host}:{port}"
        self._pending: list[Record] = []
        try:
            family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
            self._socket = socket.socket(family, kind)
            self._socket.connect(address)
        except OSError as error:
            raise RetryableError(f"{self._place}: {error.strerror or error}") from error

    def write(self, records: Sequence[Record]) -> None:
        """See `contracts.Sink.write`."""
        self._pending += records

    def flush(self) -> list[Refusal]:
        """See `contracts.Sink.flush`; a value that no datagram can hold is refused."""
        refused = []
        pending, self._pending = self._pending, []
        for record in pending:
            if len(record.value) > _LARGEST_PAYLOAD:
                message = f"{len(record.value)} bytes do not fit into a datagram of {_LARGEST_PAYLOAD}"
                refused.append(Refusal(record, message))
                continue
            try:
                self._socket.send(record.value)
            except ConnectionRefusedError:
                # What an earlier datagram met: nobody listens there. This one was not sent.
                raise RetryableError(f"{self._place}: nobody listens") from None
            except OSError as error:
                raise RetryableError(f"{self._place}: {error.strerror}") from error
        return refused

    def close(self) -> None:
        """Close the socket."""
        self._pending = []
        self._socket.close()
