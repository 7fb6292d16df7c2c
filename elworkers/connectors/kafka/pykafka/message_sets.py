# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Encodes records as message sets and produce requests, and decodes the responses.

pykafka makes an object of each message and packs it in three steps. The layout is that of messages of magic 1 and of
produce requests of version 1 (Kafka's protocol guide, "Messages", "Old Message Format").
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from isal import isal_zlib
from pykafka.protocol.base import Request
from pykafka.utils import compression

from elworkers.connectors.kafka.batches import MESSAGE_OVERHEAD
from elworkers.core.contracts import Record, TopicPartition

_MAGIC, _NULL = 1, -1
_ENTRY = struct.Struct(">qiI")
_BODY = struct.Struct(">bbqii")
_KEYED = struct.Struct(">bbqi")
_COUNT = struct.Struct(">i")
_ACKS = struct.Struct(">hii")
_PARTITION = struct.Struct(">ii")
_LENGTH = struct.Struct(">h")
_VERSION = 1
"""The oldest version whose response has a throttle time."""

_PARTITION_RESPONSE = struct.Struct(">ihq")
_COUNTED_OVERHEAD = MESSAGE_OVERHEAD - 12
"""Bytes of a message without key and value that its size counts."""

_CODECS: Mapping[str, tuple[int, Callable[[bytes], bytes]]] = {
    "gzip": (1, compression.encode_gzip),
    "snappy": (2, compression.encode_snappy),
}


def message_set(records: Sequence[Record], keys: Sequence[bytes], now_ms: int, codec: str = "none") -> list[bytes]:
    """Return a message set of records with their keys, or without any; the time of a record that has none is now.

    It comes in pieces: a request joins those of all its sets, so that they are in memory once.
    """
    chunks: list[bytes] = []
    crc32, body_of, entry_of = isal_zlib.crc32, _BODY.pack, _ENTRY.pack
    for number, record in enumerate(records):
        value = record.value
        size = len(value)
        if not keys:
            head = body_of(_MAGIC, 0, record.timestamp_ms or now_ms, _NULL, size)
        else:
            key = keys[number]
            head = _KEYED.pack(_MAGIC, 0, record.timestamp_ms or now_ms, len(key)) + key + _COUNT.pack(size)
            size += len(key)
        chunks += (entry_of(number, _COUNTED_OVERHEAD + size, crc32(value, crc32(head))) + head, value)
    if codec == "none" or not chunks:
        return chunks
    number, encode = _CODECS[codec]
    value = encode(b"".join(chunks))
    head = body_of(_MAGIC, number, now_ms, _NULL, len(value))
    return [entry_of(len(records) - 1, _COUNTED_OVERHEAD + len(value), crc32(value, crc32(head))) + head, value]


class EncodedProduceRequest(Request):  # type: ignore[misc]
    """A produce request.

    Args:
        sets: places with the pieces of their message sets, each place once.
        acks: -1 for all replicas, 1 for the leader.
        timeout_ms: longest wait of the broker for its replicas.
    """

    API_KEY = 0

    def __init__(self, sets: Sequence[tuple[TopicPartition, Sequence[bytes]]], acks: int, timeout_ms: int) -> None:
        # Here, because pykafka asks for the bytes in a thread of its own, and never hears of an error there.
        by_topic: dict[str, list[tuple[int, Sequence[bytes]]]] = {}
        for (topic, partition), encoded in sets:
            by_topic.setdefault(topic, []).append((partition, encoded))
        chunks = [bytes(self.HEADER_LEN), _ACKS.pack(acks, timeout_ms, len(by_topic))]
        for topic, partitions in by_topic.items():
            name = topic.encode()
            chunks.append(_LENGTH.pack(len(name)) + name + _COUNT.pack(len(partitions)))
            for partition, encoded in partitions:
                chunks.append(_PARTITION.pack(partition, sum(map(len, encoded))))
                chunks += encoded
        output = bytearray().join(chunks)
        self._write_header(output, api_version=_VERSION)
        self._output = output

    def get_bytes(self) -> bytearray:
        """Return the request as it is sent."""
        return self._output


class ProduceResponse(NamedTuple):
    """The response to a produce request.

    Attributes:
        codes: place → Kafka's error code, 0 for none.
        throttle_ms: for how long the broker reads nothing more of this connection, because of a quota.
    """

    codes: dict[TopicPartition, int]
    throttle_ms: int


def parse_produce_response(response: bytes | memoryview) -> ProduceResponse:
    """Return a parsed response; it comes without its correlation id."""
    codes: dict[TopicPartition, int] = {}
    (topics,) = _COUNT.unpack_from(response, 0)
    at = _COUNT.size
    for _ in range(topics):
        (length,) = _LENGTH.unpack_from(response, at)
        at += _LENGTH.size + length
        topic = bytes(response[at - length : at]).decode()
        (count,) = _COUNT.unpack_from(response, at)
        at += _COUNT.size
        for partition, code, _offset in _PARTITION_RESPONSE.iter_unpack(
            response[at : at + count * _PARTITION_RESPONSE.size]
        ):
            codes[TopicPartition(topic, partition)] = code
        at += count * _PARTITION_RESPONSE.size
    return ProduceResponse(codes, *_COUNT.unpack_from(response, at))
