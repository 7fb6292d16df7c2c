# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""What a broker says of its cluster, read without a client library."""

from __future__ import annotations

import socket
import struct
import threading

import pytest

from elworkers.devstack import asking
from elworkers.devstack.asking import Cluster


def text(value: str) -> bytes:
    return struct.pack(">h", len(value)) + value.encode()


def numbers(*values: int) -> bytes:
    return struct.pack(f">i{len(values)}i", len(values), *values)


def broker(node: int, rack: bytes = struct.pack(">h", -1)) -> bytes:
    return struct.pack(">i", node) + text("127.0.0.1") + struct.pack(">i", 9092) + rack


def partition(number: int, in_sync: tuple[int, ...]) -> bytes:
    return struct.pack(">hii", 0, number, 1) + numbers(1, 2, 3) + numbers(*in_sync) + numbers()


def answer(*partitions: bytes) -> bytes:
    """Metadata in version 5, of two brokers and one topic."""
    topic = struct.pack(">h", 0) + text("topic") + b"\0" + struct.pack(">i", len(partitions)) + b"".join(partitions)
    brokers = struct.pack(">i", 2) + broker(1) + broker(20, text("here"))
    return struct.pack(">ii", 1, 0) + brokers + text("cluster") + struct.pack(">ii", 1, 1) + topic


def asked(said: bytes) -> Cluster:
    """What is found where something listens that says this, whatever it is asked."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            with listening.accept()[0] as taken:
                taken.recv(1024)
                taken.sendall(said)

        serving = threading.Thread(target=serve)
        serving.start()
        try:
            return asking.cluster("127.0.0.1", listening.getsockname()[1])
        finally:
            serving.join()


def test_brokers_and_replicas_that_are_behind() -> None:
    found = answer(partition(0, (1, 2, 3)), partition(1, (1,)))
    assert asked(struct.pack(">i", len(found)) + found) == Cluster(frozenset({1, 20}), 2)


@pytest.mark.parametrize("said", [b"", b"\0\0\0\2no", struct.pack(">i", 1 << 20) + answer()[:40], b"HTTP/1.1 400 Bad"])
def test_what_is_no_broker_has_none(said: bytes) -> None:
    assert asked(said) == Cluster()


def test_where_nobody_listens_is_none() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        assert asking.cluster("127.0.0.1", silent.getsockname()[1]) == Cluster()
