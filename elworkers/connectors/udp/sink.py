# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Sends each record as one datagram."""

from __future__ import annotations

from collections.abc import Sequence

from elworkers.core.contracts import Positions, Record, RejectedRecord
from elworkers.core.datagrams import Sender
from elworkers.core.errors import RetryableError
from elworkers.core.last_resort import LastResort, good_record
from elworkers.core.sockets import Address

_LARGEST_PAYLOAD = 65_507


class UdpSink:
    """Sends to one address, of several that a name has to one that does not refuse; implements `contracts.Sink`.

    UDP acknowledges nothing: what was sent counts as stored, unless the other side's machine says that nobody listens.

    Args:
        host: IPv4 or IPv6 address (without brackets) or name.
        port: UDP port.

    Raises:
        RetryableError: the host is not known.
    """

    def __init__(self, host: str, port: int) -> None:
        self._name = str(Address("udp", host, port))
        self._pending: list[Record] = []
        self._datagrams = LastResort("make a datagram of", lambda: _fits(good_record()))
        self._sender = Sender(host, port)
        self._send([])

    def write(self, records: Sequence[Record]) -> None:
        """See `contracts.Sink.write`."""
        self._pending += records

    def flush(self) -> list[RejectedRecord]:
        """See `contracts.Sink.flush`; a value that no datagram can hold is refused."""
        pending, self._pending = self._pending, []
        rejected, sent = [], []
        for record in pending:
            try:
                fits = _fits(record)
            except Exception as error:  # noqa: BLE001 - whose fault it is, is seen there
                rejected.append(self._datagrams.rejected(record, error))
                continue
            if fits:
                sent.append(record)
            else:
                rejected.append(_too_long(record))
        return rejected + [_too_long(sent[number]) for number in self._send([record.value for record in sent])]

    def _send(self, values: Sequence[bytes]) -> list[int]:
        try:
            return self._sender.send(values)
        except ConnectionRefusedError:
            raise RetryableError(f"{self._name}: nobody listens") from None
        except OSError as error:
            raise RetryableError(f"{self._name}: {error.strerror or error}") from error

    def commit_transaction(self, positions: Positions) -> None:
        """Do nothing: what was flushed is final."""

    def close(self) -> None:
        """Close the socket."""
        self._pending = []
        self._sender.close()


def _fits(record: Record) -> bool:
    return len(record.value) <= _LARGEST_PAYLOAD


def _too_long(record: Record) -> RejectedRecord:
    message = f"{len(record.value)} bytes do not fit into a datagram of {_LARGEST_PAYLOAD}"
    return RejectedRecord(record, message, too_large=True)
