# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Lines of a listener: their fields, their numbers, the client's address."""

from __future__ import annotations

import ipaddress
import os
import resource
import signal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from elworkers.config.types import networks
from elworkers.connectors.http.proxies import client_address
from elworkers.connectors.spool.raw_lines import RawLines, unescaped, utc
from elworkers.connectors.spool.sequence import Sequence
from elworkers.core.errors import RetryableError
from elworkers.events.parse import compile_format

TRUSTED = networks("127.0.0.1, 10.0.0.0/8, ::1")


def test_a_line_is_varnishkafkas(tmp_path: Path) -> None:
    lines = RawLines("cp1.example", Sequence(tmp_path / "sequence"))
    assert lines.line(b"?%7B%7D;", utc(1_469_795_696.9), b"", b"Mozilla/5.0 (X)") == (
        b'?%7B%7D;\tcp1.example\t0\t2016-07-29T12:34:56\t-\t"Mozilla/5.0 (X)"'
    )
    assert lines.line(b"?a", utc(0), b"::1", b"") == b'?a\tcp1.example\t1\t1970-01-01T00:00:00\t::1\t"-"'
    lines.close()


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_no_client_can_break_a_line(query: bytes, agent: bytes) -> None:
    class Numbers:
        def next(self) -> int:
            return 7

    line = RawLines("h", Numbers()).line(b"?" + query, b"2016-07-29T12:34:56", b"", agent)  # type: ignore[arg-type]
    assert line.count(b"\t") == 5
    assert b"\n" not in line
    assert b"\r" not in line


def test_a_line_is_what_a_processor_reads(tmp_path: Path) -> None:
    lines = RawLines("h", Sequence(tmp_path / "sequence"))
    event = compile_format("%q %{recvFrom}s %{seqId}d %D %{ip}s %{userAgent}i")(
        lines.line(b"?%7B%22a%22%3A1%7D;", b"2016-07-29T12:34:56", b"192.0.2.1", b"agent")
    )
    assert (event["a"], event["recvFrom"], event["seqId"], event["dt"]) == (1, "h", 0, "2016-07-29T12:34:56")
    assert (event["ip"], event["userAgent"]) == ("192.0.2.1", '"agent"')
    lines.close()


