# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""A real Varnish: what it answers, and what becomes of its log."""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import psutil
import pytest
from beacons import RunningListener
from conftest import Varnished
from waiting import wait_for

from elworkers.config.types import networks
from elworkers.connectors.spool.listener import Arrival
from elworkers.connectors.spool.raw_lines import RawLines
from elworkers.connectors.spool.sequence import Sequence as Numbers
from elworkers.connectors.varnish.connector import VARNISH_QUERY
from elworkers.connectors.varnish.listener import VarnishListener
from elworkers.core.errors import ConfigurationError, ElworkersError
from elworkers.devstack import Stack

DEADLINE_S = 60.0
AGENT = 'My "agent" \\ back\ttab é'.encode()


class Reading:
    """A listener on a Varnish, and what it has handed over."""

    def __init__(
        self,
        folder: Path,
        name: str,
        program: str = "varnishncsa",
        longest: int = 65_536,
        query: str = VARNISH_QUERY,
    ) -> None:
        self.lines: list[bytes] = []
        self.failures: list[ElworkersError] = []
        made = RawLines("host", Numbers(folder / "sequence"))
        self.listener = VarnishListener(program, name, query, client_address=True, max_line_bytes=longest, lines=made)
        self.listener.open(self, self.failures.append)  # type: ignore[arg-type] - nobody asks for room

    def keep(self, arrivals: Sequence[Arrival]) -> None:
        for arrival in arrivals:
            self.lines += arrival.lines

    def queries(self) -> list[bytes]:
        return [line.split(b"\t")[0] for line in self.lines]

    def child(self) -> psutil.Process:
        """The `varnishncsa` that reads."""
        found = [one for one in psutil.Process().children() if one.name() == "varnishncsa"]
        assert len(found) == 1
        return found[0]


@pytest.fixture
def reading(varnish: Varnished, tmp_path: Path) -> Iterator[Reading]:
    made = Reading(tmp_path, varnish.name)
    until_it_reads(made, varnish.address)
    yield made
    made.listener.close()


def ask(address: str, method: str, path: str, body: bytes | None = None, **headers: bytes) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection(address, timeout=DEADLINE_S)
    connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    reply = connection.getresponse()
    reply.text = reply.read().decode()  # type: ignore[attr-defined]
    connection.close()
    return reply


def until_it_reads(made: Reading, address: str) -> None:
    """Ask until a request is seen; the child begins at the end of the log."""

    def seen() -> bool:
        ask(address, "GET", "/event.gif?probe")
        return bool(made.lines)

    wait_for(seen, DEADLINE_S, "a line of varnishncsa")

    def quiet() -> bool:
        before = len(made.lines)
        ask(address, "GET", "/event.gif?last")
        wait_for(lambda: len(made.lines) > before, DEADLINE_S, "the last probe")
        return made.queries()[-1] == b"?last"

    wait_for(quiet, DEADLINE_S, "the end of the probes")
    made.lines.clear()


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "words"),
    [
        ("GET", "/beacon/event?%7B%7D;", None, 204, ""),
        ("GET", "/event.gif?%7B%7D;", None, 204, ""),
        ("GET", "/event?%7B%7D;", None, 204, ""),
        ("HEAD", "/beacon/event?x", None, 204, ""),
        ("POST", "/beacon/event?%7B%7D", None, 204, ""),
        ("GET", "/beacon/event", None, 400, "no event"),
        ("POST", "/beacon/event?x", b"{}", 400, "expected one of the two"),
        ("PUT", "/beacon/event?x", None, 405, "expected GET, HEAD, POST or OPTIONS"),
        ("GET", "/wiki/Main_Page", None, 404, "no such page"),
        ("GET", "/beacon/event?" + "x" * 16_000, None, 414, "16000"),
    ],
)
def test_answers(varnish: Varnished, method: str, path: str, body: bytes | None, status: int, words: str) -> None:
    reply = ask(varnish.address, method, path, body, Origin=b"https://wiki.example")
    assert reply.status == status
    assert words in reply.text  # type: ignore[attr-defined]
    assert reply.headers["Cache-Control"] == "no-store"
    assert reply.headers["Access-Control-Allow-Origin"] == "https://wiki.example"
    assert reply.headers["Access-Control-Allow-Credentials"] == "true"


