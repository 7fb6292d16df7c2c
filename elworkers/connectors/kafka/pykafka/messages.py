# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Decodes the messages in a fetch response.

pykafka takes each message apart in some twenty steps, several times as long as what is needed takes: offset, time,
key and value. The layout is that of fetch answers of version 2, with message sets of magic 0 and 1 (Kafka's protocol
guide, "Messages", "Old Message Format").
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from isal import isal_zlib

from elworkers.connectors.kafka.driver import RawMessage
from elworkers.connectors.kafka.pykafka.decompress import decompress
from elworkers.core.errors import RetryableError

FETCH_VERSION = 2

MAX_MESSAGE_BYTES = 64 * 1024 * 1024
"""Largest size of a response that is requested for a single message."""

_COUNT = struct.Struct(">i")
_PARTITION = struct.Struct(">ihqi")
_ENTRY = struct.Struct(">qi")
_HEAD = struct.Struct(">Ibb")
_TIME = struct.Struct(">q")
_PLAIN = struct.Struct(">qiIbbqii")
"""The 34 bytes before the value of a message of magic 1 without a key: offset, size, CRC, magic, attributes, time, and
the lengths of key and value. The size counts from the CRC, the CRC from the magic number on."""

_CODEC, _APPEND_TIME = 0x07, 0x08
_SMALLEST = {0: 14, 1: 22}
"""Bytes of a message from its CRC on without key and value, by its magic number."""


class UnreadableError(RetryableError):
    """A message set that this client cannot read; its partition has to be stalled.

    Attributes:
        messages_before: the messages before the unreadable one, in order.
        offset: of the unreadable one.
    """

    def __init__(self, offset: int, why: str) -> None:
        super().__init__(f"Kafka: the message at offset {offset} {why}")
        self.messages_before: list[RawMessage] = []
        self.offset = offset


class Message(NamedTuple):
    """One message; `timestamp_ms` is -1 where it has none, `key` and `value` are None where they are null."""

    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None


class PartitionResponse(NamedTuple):
    """One partition's part of a fetch response.

    Attributes:
        error: Kafka's code, 0 for none.
        high_watermark: the offset that the next message will get which all replicas have.
        data: its message set, of which the last message may be cut off.
    """

    topic: str
    partition: int
    error: int
    high_watermark: int
    data: memoryview


def throttle_ms(response: bytes | bytearray | memoryview) -> int:
    """Return for how many ms the broker reads nothing more of this connection because of a quota.

    Raises:
        RetryableError: the answer breaks off.
    """
    if len(response) < _COUNT.size:
        raise RetryableError("Kafka: an answer to a fetch breaks off, or is none")
    throttled_ms: int = _COUNT.unpack_from(response, 0)[0]
    return throttled_ms


def partition_responses(response: bytes | bytearray | memoryview) -> Iterator[PartitionResponse]:
    """Yield the partitions of a fetch answer of version 2, without its correlation id.

    Raises:
        RetryableError: the answer breaks off.
    """
    try:
        yield from _partition_responses(memoryview(response))
    except (struct.error, UnicodeDecodeError) as error:
        raise RetryableError("Kafka: an answer to a fetch breaks off, or is none") from error


def _partition_responses(view: memoryview) -> Iterator[PartitionResponse]:
    (topics,) = _COUNT.unpack_from(view, 4)
    at = 8
    for _ in range(topics):
        (length,) = struct.unpack_from(">h", view, at)
        topic = bytes(view[at + 2 : at + 2 + length]).decode()
        (count,) = _COUNT.unpack_from(view, at + 2 + length)
        at += 6 + length
        for _ in range(count):
            number, error, high_watermark, size = _PARTITION.unpack_from(view, at)
            at += _PARTITION.size
            # -1 is a null record set, which brokers send with some errors.
            end = at + max(size, 0)
            if end > len(view):
                raise struct.error
            yield PartitionResponse(topic, number, error, high_watermark, view[at:end])
            at = end


def messages(data: memoryview) -> list[Message]:
    """Return the messages of a set that are whole, those of compressed sets among them.

    Raises:
        UnreadableError: one is not what was written (its CRC is wrong), of a format that nobody asked for, or
            compressed in a way that cannot be read.
    """
    return list(map(Message._make, raw_messages(data)))


def raw_messages(data: memoryview, *, nested: bool = False) -> list[RawMessage]:
    """Return the messages as tuples, which takes four fifths of the time.

    Args:
        data: the set.
        nested: it was in a compressed message itself, so that none of its own may be compressed again.

    Raises:
        UnreadableError: see `messages`.
    """
    decoded: list[RawMessage] = []
    try:
        _read(data, decoded, nested)
    except UnreadableError as error:
        error.messages_before = decoded
        raise
    return decoded