@pytest.mark.parametrize(
    ("escaped", "plain"),
    [
        (rb"plain", b"plain"),
        (rb"\"quoted\" \\ back", b'"quoted" \\ back'),
        (rb"tab\tend\n", b"tab\tend\n"),
        (rb"\xc3\xa9", "é".encode()),
        (rb"\303\251", "é".encode()),
        (rb"\\xc3", rb"\xc3"),
    ],
)
def test_escapes_of_varnishncsa(escaped: bytes, plain: bytes) -> None:
    assert unescaped(escaped) == plain


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("192.0.2.1", ["198.51.100.7"], "192.0.2.1"),
        ("127.0.0.1", [], "127.0.0.1"),
        ("::ffff:192.0.2.1", ["198.51.100.7"], "192.0.2.1"),
        ("127.0.0.1", ["198.51.100.7"], "198.51.100.7"),
        ("10.1.2.3", ["203.0.113.9, 198.51.100.7, 10.9.9.9"], "198.51.100.7"),
        ("10.1.2.3", ["203.0.113.9", "198.51.100.7"], "198.51.100.7"),
        ("::ffff:10.1.2.3", ["[2001:db8::1]"], "2001:db8::1"),
        ("127.0.0.1", ["nonsense"], "127.0.0.1"),
        ("127.0.0.1", ["1.1.1.1, \tnonsense"], "127.0.0.1"),
        ("127.0.0.1", ["10.0.0.1, 10.0.0.2"], "10.0.0.1"),
        ("127.0.0.1", ["203.0.113.7:4711"], "203.0.113.7"),
        ("127.0.0.1", ["198.51.100.7, 10.0.0.1:80"], "198.51.100.7"),
        ("127.0.0.1", ["[2001:db8::1]:4711"], "2001:db8::1"),
        ("127.0.0.1", ["2001:db8::1"], "2001:db8::1"),
        ("127.0.0.1", ['"203.0.113.7"'], "203.0.113.7"),
        ("127.0.0.1", ['"[2001:db8::1]:4711"'], "2001:db8::1"),
        ("127.0.0.1", ["[::ffff:203.0.113.7]:1"], "203.0.113.7"),
        ("127.0.0.1", ["fe80::1%eth0"], "fe80::1"),
        ("127.0.0.1", ["[fe80::1%25eth0]:4711"], "fe80::1"),
        ("fe80::1%lo", ["203.0.113.7"], "fe80::1"),
        ("127.0.0.1", ["unknown"], "-"),
        ("127.0.0.1", ["203.0.113.7, Unknown:80"], "-"),
        ("127.0.0.1", ["_hidden"], "-"),
        ("127.0.0.1", ["unknown, 203.0.113.7"], "203.0.113.7"),
        ("127.0.0.1", ["203.0.113.7, , "], "203.0.113.7"),
        ("127.0.0.1", ["", "203.0.113.7", ""], "203.0.113.7"),
        ("127.0.0.1", ['"open, 203.0.113.7'], "203.0.113.7"),
        ("127.0.0.1", ["203.0.113.7:123456"], "127.0.0.1"),
        ("127.0.0.1", ["203.0.113.7%eth0"], "127.0.0.1"),
        ("192.0.2.1", ["unknown"], "192.0.2.1"),
    ],
)
def test_only_trusted_proxies_are_believed(peer: str, forwarded: list[str], client: str) -> None:
    assert client_address(peer, forwarded, TRUSTED) == client


@pytest.mark.parametrize(
    ("forwarded", "client"),
    [
        (["for=203.0.113.7"], "203.0.113.7"),
        (['For="203.0.113.7:4711"'], "203.0.113.7"),
        (['for="[2001:db8::1]:4711"'], "2001:db8::1"),
        (["for=[2001:db8::1]"], "2001:db8::1"),
        (["by=10.0.0.1;for=203.0.113.7;host=a.example;proto=https"], "203.0.113.7"),
        (["for=203.0.113.9, for=203.0.113.7;by=10.0.0.2, for=10.0.0.2"], "203.0.113.7"),
        (["for=203.0.113.9", "for=203.0.113.7", "for=10.0.0.2"], "203.0.113.7"),
        (["for=203.0.113.9, for=unknown"], "-"),
        (["for=203.0.113.9, for=_x"], "-"),
        (['for="_x:_port"'], "-"),
        (["for=203.0.113.9, proto=https"], "-"),
        (['for=203.0.113.7;secret="a, for=1.1.1.1;b\\"c"'], "203.0.113.7"),
        (['for="open, for="[2001:db8::1]:4711"'], "2001:db8::1"),
        (['for="fe80::1%eth0"'], "fe80::1"),
        (["for=203.0.113.9;for=203.0.113.7"], "127.0.0.1"),
        (["for"], "127.0.0.1"),
        (["for=203.0.113.9, nonsense"], "127.0.0.1"),
    ],
)
def test_forwarded_of_trusted_proxies_is_read(forwarded: list[str], client: str) -> None:
    assert client_address("127.0.0.1", [], TRUSTED, forwarded) == client
    assert client_address("127.0.0.1", [""], TRUSTED, forwarded) == client
    assert client_address("192.0.2.1", [], TRUSTED, forwarded) == "192.0.2.1"
    # Of a proxy that knows only the older header, anybody may have written the newer one.
    assert client_address("127.0.0.1", ["198.51.100.7"], TRUSTED, forwarded) == "198.51.100.7"


