# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""The developer's server, from a browser's request or a datagram to what is printed, and what it does not take."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import subprocess
import sys
import urllib.parse
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
from aiohttp.test_utils import make_mocked_request
from outputs import capsule, schemas
from rich.console import Console
from waiting import wait_for

from elworkers.connectors.http.limits import RefusedError
from elworkers.core.contracts import Record
from elworkers.core.errors import EX_CONFIG
from elworkers.devserver.event_printer import EventPrinter
from elworkers.devserver.guard import HEADER, Guard, is_origin

BIN = Path(sys.executable).parent
DEADLINE_S = 30.0


@pytest.mark.parametrize(
    ("host", "headers"),
    [
        ("localhost:8080", {}),
        ("127.0.0.1:8080", {"Sec-Fetch-Site": "same-origin"}),
        ("[::1]:8080", {"Sec-Fetch-Site": "none", "User-Agent": "Mozilla/5.0"}),
        ("localhost:8080", {"Origin": "http://localhost:8080", "User-Agent": "Mozilla/5.0"}),
        ("localhost:8080", {"Referer": "http://localhost:8080/page", "User-Agent": "Mozilla/5.0"}),
        ("localhost:8080", {"Origin": "http://other:1", "Sec-Fetch-Site": "cross-site"}),
        ("localhost:8080", {"Origin": "http://evil:1", HEADER: "", "User-Agent": "Mozilla/5.0"}),
        ("dev:8080", {"User-Agent": "curl/8"}),
    ],
)
def test_requests_of_its_own_pages_and_of_programs_are_taken(host: str, headers: dict[str, str]) -> None:
    said: list[str] = []
    Guard("dev", ["http://other:1"], said.append)(make_mocked_request("POST", "/", {"Host": host, **headers}))
    assert said == []


@pytest.mark.parametrize(
    ("host", "headers", "why"),
    [
        ("localhost:8080", {"Origin": "http://evil:1"}, "pages of http://evil:1 "),
        ("localhost:8080", {"Origin": "null", "Sec-Fetch-Site": "cross-site"}, "pages of null "),
        ("localhost:8080", {"Referer": "http://evil:1/page", "User-Agent": "Mozilla/5.0"}, "pages of http://evil:1 "),
        ("localhost:8080", {"User-Agent": "Mozilla/5.0"}, "pages of an unknown origin "),
        # Somebody else's name for this host makes their page one of the same origin.
        ("evil:8080", {"Sec-Fetch-Site": "same-origin"}, "the name 'evil:8080' "),
        ("a]b", {}, "the name 'a]b' "),
        ("", {}, "the name '' "),
    ],
)
def test_requests_of_other_pages_are_rejected_and_said_once(host: str, headers: dict[str, str], why: str) -> None:
    said: list[str] = []
    guard = Guard("127.0.0.1", [], said.append)
    for _ in range(2):
        with pytest.raises(RefusedError, match="not accepted") as caught:
            guard(make_mocked_request("POST", "/", {"Host": host, **headers}))
        assert caught.value.status == 403
    assert len(said) == 1
    assert said[0].startswith(f"rejected: requests of {why.strip()}; to accept them: ")


@pytest.mark.parametrize("origin", ["localhost", "ftp://h", "http://", "http://H", "http://h/page"])
def test_what_is_no_origin(origin: str) -> None:
    assert not is_origin(origin)


def printed(record: Record, brief: bool = False) -> str:
    """What a line has become, without colours."""
    out = StringIO()
    EventPrinter(Console(file=out, width=200, highlight=False), brief=brief).event(record)
    return out.getvalue()


def valid() -> Record:
    record = Record(capsule("Edit", 1))
    record.event, record.valid = json.loads(capsule("Edit", 1)), True
    return record


def invalid(raw: str) -> Record:
    record = Record(b"")
    error = {"schema": "Edit", "revision": 1, "message": "a: 'x' is no integer", "rawEvent": raw}
    record.event, record.valid = {"event": error}, False
    return record


def test_a_valid_event_is_printed_with_its_fields() -> None:
    assert printed(valid()) == 'valid    Edit 1  w\n{\n  "a": 1\n}\n'
    assert printed(valid(), brief=True) == "valid    Edit 1  w\n"


@pytest.mark.parametrize(
    ("raw", "fields"),
    [
        ("?" + urllib.parse.quote('{"a": "x"}') + ";\tcp1\t1", '{\n  "a": "x"\n}\n'),
        ('cp1 {"a": "x"}', '{\n  "a": "x"\n}\n'),
        ("torn \x1b[31m", "  torn \\u001b[31m\n"),
    ],
)
def test_an_invalid_event_is_printed_with_its_error_and_its_line(raw: str, fields: str) -> None:
    assert printed(invalid(raw)) == f"INVALID  Edit 1  a: 'x' is no integer\n{fields}"
    assert printed(invalid(raw), brief=True) == "INVALID  Edit 1  a: 'x' is no integer\n"


def free_port(kind: socket.SocketKind) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


class Server:
    """The command, and what it has printed."""

    def __init__(self, folder: Path) -> None:
        self.http, self.udp = free_port(socket.SOCK_STREAM), free_port(socket.SOCK_DGRAM)
        self._out = folder / "printed"
        store = schemas(folder / "schemas", "Edit")
        argv = [f"--bind=127.0.0.1:{self.http}", f"--udp=127.0.0.1:{self.udp}", f"--schemas={store}", "--brief"]
        with self._out.open("wb") as out:
            self.process = subprocess.Popen([BIN / "eventlogging-devserver", *argv], stdout=out, stderr=out)

    def until(self, text: str) -> None:
        wait_for(lambda: text in self._out.read_text(encoding="utf-8"), DEADLINE_S, text)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path)
    yield made
    made.process.kill()
    made.process.wait(DEADLINE_S)


def test_events_by_http_and_udp_are_printed_until_it_is_ended(server: Server) -> None:
    server.until("browser client: ")
    event = json.loads(capsule("Edit", 1))
    client = http.client.HTTPConnection("127.0.0.1", server.http, timeout=DEADLINE_S)
    client.request("GET", f"/beacon/event?{urllib.parse.quote(json.dumps(event))}")
    assert client.getresponse().status == 204
    server.until("valid    Edit 1  w")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        wrong = json.dumps({**event, "event": {"a": "x"}})
        udp.sendto(f"EventLogging {wrong}\n".encode(), ("127.0.0.1", server.udp))
    server.until("INVALID  Edit 1  ")
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(DEADLINE_S) == 0
    server.until("1 valid, 1 invalid")


@pytest.mark.parametrize(
    ("argv", "code", "said"),
    [
        (["--files=/no/such/folder"], 2, "argument --files: /no/such/folder: there is no such folder"),
        (["--bind=127.0.0.1:x"], 2, "argument --bind: address: the port of '127.0.0.1'; expected a number from 1 to "),
        (["--udp=:1"], 2, "argument --udp: address: ':…' is not a host; expected HOST:PORT or [IPV6]:PORT"),
        (["--allow-origin=x"], 2, "argument --allow-origin: 'x'; expected http(s)://HOST[:PORT]"),
        (["--schemas=ftp://x"], EX_CONFIG, "ftp://x"),
        (["--bind=192.0.2.77:80"], 1, "choose another by --bind or --udp"),
    ],
)
def test_what_cannot_work_is_said_in_the_last_line(argv: list[str], code: int, said: str) -> None:
    command = [BIN / "eventlogging-devserver", *argv]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=DEADLINE_S)
    assert done.returncode == code
    assert said in done.stderr.splitlines()[-1]
