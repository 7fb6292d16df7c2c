# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Encodes and decodes requests of Kafka's protocol that pykafka lacks.

The layout is that of the protocol guide, "Protocol Primitive Types". Newer versions of a request are "flexible":
lengths are variable and count from 1, and every structure ends with tagged fields.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from pykafka.protocol.base import Request

from elworkers.core.errors import RetryableError

NO_TAGS = b"\0"

_T = TypeVar("_T")


class RawRequest(Request):  # type: ignore[misc]
    """A request by its number and version, over a connection of pykafka.

    Args:
        api: Kafka's number of the request.
        version: of the request and of its answer.
        body: what follows the header.
        flexible: whether this version has tagged fields.
    """

    def __init__(self, api: int, version: int, body: bytes, flexible: bool = False) -> None:
        self.API_KEY = api
        self._version = version
        self._body = (NO_TAGS if flexible else b"") + body

    def get_bytes(self) -> bytearray:
        """Return the whole request, its size before it."""
        data = bytearray(self.HEADER_LEN + len(self._body))
        self._write_header(data, api_version=self._version)
        data[self.HEADER_LEN :] = self._body
        return data


def ask(broker: Any, request: RawRequest) -> ResponseReader:
    """Return what a broker answers, without the correlation id.

    Args:
        broker: of pykafka; connected where it is not yet.

    Raises:
        KafkaException, OSError: it is away; the caller translates.
    """
    if broker.handler is None:
        broker.connect()
    return ResponseReader(bytes(broker.handler.request(request).get()))


def compact(text: str) -> bytes:
    """Return a string as flexible requests have it."""
    data = text.encode()
    return unsigned(len(data) + 1) + data


def short(text: str) -> bytes:
    """Return a string as other requests have it."""
    data = text.encode()
    return struct.pack(">h", len(data)) + data


def unsigned(number: int) -> bytes:
    """Return a number of variable length: seven bits a byte, the lowest first."""
    data = bytearray()
    while number > 127:
        data.append(number & 127 | 128)
        number >>= 7
    data.append(number)
    return bytes(data)


def array(items: Sequence[bytes], flexible: bool = False) -> bytes:
    """Return structures behind their count."""
    count = unsigned(len(items) + 1) if flexible else struct.pack(">i", len(items))
    return count + b"".join(items)


class ResponseReader:
    """Reads the bytes of a response from the front.

    Every method raises `RetryableError` where the answer ends before what it reads.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, size: int) -> bytes:
        """Return this many bytes."""
        after = self._at + size
        if size < 0 or after > len(self._data):
            raise RetryableError(f"Kafka: an answer of {len(self._data)} bytes ends before what it should hold")
        taken = self._data[self._at : after]
        self._at = after
        return taken

    def number(self, size: int) -> int:
        """Return a signed number of 1, 2, 4 or 8 bytes."""
        return int.from_bytes(self.take(size), "big", signed=True)

    def unsigned(self) -> int:
        """Return a number of variable length."""
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 127) << shift
            if byte < 128 or shift > 28:
                return value
            shift += 7

    def compact(self) -> str:
        """Return a string of a flexible answer; empty where it is null."""
        return self.take(max(0, self.unsigned() - 1)).decode()

    def short(self) -> str:
        """Return a string of another answer; empty where it is null."""
        return self.take(max(0, self.number(2))).decode()

    def structures(self, read: Callable[[], _T]) -> Iterator[_T]:
        """Yield what is read of each structure of a flexible array, and its tagged fields passed over."""
        for _ in range(max(0, self.unsigned() - 1)):
            yield read()
            self.tags()

    def items(self, read: Callable[[], _T]) -> Iterator[_T]:
        """Yield what is read of each item of another array."""
        for _ in range(max(0, self.number(4))):
            yield read()

    def tags(self) -> None:
        """Pass over tagged fields."""
        for _ in range(self.unsigned()):
            self.unsigned()
            self.take(self.unsigned())
