# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""What an administrator does to topics, in Kafka's protocol: pykafka has no request for it."""

from __future__ import annotations

import socket
import struct
from collections.abc import Mapping, Sequence


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


def create_topics(broker: str, topics: Sequence[str], partitions: int) -> None:
    """Make topics, all in one request (CreateTopics)."""
    rows = b"".join(_text(topic) + struct.pack("!ihii", partitions, 1, 0, 0) for topic in topics)
    answer = _ask(broker, 19, struct.pack("!i", len(topics)) + rows + struct.pack("!ib", 60_000, 0))
    assert answer.count(b"exists") == 0, answer


def delete_records(broker: str, topic: str, partition: int, before: int) -> None:
    """Delete what comes before an offset (DeleteRecords)."""
    body = struct.pack("!i", 1) + _text(topic) + struct.pack("!iiqi", 1, partition, before, 30_000)
    answer = _ask(broker, 21, body)
    (code,) = struct.unpack_from("!h", answer, len(answer) - 2)
    assert code == 0, f"error code {code}"


def delete_topic(broker: str, topic: str) -> None:
    """Delete a topic (DeleteTopics)."""
    answer = _ask(broker, 20, struct.pack("!i", 1) + _text(topic) + struct.pack("!i", 30_000))
    (code,) = struct.unpack_from("!h", answer, len(answer) - 2)
    assert code == 0, f"error code {code}"


def create_topic(broker: str, topic: str, settings: Mapping[str, str], partitions: int = 1) -> None:
    """Make a topic with settings of its own (CreateTopics)."""
    row = _text(topic) + struct.pack("!ihi", partitions, 1, 0) + _settings(settings)
    answer = _ask(broker, 19, struct.pack("!i", 1) + row + struct.pack("!i", 60_000))
    (code,) = struct.unpack_from("!h", answer, len(answer) - 2)
    assert code == 0, f"error code {code}"


def _settings(settings: Mapping[str, str]) -> bytes:
    rows = (_text(name) + _text(value) for name, value in settings.items())
    return struct.pack("!i", len(settings)) + b"".join(rows)


def set_quota(broker: str, client_id: str, name: str, value: float | None) -> None:
    """Bound what a client id may do, as by `consumer_byte_rate`; None: no longer (AlterClientQuotas)."""
    entity = struct.pack("!i", 1) + _text("client-id") + _text(client_id)
    change = struct.pack("!i", 1) + _text(name) + struct.pack("!d?", value or 0.0, value is None)
    answer = _ask(broker, 49, struct.pack("!i", 1) + entity + change + b"\0")
    (code,) = struct.unpack_from("!h", answer, 4 + 4 + 4)
    assert code == 0, f"error code {code}"