_ADDRESSES = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).filter(
    lambda one: getattr(one, "ipv4_mapped", None) is None and not any(one in network for network in TRUSTED)
)
_NOISE = st.text(st.characters(codec="latin-1", exclude_characters="\r\n"), max_size=30)


@given(_ADDRESSES, st.sampled_from(["", ":4711", ":_p"]), st.booleans(), _NOISE, st.booleans())
def test_what_a_client_writes_hides_no_address(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address, port: str, quoted: bool, noise: str, again: bool
) -> None:
    written = f"[{address}]{port}" if address.version == 6 else f"{address}{port}"
    node = f'"{written}"' if quoted else written
    last = ["10.0.0.1"] if again else []
    assert client_address("127.0.0.1", [f"{noise}, {node}", *last], TRUSTED) == str(address)
    last = ["for=10.0.0.1"] if again else []
    assert client_address("127.0.0.1", [], TRUSTED, [f"{noise}, for={node};proto=http", *last]) == str(address)


@given(st.lists(_NOISE, max_size=4), st.lists(_NOISE, max_size=4))
def test_any_headers_give_an_address_or_none(forwarded_for: list[str], forwarded: list[str]) -> None:
    found = client_address("127.0.0.1", forwarded_for, TRUSTED, forwarded)
    assert found == "-" or ipaddress.ip_address(found)


@pytest.mark.parametrize("value", ["127.0.0.1," * 6_000, '"' + ',"a",' * 10_000, ',\\"' * 16_000, "for=" * 16_000])
def test_long_headers_take_no_time(value: str) -> None:
    # In time that grows with the square of the length, these would take hours.
    long = value * 100
    assert client_address("127.0.0.1", [long], TRUSTED) == "127.0.0.1"
    assert client_address("127.0.0.1", [], TRUSTED, [long]) == "127.0.0.1"


def test_numbers_continue_over_a_restart_without_a_gap(tmp_path: Path) -> None:
    first = Sequence(tmp_path / "deep" / "sequence")
    assert [first.next() for _ in range(1500)] == list(range(1500))
    first.close()
    second = Sequence(tmp_path / "deep" / "sequence")
    assert second.next() == 1500
    second.close()


def test_numbers_of_a_killed_process_are_not_drawn_again(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        numbers = Sequence(tmp_path / "sequence")
        os.write(writer, b"%d" % max(numbers.next() for _ in range(1234)))
        signal.pause()
    last = int(os.read(reader, 100))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    again = Sequence(tmp_path / "sequence")
    assert last < again.next() <= last + 1000
    again.close()


def test_two_listeners_of_a_host_never_draw_the_same_number(tmp_path: Path) -> None:
    listeners = [Sequence(tmp_path / "sequence") for _ in range(3)]
    drawn = [listener.next() for _ in range(2500) for listener in listeners]
    for listener in listeners:
        listener.close()
    last = Sequence(tmp_path / "sequence")
    drawn.append(last.next())
    last.close()
    assert len(set(drawn)) == len(drawn)


def test_where_the_disk_takes_no_number_they_go_on_from_one_drawn_by_lot(
    tmp_path: Path,
) -> None:
    numbers = [Sequence(tmp_path / "sequence") for _ in range(2)]
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        # The kernel refuses any write that makes a file longer.
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
        with capture_logs():
            drawn = [one.next() for _ in range(1_500) for one in numbers]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert len(set(drawn)) == len(drawn)
    assert all(1 << 62 <= number < 1 << 63 for number in drawn)
    assert numbers[0].take(5) == 0
    for one in numbers:
        one.close()


def test_a_file_that_holds_something_else_is_named(tmp_path: Path) -> None:
    path = tmp_path / "sequence"
    path.write_text("not a number")
    with pytest.raises(RetryableError, match=r"sequence: holds .*expected a number"):
        Sequence(path)
    with pytest.raises(RetryableError, match="Is a directory"):
        Sequence(tmp_path)