def deduplicated(found: list[RawMessage]) -> list[RawMessage]:
    """Return each message once, by its offset.

    A broker that converts an answer for an old client sends some twice where that begins with a transaction's marker.
    """
    last = -1
    unique: list[RawMessage] = []
    for message in found:
        if message[0] > last:
            unique.append(message)
            last = message[0]
    return unique


def _read(data: memoryview, decoded: list[RawMessage], nested: bool) -> None:
    add, plain, count, crc32 = decoded.append, _PLAIN.unpack_from, _COUNT.unpack_from, isal_zlib.crc32
    # A slice of bytes costs half of one of a view that is made bytes afterwards.
    raw = bytes(data)
    view = memoryview(raw)
    at, end = 0, len(raw)
    while at + _PLAIN.size <= end:
        offset, size, crc, magic, attributes, time_ms, key_length, length = plain(raw, at)
        after = at + 12 + size
        if after > end:
            break
        if size < 22 or magic != 1 or attributes & _CODEC or (key_length < 0 and length < 0):
            decoded += _entry(view, at, nested)
        elif crc32(view[at + 16 : after]) != crc:
            raise _damaged_error(offset, magic)
        elif key_length < 0:
            add((offset, time_ms, None, raw[at + 34 : after]))
        else:
            value_at = at + 34 + key_length
            if value_at > after:
                raise _damaged_error(offset, magic)
            (length,) = count(raw, value_at - 4)
            add((offset, time_ms, raw[at + 30 : value_at - 4], raw[value_at:after] if length >= 0 else None))
        at = after
    # The last one may be shorter than that: magic 0 has no time.
    if at + _ENTRY.size <= end and at + _ENTRY.size + _ENTRY.unpack_from(raw, at)[1] <= end:
        decoded += _entry(view, at, nested)


def _entry(view: memoryview, at: int, nested: bool) -> Sequence[RawMessage]:
    """Return the message in an entry of any kind, or those of the compressed set that is in it."""
    offset, size = _ENTRY.unpack_from(view, at)
    begin = at + _ENTRY.size
    if size < _SMALLEST[0]:
        raise UnreadableError(offset, f"is damaged: its size is {size}")
    crc, magic, attributes = _HEAD.unpack_from(view, begin)
    wrong = magic not in _SMALLEST or size < _SMALLEST[magic]
    if wrong or isal_zlib.crc32(view[begin + 4 : begin + size]) != crc:
        raise _damaged_error(offset, magic)
    end = begin + size
    key_at, time_ms = begin + _HEAD.size, -1
    if magic:
        (time_ms,) = _TIME.unpack_from(view, key_at)
        key_at += _TIME.size
    try:
        key, value_at = _bytes(view, key_at, end)
        value, _ = _bytes(view, value_at, end)
    except ValueError:
        raise _damaged_error(offset, magic) from None
    if attributes & _CODEC and value is not None:
        if nested:
            raise UnreadableError(offset, "is compressed a second time")
        return _decompressed(value, attributes, offset, time_ms, magic)
    return ((offset, time_ms, key, value),)


def _bytes(view: memoryview, at: int, end: int) -> tuple[bytes | None, int]:
    if at + 4 > end:
        raise ValueError
    (length,) = _COUNT.unpack_from(view, at)
    after = at + 4 + max(length, 0)
    if after > end:
        raise ValueError
    return (bytes(view[at + 4 : after]) if length >= 0 else None), after


def _damaged_error(offset: int, magic: int) -> UnreadableError:
    return UnreadableError(offset, f"is damaged, or of format {magic}")


def _decompressed(value: bytes, attributes: int, offset: int, time_ms: int, magic: int) -> Sequence[RawMessage]:
    try:
        inner = raw_messages(memoryview(decompress(attributes & _CODEC, value)), nested=True)
    except ValueError as error:
        raise UnreadableError(offset, str(error)) from None
    except UnreadableError as error:
        # Offsets in there may count from 0, so that none of it can be handed over alone.
        raise UnreadableError(offset, f"is a compressed set with one that cannot be read ({error})") from None
    # Inside a set of magic 1 offsets count from 0, and the set has that of its last message.
    shift = offset - inner[-1][0] if inner and magic else 0
    if attributes & _APPEND_TIME:
        return [(one + shift, time_ms, key, value) for one, _, key, value in inner]
    return [(one + shift, own_ms, key, value) for one, own_ms, key, value in inner] if shift else inner