def test_a_preflight_is_answered(varnish: Varnished) -> None:
    reply = ask(varnish.address, "OPTIONS", "/beacon/event", Origin=b"https://wiki.example")
    assert reply.status == 204
    assert "POST" in reply.headers["Access-Control-Allow-Methods"]
    assert ask(varnish.address, "GET", "/event?x").headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize(
    ("target", "agent"),
    [
        (b"/beacon/event?%7B%22a%22%3A%22%C3%A9%20%2B%22%7D;&\"'%zz", AGENT),
        (b'/beacon/event?a\\x41\\nb\\"|{}<>^`', b"A\\nB \\x41 \\"),
        (b"/beacon/event?a?b#c+%00%0a%09", b"  A  B  "),
        (b"/beacon/event?" + b"x" * 15_900, b"a" * 5_000),
        (b"/beacon/event?-", b"-"),
        (b"/beacon/event?latin1", b"\xe9"),
        (b"/beacon/event?empty", b""),
        (b"/beacon/event?none", None),
        (b"http://wiki.example/beacon/event?absolute", b"A"),
    ],
    ids=["percent", "backslash", "marks", "long", "dash", "latin1", "empty", "no-agent", "absolute"],
)
def test_both_listeners_make_the_same_line(
    reading: Reading, varnish: Varnished, tmp_path: Path, target: bytes, agent: bytes | None
) -> None:
    header = b"" if agent is None else b"User-Agent: " + agent + b"\r\n"
    request = b"GET " + target + b" HTTP/1.1\r\nHost: x\r\n" + header + b"\r\n"
    beacon = RunningListener(tmp_path / "beacon", client_address=True)
    try:
        for address in (varnish.address, f"127.0.0.1:{beacon.port}"):
            host, _, port = address.partition(":")
            with socket.create_connection((host, int(port)), timeout=DEADLINE_S) as connection:
                connection.sendall(request)
                assert connection.recv(100).startswith(b"HTTP/1.1 204 ")
    finally:
        beacon.listener.close()
    wait_for(lambda: reading.lines, DEADLINE_S, "the line of Varnish")
    by_varnish, by_http = (line.split(b"\t") for line in (reading.lines[0], beacon.lines[0]))
    for line in (by_varnish, by_http):
        # Each has a number and a time of its own.
        number, when = line[2:4]
        assert number.isdigit()
        assert re.fullmatch(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", when)
        del line[2:4]
    seen = b"-" if not agent else agent.strip().replace(b"\t", b" ")
    assert by_varnish == by_http == [b"?" + target.partition(b"?")[2], b"host", b"127.0.0.1", b'"%b"' % seen]


def test_only_what_was_taken_becomes_a_line(reading: Reading, varnish: Varnished) -> None:
    ask(varnish.address, "OPTIONS", "/beacon/event?preflight")
    ask(varnish.address, "HEAD", "/beacon/event?head")
    ask(varnish.address, "PUT", "/beacon/event?put")
    ask(varnish.address, "POST", "/beacon/event?both", b"{}")
    ask(varnish.address, "GET", "/elsewhere?x")
    ask(varnish.address, "POST", "/beacon/event?post")
    ask(varnish.address, "GET", "/event?" + "x" * 15_900)
    wait_for(lambda: len(reading.lines) == 2, DEADLINE_S, "two lines")
    assert reading.queries() == [b"?post", b"?" + b"x" * 15_900]
    numbers = [int(line.split(b"\t")[2]) for line in reading.lines]
    assert numbers == [numbers[0], numbers[0] + 1]


def test_a_killed_child_is_started_again_and_the_numbers_go_on(reading: Reading, varnish: Varnished) -> None:
    ask(varnish.address, "GET", "/event?before")
    wait_for(lambda: reading.queries() == [b"?before"], DEADLINE_S, "the first line")
    first = int(reading.lines[0].split(b"\t")[2])
    reading.child().send_signal(signal.SIGKILL)
    wait_for(lambda: ask(varnish.address, "GET", "/event?after") and b"?after" in reading.queries(), DEADLINE_S, "more")
    numbers = [int(line.split(b"\t")[2]) for line in reading.lines]
    assert numbers == list(range(first, first + len(numbers)))


def test_it_survives_a_restart_of_varnish(own_stack: Stack, varnish: Varnished, tmp_path: Path) -> None:
    own_stack.up("varnish")
    address = own_stack.env()["VARNISH"]
    made = Reading(tmp_path, str(own_stack.folder / "varnish"))
    try:
        until_it_reads(made, address)
        own_stack.kill("varnish")
        own_stack.start("varnish")
        wait_for(lambda: ask(address, "GET", "/event?after") and b"?after" in made.queries(), DEADLINE_S, "more")
    finally:
        made.listener.close()
        own_stack.stop("varnish")


def test_bodies_go_to_an_http_listener(own_stack: Stack, varnish: Varnished, tmp_path: Path) -> None:
    beacon = RunningListener(tmp_path, client_address=True, trusted=networks("127.0.0.1"))
    own_stack.up("varnish", ports={"beacon": beacon.port})
    address = own_stack.env()["VARNISH"]
    try:
        sent = {"User_Agent": AGENT, "X_Forwarded_For": b"198.51.100.7"}
        assert ask(address, "POST", "/beacon/event", b'[{"a": 1}, {"a": 2}]', **sent).status == 204
        refused = ask(address, "POST", "/event.gif", b"{", Origin=b"https://wiki.example")
        assert (refused.status, refused.headers["Access-Control-Allow-Origin"]) == (400, "https://wiki.example")
        fields = [line.split(b"\t") for line in beacon.lines]
        assert [line[0] for line in fields] == [b"?%7B%22a%22%3A%201%7D;", b"?%7B%22a%22%3A%202%7D;"]
        # Varnish adds its own client to X-Forwarded-For, and is trusted itself.
        assert {line[4] for line in fields} == {b"198.51.100.7"}
        beacon.listener.close()
        away = ask(address, "POST", "/beacon/event", b"{}")
        assert away.status == 503
        assert away.headers["Retry-After"]
        assert ask(address, "GET", "/beacon/event?x").status == 204
    finally:
        beacon.listener.close()
        own_stack.stop("varnish")


def test_what_the_child_has_read_is_kept_when_the_listener_is_closed(reading: Reading, varnish: Varnished) -> None:
    for number in range(200):
        ask(varnish.address, "GET", f"/event?{number}")
    wait_for(lambda: reading.lines, DEADLINE_S, "the first line")
    child = reading.child()
    wait_for(lambda: len(reading.lines) == 200, DEADLINE_S, "all lines")
    reading.listener.close()
    assert not child.is_running()
    assert len(set(reading.queries())) == 200


def test_a_child_that_cannot_run_says_why(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    failing = program(tmp_path, r"printf '....\n..no such\ninstance\n' >&2; exit 3")
    made = Reading(tmp_path, "x", failing)
    said = captured(capfd)
    wait_for(lambda: "ended with exit code 3: no such instance" in said(), DEADLINE_S, "the reason")
    made.listener.close()


def test_lines_of_any_length_and_kind_stay_bounded(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    script = r"""printf '?a\t2016-07-29T12:34:56\t::1\t"x"\n'
head -c 1000000 /dev/zero | tr '\0' y; printf '\nnot four fields\n'
printf '?b\t2016-07-29T12:34:56\t::1\t"x"\n?torn'; sleep 60"""
    made = Reading(tmp_path, "", program(tmp_path, script), longest=2_000)
    wait_for(lambda: made.queries() == [b"?a", b"?b"], DEADLINE_S, "both lines")
    said = captured(capfd)
    assert "a line of varnishncsa is too long" in said()
    assert "has not four fields" in said()
    made.listener.close()
    assert made.queries() == [b"?a", b"?b"]


def test_a_missing_program_is_named_with_a_way_out(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="varnishnsca is not on PATH; install Varnish"):
        Reading(tmp_path, "", "varnishnsca")


def test_a_query_that_is_none_is_no_reason_to_try_again(varnish: Varnished, tmp_path: Path) -> None:
    made = Reading(tmp_path, varnish.name, query='ReqUrll ~ "x"')
    wait_for(lambda: made.failures, DEADLINE_S, "an end")
    made.listener.close()
    assert isinstance(made.failures[0], ConfigurationError)
    assert re.search("option query: .*zero tags.*expected one as in vsl-query", str(made.failures[0]))


def program(folder: Path, script: str) -> str:
    """A program of this script."""
    path = folder / "program"
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return os.fspath(path)


def captured(capfd: pytest.CaptureFixture[str]) -> Callable[[], str]:
    """Everything that was written so far."""
    found = ""

    def so_far() -> str:
        nonlocal found
        new = capfd.readouterr()
        found += new.out + new.err
        return found

    return so_far
