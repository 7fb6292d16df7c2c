"""What an administrator does to topics, in Kafka's protocol: pykafka has no request for it."""

from __future__ import annotations

import socket
import struct


def _text(text: str) -> bytes:
    return struct.pack("!h", len(text)) + text.encode()


def _ask(broker: str, api: int, body: bytes) -> bytes:
    host, _, port = broker.partition(":")
    request = struct.pack("!hhi", api, 0, 1) + _text("test") + body
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(struct.pack("!i", len(request)) + request)
        stream = connection.makefile("rb")
        (size,) = struct.unpack("!i", stream.read(4))
        return stream.read(size)


def add_partitions(broker: str, topic: str, count: int) -> None:
    """Give a topic so many partitions in all (CreatePartitions)."""
    body = struct.pack("!i", 1) + _text(topic) + struct.pack("!iiib", count, -1, 30_000, 0)
    answer = _ask(broker, 37, body)
    (code,) = struct.unpack_from("!h", answer, 4 + 4 + 4 + 2 + len(topic))
    assert code == 0, f"error code {code}"


def delete_records(broker: str, topic: str, partition: int, before: int) -> None:
    """Delete what comes before an offset (DeleteRecords)."""
    body = struct.pack("!i", 1) + _text(topic) + struct.pack("!iiqi", 1, partition, before, 30_000)
    answer = _ask(broker, 21, body)
    (code,) = struct.unpack_from("!h", answer, len(answer) - 2)
    assert code == 0, f"error code {code}"
