"""The bytes of a fetch answer come in; messages go out.

pykafka takes each message apart in some twenty steps, several times as long as what is needed takes: offset, time,
key and value. The layout is that of fetch answers of version 2, with message sets of magic 0 and 1 (Kafka's protocol
guide, "Messages", "Old Message Format").
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from isal import isal_zlib
from pykafka.utils import compression

from elworkers.errors import RetryableError

FETCH_VERSION = 2

LARGEST_MESSAGE = 64 * 1024 * 1024
"""Bytes beyond which no message is asked for."""

_COUNT = struct.Struct(">i")
_PARTITION = struct.Struct(">ihqi")
_ENTRY = struct.Struct(">qi")
_HEAD = struct.Struct(">Ibb")
_TIME = struct.Struct(">q")
_PLAIN = struct.Struct(">qiIbbqii")
"""The 34 bytes before the value of a message of magic 1 without a key: offset, size, CRC, magic, attributes, time, and
the lengths of key and value. The size counts from the CRC, the CRC from the magic number on."""

_CODEC, _APPEND_TIME = 0x07, 0x08
_DECODERS: dict[int, Callable[[bytes], bytes]] = {
    1: lambda data: isal_zlib.decompress(data, 31),
    2: lambda data: bytes(compression.decode_snappy(data)),
    3: lambda data: bytes(compression.decode_lz4(data)),
}
"""By the codec's number: gzip, snappy, LZ4."""

Fields = tuple[int, int, bytes | None, bytes | None]
"""Those of a `Message`: offset, time, key, value."""


class Message(NamedTuple):
    """One message; `timestamp_ms` is -1 where it has none, `key` and `value` are None where they are null."""

    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None


class Part(NamedTuple):
    """What an answer says of one partition.

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


def parts(answer: bytes | bytearray | memoryview) -> Iterator[Part]:
    """The partitions of a fetch answer of version 2, without its correlation id."""
    view = memoryview(answer)
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
            yield Part(topic, number, error, high_watermark, view[at : at + size])
            at += size


def messages(data: memoryview) -> list[Message]:
    """The messages of a set that are whole, those of compressed sets among them.

    Raises:
        RetryableError: one is not what was written (its CRC is wrong), or of a format that nobody asked for.
    """
    return list(map(Message._make, fields(data)))


def fields(data: memoryview) -> list[Fields]:
    """The same without their names, which take a fifth of the time.

    Raises:
        RetryableError: see `messages`.
    """
    found: list[Fields] = []
    add, plain, count, crc32 = found.append, _PLAIN.unpack_from, _COUNT.unpack_from, isal_zlib.crc32
    # A slice of bytes costs half of one of a view that is made bytes afterwards.
    raw = bytes(data)
    view = memoryview(raw)
    at, end = 0, len(raw)
    while at + _PLAIN.size <= end:
        offset, size, crc, magic, attributes, time_ms, key_length, length = plain(raw, at)
        after = at + 12 + size
        if after > end:
            break
        if magic != 1 or attributes & _CODEC or (key_length < 0 and length < 0):
            found += _entry(view, at)
        elif crc32(view[at + 16 : after]) != crc:
            raise _damaged(offset, magic)
        elif key_length < 0:
            add((offset, time_ms, None, raw[at + 34 : after]))
        else:
            value_at = at + 34 + key_length
            (length,) = count(raw, value_at - 4)
            add((offset, time_ms, raw[at + 30 : value_at - 4], raw[value_at:after] if length >= 0 else None))
        at = after
    # The last one may be shorter than that: magic 0 has no time.
    if at + _ENTRY.size <= end and at + _ENTRY.size + _ENTRY.unpack_from(raw, at)[1] <= end:
        found += _entry(view, at)
    return found


def _entry(view: memoryview, at: int) -> Sequence[Fields]:
    """The message in an entry of any kind, or those of the compressed set that is in it."""
    offset, size = _ENTRY.unpack_from(view, at)
    begin = at + _ENTRY.size
    crc, magic, attributes = _HEAD.unpack_from(view, begin)
    if isal_zlib.crc32(view[begin + 4 : begin + size]) != crc or magic not in (0, 1):
        raise _damaged(offset, magic)
    key_at, time_ms = begin + _HEAD.size, -1
    if magic:
        (time_ms,) = _TIME.unpack_from(view, key_at)
        key_at += _TIME.size
    key, value_at = _bytes(view, key_at)
    value, _ = _bytes(view, value_at)
    if attributes & _CODEC and value is not None:
        return _unpacked(value, attributes, offset, time_ms, magic)
    return ((offset, time_ms, key, value),)


def _bytes(view: memoryview, at: int) -> tuple[bytes | None, int]:
    (length,) = _COUNT.unpack_from(view, at)
    after = at + 4 + max(length, 0)
    return (bytes(view[at + 4 : after]) if length >= 0 else None), after


def _damaged(offset: int, magic: int) -> RetryableError:
    return RetryableError(f"Kafka: the message at offset {offset} is damaged, or of format {magic}")


def _unpacked(value: bytes, attributes: int, offset: int, time_ms: int, magic: int) -> Sequence[Fields]:
    decode = _DECODERS.get(attributes & _CODEC)
    if decode is None:
        raise RetryableError(f"Kafka: the set at offset {offset} is compressed by codec {attributes & _CODEC}")
    inner = fields(memoryview(decode(value)))
    # Inside a set of magic 1 offsets count from 0, and the set has that of its last message.
    shift = offset - inner[-1][0] if inner and magic else 0
    if attributes & _APPEND_TIME:
        return [(one + shift, time_ms, key, value) for one, _, key, value in inner]
    return [(one + shift, own_ms, key, value) for one, own_ms, key, value in inner] if shift else inner
