"""The bytes of a fetch answer come in; messages go out.

pykafka takes each message apart in some twenty steps, several times as long as what is needed takes: offset, time,
key and value. The layout is that of fetch answers of version 2, with message sets of magic 0 and 1 (Kafka's protocol
guide, "Messages", "Old Message Format").
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

from pykafka.utils import compression

from elworkers.errors import RetryableError

FETCH_VERSION = 2

_COUNT = struct.Struct(">i")
_PARTITION = struct.Struct(">ihqi")
_ENTRY = struct.Struct(">qi")
_HEAD = struct.Struct(">Ibb")
_TIME = struct.Struct(">q")
_CODEC, _APPEND_TIME = 0x07, 0x08
_DECODERS: dict[int, Callable[[bytes], bytes]] = {
    1: lambda data: zlib.decompress(data, 31),
    2: lambda data: bytes(compression.decode_snappy(data)),
    3: lambda data: bytes(compression.decode_lz4(data)),
}
"""By the codec's number: gzip, snappy, LZ4."""


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
    found: list[Message] = []
    at, end = 0, len(data)
    while at + _ENTRY.size <= end:
        offset, size = _ENTRY.unpack_from(data, at)
        begin = at + _ENTRY.size
        at = begin + size
        if at > end:
            break
        crc, magic, attributes = _HEAD.unpack_from(data, begin)
        if zlib.crc32(data[begin + 4 : at]) != crc or magic not in (0, 1):
            raise RetryableError(f"Kafka: the message at offset {offset} is damaged, or of format {magic}")
        key_at, time_ms = begin + _HEAD.size, -1
        if magic:
            (time_ms,) = _TIME.unpack_from(data, key_at)
            key_at += _TIME.size
        (length,) = _COUNT.unpack_from(data, key_at)
        value_at = key_at + 4 + max(length, 0)
        key = bytes(data[key_at + 4 : value_at]) if length >= 0 else None
        (length,) = _COUNT.unpack_from(data, value_at)
        value = bytes(data[value_at + 4 : value_at + 4 + length]) if length >= 0 else None
        if attributes & _CODEC and value is not None:
            found += _unpacked(value, attributes, offset, time_ms, magic)
        else:
            found.append(Message(offset, time_ms, key, value))
    return found


def _unpacked(value: bytes, attributes: int, offset: int, time_ms: int, magic: int) -> list[Message]:
    decode = _DECODERS.get(attributes & _CODEC)
    if decode is None:
        raise RetryableError(f"Kafka: the set at offset {offset} is compressed by codec {attributes & _CODEC}")
    inner = messages(memoryview(decode(value)))
    # Inside a set of magic 1 offsets count from 0, and the set has that of its last message.
    shift = offset - inner[-1].offset if inner and magic else 0
    if shift or attributes & _APPEND_TIME:
        shown = time_ms if attributes & _APPEND_TIME else None
        inner = [
            one._replace(offset=one.offset + shift, timestamp_ms=one.timestamp_ms if shown is None else shown)
            for one in inner
        ]
    return inner
