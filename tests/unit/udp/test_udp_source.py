# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Datagrams to records, beyond what the contract suite asks."""

from __future__ import annotations

import socket

import pytest
from structlog.testing import capture_logs

from elworkers.connectors.udp.source import UdpSource
from elworkers.core.errors import InvalidEventError, RetryableError
from elworkers.core.metrics import Counters
from elworkers.events.parse import compile_format

BUFFER = 64 * 1024


def send(source: UdpSource, *datagrams: bytes, host: str = "127.0.0.1") -> None:
    """Send datagrams to the source's port; on the loopback interface they are there when this returns."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sender:
        for datagram in datagrams:
            sender.sendto(datagram, (host, source.address[1]))


def values(source: UdpSource, limit: int = 100) -> list[bytes]:
    """One poll's values."""
    return [record.value for record in source.poll(limit, 5.0)]


@pytest.mark.parametrize(
    ("datagram", "lines"),
    [
        (b"one", [b"one"]),
        (b"one\n", [b"one"]),
        (b"one\ntwo\nthree", [b"one", b"two", b"three"]),
        (b"one\r\ntwo\r\n", [b"one", b"two"]),
        (b"\n\none\n\n \t\n\r\ntwo\n\n", [b"one", b"two"]),
        (b"one\r\r\n", [b"one\r"]),
        (b'EventLogging {"a": "\\n"}\n', [b'EventLogging {"a": "\\n"}']),
    ],
)
def test_a_datagram_may_hold_several_lines(datagram: bytes, lines: list[bytes]) -> None:
    source = UdpSource("127.0.0.1", 0, receive_buffer=BUFFER, metrics=Counters())
    send(source, datagram)
    assert values(source) == lines
    source.close()


def test_lines_beyond_the_limit_wait_for_the_next_poll() -> None:
    source = UdpSource("127.0.0.1", 0, receive_buffer=BUFFER, metrics=Counters())
    send(source, b"1\n2\n3\n4\n5", b"6\n7")
    assert [values(source, limit=3) for _ in range(3)] == [[b"1", b"2", b"3"], [b"4", b"5", b"6"], [b"7"]]
    source.close()


def test_datagrams_without_a_line_do_not_end_the_wait() -> None:
    source = UdpSource("127.0.0.1", 0, receive_buffer=BUFFER, metrics=Counters())
    send(source, b"", b"\n", b"line")
    assert values(source) == [b"line"]
    send(source, b"", b"\r\n")
    assert source.poll(10, 0.0) == []
    source.close()


def test_the_largest_datagram_is_taken_whole() -> None:
    source = UdpSource("127.0.0.1", 0, receive_buffer=4 * 1024 * 1024, metrics=Counters())
    send(source, b"x" * 65_507)
    assert values(source) == [b"x" * 65_507]
    source.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_what_mediawiki_sends_is_taken_to_the_byte(host: str) -> None:
    # Its prefix and a blank before each line, no more than 65,506 bytes of that, and an LF where none is at the end.
    lines = [b'EventLogging {"event": "%b \\u00e9"}' % (b"%d" % number * 30_000) for number in range(3)]
    datagram = b"\n".join(lines)[:65_506] + b"\n"
    source = UdpSource(host, 0, receive_buffer=4 * 1024 * 1024, metrics=Counters())
    send(source, datagram, datagram, host=host)
    taken = values(source)
    assert taken == [*lines[:2], lines[2][: 65_506 - len(lines[0]) * 2 - 2]] * 2
    assert b"\n".join(taken[:3]) + b"\n" == datagram
    assert [len(compile_format("EventLogging %j")(line)["event"]) for line in taken[:2]] == [30_002] * 2
    with pytest.raises(InvalidEventError):
        compile_format("EventLogging %j")(taken[2])
    source.close()


def test_bound_to_all_ipv6_addresses_it_takes_ipv4_as_well() -> None:
    source = UdpSource("::", 0, receive_buffer=BUFFER, metrics=Counters())
    send(source, b"six", host="::1")
    send(source, b"four", host="127.0.0.1")
    assert values(source) == [b"six", b"four"]
    source.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_port_that_is_taken_is_named_and_free_after_close(host: str) -> None:
    first = UdpSource(host, 0, receive_buffer=BUFFER, metrics=Counters())
    port = first.address[1]
    shown = f"[{host}]" if ":" in host else host
    with pytest.raises(RetryableError) as caught:
        UdpSource(host, port, receive_buffer=BUFFER, metrics=Counters())
    assert f"udp://{shown}:{port}" in str(caught.value)
    assert "in use" in str(caught.value)
    first.close()
    second = UdpSource(host, port, receive_buffer=BUFFER, metrics=Counters())
    assert second.address[1] == port
    second.close()


def test_an_address_of_another_machine_is_named() -> None:
    with pytest.raises(RetryableError, match=r"udp://192\.0\.2\.1:8421"):
        UdpSource("192.0.2.1", 8421, receive_buffer=BUFFER, metrics=Counters())


def test_a_smaller_receive_buffer_than_asked_for_is_logged() -> None:
    with capture_logs() as logs:
        UdpSource("127.0.0.1", 0, receive_buffer=2**30, metrics=Counters()).close()
        UdpSource("127.0.0.1", 0, receive_buffer=BUFFER, metrics=Counters()).close()
    assert [entry["asked"] for entry in logs] == [2**30]
    assert 0 < logs[0]["granted"] < 2**30


def test_what_the_kernel_drops_is_counted() -> None:
    metrics = Counters()
    source = UdpSource("127.0.0.1", 0, receive_buffer=4096, metrics=metrics)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for _ in range(200):
            sender.sendto(b"x" * 1000, source.address)
    taken = 0
    while records := source.poll(1000, 0.2):
        taken += len(records)
    source.close()
    assert 0 < taken < 200
    assert metrics.summary()["udp_kernel_drops"] == 200 - taken
