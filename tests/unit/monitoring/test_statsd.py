# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Names and datagrams of statsd."""

from __future__ import annotations

import re
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from elworkers.config.argument_files import Argument
from elworkers.connectors.registry import check_sink
from elworkers.core.errors import ConfigurationError
from elworkers.monitoring import statsd
from elworkers.roles.validate import check_arguments


@given(st.text())
def test_any_name_is_one_level_of_a_known_alphabet(name: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,249}", statsd.plain(name))


def sent(lines: list[str]) -> list[bytes]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(10)
        statsd.send("127.0.0.1", server.getsockname()[1], [*lines, "end:1|c"])
        found: list[bytes] = []
        while not found or not found[-1].endswith(b"end:1|c"):
            found.append(server.recv(70_000))
        return found


def test_a_line_that_no_datagram_carries_holds_up_no_other_and_is_logged() -> None:
    with capture_logs() as logs:
        datagrams = sent(["before:1|c", "x" * 100_000, "after:1|c"])
    assert b"\n".join(datagrams).splitlines() == [b"before:1|c", b"after:1|c", b"end:1|c"]
    assert [entry["event"] for entry in logs] == ["dropped what is too long for statsd"]


@pytest.mark.parametrize("host", ["a" * 64, "a..b"])
def test_a_name_that_is_none_is_an_error_of_the_system(host: str) -> None:
    with pytest.raises(OSError, match="is no name of a host"):
        statsd.send(host, 8125, ["a:1|c"])


@given(st.lists(st.integers(1, 2_000), max_size=100))
def test_lines_come_in_order_in_datagrams_of_one_frame(sizes: list[int]) -> None:
    lines = ["a" * size for size in sizes]
    datagrams = sent(lines)
    assert b"\n".join(datagrams).decode().splitlines() == [*lines, "end:1|c"]
    assert all(len(datagram) <= 1_432 or b"\n" not in datagram for datagram in datagrams)


@pytest.mark.parametrize("prefix", ["a b", "a:1|c", ".a", "a..b", "a.", "{hosts}"])
def test_a_prefix_that_statsd_would_misread_is_refused(prefix: str) -> None:
    with pytest.raises(ConfigurationError, match=r"statsd_prefix.*expected letters"):
        check_sink(f"mysql://u:p@h/log?statsd_prefix={prefix}")


def test_a_prefix_and_names_of_another_one_are_refused_together() -> None:
    words = [Argument("--prefix=mine"), Argument("--statsd-names=original")]
    with pytest.raises(ConfigurationError, match="--prefix mine and --statsd-names original; expected one of them"):
        check_arguments("reporter", words)
