# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""The HTTP listener: what it takes, what it refuses and how, and clients that mean no good."""

from __future__ import annotations

import gzip
import http.client
import json
import select
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from beacons import RunningListener
from waiting import wait_for

from elworkers.config.types import networks
from elworkers.connectors.http import intake
from elworkers.connectors.http.limits import Limits
from elworkers.connectors.http.listener import HttpListener
from elworkers.core.errors import RetryableError

DEADLINE_S = 30.0


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[RunningListener]:
    made = RunningListener(tmp_path)
    yield made
    made.listener.close()


def until_closed(connection: socket.socket) -> bytes:
    """All that comes before the server closes the connection."""
    found = b""
    try:
        while chunk := connection.recv(65_536):
            found += chunk
    except ConnectionResetError:
        pass
    connection.close()
    return found


def test_a_get_is_a_line(listener: RunningListener) -> None:
    status, text, reply = listener.ask("GET", "/beacon/event?%7B%22a%22%3A1%7D;", User_Agent='My "agent"')
    assert (status, text) == (204, "")
    assert reply.headers["Cache-Control"] == "no-store"
    assert reply.headers["Access-Control-Allow-Origin"] == "*"
    query, host, number, _, address, agent = listener.lines[0].split(b"\t")
    assert (query, host, number, address) == (b"?%7B%22a%22%3A1%7D;", b"host", b"0", b"-")
    assert agent == b'"My "agent""'


def test_a_beacon_of_a_page_elsewhere_may_carry_cookies(listener: RunningListener) -> None:
    _, _, reply = listener.ask("POST", "/beacon/event", b"{}", Origin="https://wiki.example")
    assert reply.headers["Access-Control-Allow-Origin"] == "https://wiki.example"
    assert reply.headers["Access-Control-Allow-Credentials"] == "true"
    assert reply.headers["Vary"] == "Origin"


def test_a_post_is_one_event_or_a_batch(listener: RunningListener) -> None:
    assert listener.ask("POST", "/beacon/event", b'{"a": 1}')[0] == 204
    assert listener.ask("POST", "/beacon/event", b'[{"a": 2}, {"a": 3}]')[0] == 204
    assert listener.ask("POST", "/beacon/event?%7B%7D")[0] == 204
    queries = [line.split(b"\t")[0] for line in listener.lines]
    assert queries == [b"?%7B%22a%22%3A%201%7D;", b"?%7B%22a%22%3A%202%7D;", b"?%7B%22a%22%3A%203%7D;", b"?%7B%7D"]
    assert [line.split(b"\t")[2] for line in listener.lines] == [b"0", b"1", b"2", b"3"]


def test_head_and_options_are_no_events(listener: RunningListener) -> None:
    assert listener.ask("HEAD", "/beacon/event?x")[0] == 204
    status, _, reply = listener.ask("OPTIONS", "/beacon/event", Origin="https://a.example")
    assert status == 204
    assert "POST" in reply.headers["Access-Control-Allow-Methods"]
    assert reply.headers["Access-Control-Allow-Headers"] == "Content-Type"
    assert listener.lines == []


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "words"),
    [
        ("GET", "/beacon/event", None, 400, "no event; expected /beacon/event?PERCENT-ENCODED-JSON"),
        ("POST", "/beacon/event", b"", 400, "no event"),
        ("POST", "/beacon/event", b"{", 400, "not JSON"),
        ("POST", "/beacon/event", b"[]", 400, "holds no event"),
        ("POST", "/beacon/event?x", b"{}", 400, "expected one of the two"),
        ("POST", "/beacon/event", b" " * 262_145, 413, "262145 bytes; expected at most 262144"),
        ("POST", "/beacon/event", b"[" + b"1," * 1000 + b"1]", 413, "1001 events in one body; expected at most 1000"),
        ("PUT", "/beacon/event?x", None, 405, "method PUT; expected one of GET, HEAD, POST, OPTIONS"),
        ("DELETE", "/beacon/event", None, 405, "method DELETE"),
        ("GET", "/", None, 404, "events go to /beacon/event"),
        ("POST", "/elsewhere", b"{}", 404, "expected /beacon/event"),
        ("GET", "/../../etc/passwd", None, 404, "no such page"),
        ("GET", "/beacon/event?" + "x" * 17_000, None, 414, "request line is too long; expected at most 16000 bytes"),
    ],
)
def test_what_is_refused_is_told_why(
    listener: RunningListener, method: str, path: str, body: bytes | None, status: int, words: str
) -> None:
    got, text, _ = listener.ask(method, path, body)
    assert got == status
    assert words in text
    assert listener.lines == []
    assert listener.ask("GET", "/beacon/event?next")[0] == 204


def test_the_limits_themselves_are_within_them(listener: RunningListener) -> None:
    assert listener.ask("POST", "/beacon/event", b" " * 262_142 + b"{}")[0] == 204
    assert listener.ask("POST", "/beacon/event", b"[" + b"1," * 999 + b"1]")[0] == 204
    assert len(listener.lines) == 1_001


def test_a_body_without_a_length_is_bounded_too(listener: RunningListener) -> None:
    head = b"POST /beacon/event HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    connection = listener.raw(head + b"2\r\n{}\r\n0\r\n\r\n")
    assert connection.recv(100).startswith(b"HTTP/1.1 204")
    connection.close()
    connection = listener.raw(head + b"50000\r\n" + b" " * 0x50000 + b"\r\n")
    assert until_closed(connection).startswith(b"HTTP/1.1 413")
    assert len(listener.lines) == 1


def test_a_connection_serves_many_requests(listener: RunningListener) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", listener.port, timeout=DEADLINE_S)
    for number in range(50):
        connection.request("GET", f"/beacon/event?{number}")
        if number == 0:
            connected = connection.sock
        assert connection.getresponse().read() == b""
        assert connection.sock is connected
    connection.close()
    assert len(listener.lines) == 50


def test_requests_that_do_not_wait_for_replies_are_answered_in_order(listener: RunningListener) -> None:
    connection = listener.raw(b"".join(b"GET /beacon/event?%d HTTP/1.1\r\nHost: x\r\n\r\n" % n for n in range(30)))
    wait_for(lambda: len(listener.lines) == 30, DEADLINE_S, "thirty lines")
    assert [line.split(b"\t")[0] for line in listener.lines] == [b"?%d" % n for n in range(30)]
    connection.close()


def test_without_room_clients_are_told_to_come_again(listener: RunningListener) -> None:
    listener.full = True
    status, text, reply = listener.ask("GET", "/beacon/event?x")
    assert (status, reply.headers["Retry-After"]) == (503, "30")
    assert "try again" in text
    assert listener.ask("POST", "/beacon/event", b"[{}, {}]")[0] == 503
    listener.full = False
    assert listener.ask("GET", "/beacon/event?x")[0] == 204
    assert len(listener.lines) == 1


def test_health_says_what_the_next_request_would_be_told(listener: RunningListener) -> None:
    status, text, _ = listener.ask("GET", "/healthz")
    assert (status, json.loads(text)) == (200, {"status": "ok", "taken": 0, "waiting_bytes": 0, "max_bytes": 1_000_000})
    assert listener.ask("POST", "/beacon/event", b"[{}, {}]")[0] == 204
    assert json.loads(listener.ask("GET", "/healthz")[1])["taken"] == 2
    listener.full = True
    status, text, _ = listener.ask("GET", "/healthz")
    assert (status, json.loads(text)["status"], json.loads(text)["reason"]) == (503, "full", "no space")


def test_a_disk_that_hangs_stalls_no_other_connection(listener: RunningListener, tmp_path: Path) -> None:
    listener.held.clear()
    waiting = [listener.raw(b"GET /beacon/event?%d HTTP/1.1\r\nHost: x\r\n\r\n" % n) for n in range(5)]
    assert listener.at_work.wait(DEADLINE_S)
    assert listener.ask("GET", "/eventlogging.js")[0] == 200
    assert listener.ask("POST", "/beacon/event", b"{")[0] == 400
    assert listener.lines == []
    listener.held.set()
    for connection in waiting:
        assert connection.recv(100).startswith(b"HTTP/1.1 204")
        connection.close()
    assert [line.split(b"\t")[0] for line in listener.lines] == [b"?%d" % n for n in range(5)]


def test_events_that_wait_for_the_disk_are_bounded_in_bytes_and_in_time(
    listener: RunningListener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "_ANSWERED_WITHIN_S", 2.0)
    listener.held.clear()
    body = b"[" + b",".join([b'"%b"' % (b"x" * 1_000)] * 200) + b"]"
    head = b"POST /beacon/event HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
    waiting = [listener.raw(head + body) for _ in range(60)]
    answers = [connection.recv(1_000) for connection in waiting]
    assert {answer.split(b" ")[1] for answer in answers} == {b"503"}
    assert 10 < sum(b"too many events wait for the disk" in answer for answer in answers) < 50
    assert any(b"does not answer in time" in answer for answer in answers)
    assert json.loads(listener.ask("GET", "/healthz")[1])["status"] == "full"
    listener.held.set()
    assert listener.ask("GET", "/beacon/event?next")[0] == 204
    # Of those who were told to come again, only what was at work on the disk by then is kept.
    assert len(listener.lines) in (1, 201)
    for connection in waiting:
        connection.close()


def test_files_of_the_folder_and_the_client_are_served(tmp_path: Path) -> None:
    (tmp_path / "files" / "deep").mkdir(parents=True)
    (tmp_path / "files" / "page.html").write_text("<p>é", encoding="utf-8")
    (tmp_path / "files" / "deep" / "secret").write_text("x")
    listener = RunningListener(tmp_path, files=tmp_path / "files")
    status, text, reply = listener.ask("GET", "/page.html")
    assert (status, text, reply.headers["Content-Type"]) == (200, "<p>é", "text/html")
    assert "eventLogging" in listener.ask("GET", "/eventlogging.js")[1]
    for path in ("/deep/secret", "/deep", "/../sequence", "/%2e%2e/sequence"):
        assert listener.ask("GET", path)[0] == 404
    listener.listener.close()


def test_the_clients_address_is_that_of_trusted_proxies_alone(tmp_path: Path) -> None:
    for trusted, expected in (("127.0.0.1", b"198.51.100.7"), ("10.0.0.0/8", b"127.0.0.1")):
        listener = RunningListener(tmp_path, client_address=True, trusted=networks(trusted))
        assert listener.ask("GET", "/beacon/event?x", X_Forwarded_For="203.0.113.9, 198.51.100.7")[0] == 204
        assert listener.lines[0].split(b"\t")[4] == expected
        listener.listener.close()


@pytest.mark.parametrize(
    "request_line",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"GET /beacon/event?a b HTTP/1.1\r\n\r\n",
        b"GET /beacon/event?a HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET /beacon/event?a HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /beacon/event HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /beacon/event?" + b"x" * 20_000,
        b"GET /beacon/event?x HTTP/1.1\r\n" + b"A: " + b"x" * 70_000,
    ],
    ids=["tls", "no-path", "blank", "no-colon", "length", "chunk", "long-line", "long-field"],
)
def test_what_is_no_request_is_refused_and_hurts_nobody(listener: RunningListener, request_line: bytes) -> None:
    answer = until_closed(listener.raw(request_line))
    statuses = (b" 400 ", b" 414 ", b" 431 ")
    assert answer == b"" or any(status in answer.split(b"\r\n")[0] for status in statuses)
    assert b"Python" not in answer
    assert b"aiohttp" not in answer
    assert listener.lines == []
    assert listener.ask("GET", "/beacon/event?next")[0] == 204
    assert listener.failures == []


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"Content-Length: 1000\r\n\r\n{",
        b"Content-Length: 10000000\r\n\r\n{",
        b"Content-Length: 4\r\nContent-Encoding: gzip\r\n\r\njunk",
    ],
    ids=["half", "too-large", "no-gzip"],
)
@pytest.mark.parametrize("answered", [False, True])
def test_a_client_that_goes_away_in_the_middle_is_worth_no_word(
    listener: RunningListener, capfd: pytest.CaptureFixture[str], request_bytes: bytes, answered: bool
) -> None:
    for _ in range(20):
        connection = listener.raw(b"POST /beacon/event HTTP/1.1\r\nHost: x\r\n" + request_bytes)
        if answered and b"1000\r" not in request_bytes:
            assert connection.recv(100).startswith(b"HTTP/1.1 4")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.close()
    assert listener.ask("GET", "/beacon/event?next")[0] == 204
    assert len(listener.lines) == 1
    listener.listener.close()
    said = capfd.readouterr()
    assert "could not be answered" not in said.out + said.err


def test_a_body_may_be_compressed_and_is_bounded_all_the_same(listener: RunningListener) -> None:
    for size, status in ((262_142, 204), (262_143, 413), (50_000_000, 413)):
        body = gzip.compress(b" " * size + b"{}")
        assert listener.ask("POST", "/beacon/event", body, Content_Encoding="gzip")[0] == status
    assert len(listener.lines) == 1


def test_an_origin_that_is_none_is_not_repeated(listener: RunningListener) -> None:
    connection = listener.raw(b"GET /beacon/event?x HTTP/1.1\r\nHost: x\r\nOrigin: http://\xff\xfe\r\n\r\n")
    answer = connection.recv(10_000)
    connection.close()
    assert answer.startswith((b"HTTP/1.1 204", b"HTTP/1.0 400"))
    assert b"\xff" not in answer


def test_a_head_without_an_end_is_cut_short(listener: RunningListener) -> None:
    connection = listener.raw(b"GET /beacon/event?x HTTP/1.1\r\n")
    field = b"A: " + b"x" * 7_000 + b"\r\n"
    try:
        for _ in range(200):
            connection.sendall(field)
    except (BrokenPipeError, ConnectionResetError):
        pass
    answer = until_closed(connection)
    assert answer == b"" or b" 431 " in answer.split(b"\r\n")[0]
    assert listener.lines == []


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        (b"Cookie: " + b"c" * 8_200, b"204"),
        (b"Cookie: " + b"c" * 65_400, b"204"),
        (b"\r\n".join(b"A%d: %b" % (n, b"x" * 5_000) for n in range(13)), b"204"),
        (b"Cookie: " + b"c" * 65_600, b"431"),
        (b"\r\n".join(b"A%d: %b" % (n, b"x" * 5_000) for n in range(14)), b"431"),
        (b"\r\n".join(b"A%d: x" % n for n in range(200)), b"431"),
    ],
    ids=["8k", "64k", "64k-in-many", "too-long", "too-long-in-many", "too-many"],
)
def test_fields_may_have_as_many_bytes_as_stated(listener: RunningListener, fields: bytes, status: bytes) -> None:
    head = b"GET /beacon/event?x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + fields + b"\r\n\r\n"
    answer = until_closed(listener.raw(head))
    assert answer.split(b" ")[1] == status
    assert b"\r\nServer: elworkers\r\n" in answer
    assert len(listener.lines) == (status == b"204")


def test_a_client_that_sends_on_sees_why_it_is_refused(listener: RunningListener) -> None:
    connection = listener.raw(b"GET /beacon/event?" + b"x" * 20_000)
    for _ in range(20):
        connection.sendall(b"x" * 10_000)
    assert until_closed(connection).split(b" ")[1] == b"414"


@pytest.mark.parametrize(("version", "answers"), [(b"1.0", [b"204"]), (b"1.1", [b"100", b"204"])])
def test_only_a_client_that_knows_of_it_is_told_to_go_on(
    listener: RunningListener, version: bytes, answers: list[bytes]
) -> None:
    head = b"POST /beacon/event HTTP/%b\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
    connection = listener.raw(head % version)
    if len(answers) == 2:
        assert connection.recv(1_000).startswith(b"HTTP/1.1 100 ")
    else:
        connection.settimeout(0.3)
        with pytest.raises(TimeoutError):
            connection.recv(1_000)
        connection.settimeout(DEADLINE_S)
    connection.sendall(b"{}")
    assert connection.recv(1_000).split(b" ")[1] == b"204"
    connection.close()


def test_clients_that_say_nothing_or_half_are_let_go(tmp_path: Path) -> None:
    listener = RunningListener(tmp_path, Limits(quiet_s=0.5))
    silent = listener.raw(b"")
    half = listener.raw(b"GET /beacon/event?x HT")
    body = listener.raw(b"POST /beacon/event HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{")
    assert until_closed(silent) == b""
    assert until_closed(half) == b""
    assert until_closed(body).startswith(b"HTTP/1.1 408")
    assert listener.lines == []
    listener.listener.close()


def test_slow_clients_neither_fill_the_memory_nor_keep_others_out(tmp_path: Path) -> None:
    listener = RunningListener(tmp_path, Limits(connections=100))
    process = psutil.Process()
    slow: list[socket.socket] = []
    for _ in range(300):
        connection = listener.raw(b"GET /beacon/event?x HTTP/1.1\r\n" + b"A: " + b"x" * 7_000 + b"\r\n")
        slow.append(connection)
    assert listener.ask("GET", "/beacon/event?in-between")[0] == 204
    sockets = [one for one in process.net_connections("tcp") if one.laddr and one.laddr.port == listener.port]
    open_ones = [one for one in sockets if one.status == psutil.CONN_ESTABLISHED]
    assert len(open_ones) <= 102
    assert len(listener.lines) == 1
    for connection in slow:
        connection.close()
    listener.listener.close()


def test_half_bodies_keep_nobody_out(tmp_path: Path) -> None:
    listener = RunningListener(tmp_path, Limits(connections=20))
    half = b"POST /beacon/event HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{"
    slow = [listener.raw(half) for _ in range(60)]
    assert listener.ask("GET", "/beacon/event?in-between")[0] == 204
    for connection in slow:
        connection.close()
    listener.listener.close()


def has_answer(connection: socket.socket) -> bool:
    """Whether there is something to read; select(2) cannot be asked of file descriptors beyond 1023."""
    asked = select.poll()
    asked.register(connection, select.POLLIN)
    return bool(asked.poll(0))


def test_half_bodies_are_bounded_together(tmp_path: Path) -> None:
    size = 2 * 1024 * 1024
    listener = RunningListener(tmp_path, Limits(body_bytes=size))
    half = b"POST /beacon/event HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size + b" " * (size - 2)
    slow = [listener.raw(half) for _ in range(20)]
    # More than 32 MiB: those that said nothing for longest make room.
    assert until_closed(slow[0]).startswith(b"HTTP/1.1 503")
    assert listener.ask("POST", "/beacon/event", b" " * (size - 2) + b"{}")[0] == 204
    # What was read last is not always what was sent last.
    left = [connection for connection in slow[1:] if not has_answer(connection)]
    left[-1].sendall(b"{}")
    assert left[-1].recv(100).startswith(b"HTTP/1.1 204")
    for connection in slow:
        connection.close()
    listener.listener.close()


@pytest.mark.parametrize(
    "parts",
    [
        (b"GET /beacon/event?%7B%7D HTTP/1.1\r\nHost: x\r\n\r\n",),
        (b"POST /beacon/event HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}",),
        (b"POST /beacon/event HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n", b"{}"),
    ],
    ids=["get", "post", "post-in-two"],
)
@pytest.mark.parametrize("reset", [False, True])
def test_what_a_client_had_sent_when_it_went_is_taken(
    listener: RunningListener, parts: tuple[bytes, ...], reset: bool
) -> None:
    listener.held.clear()
    first = listener.raw(b"GET /beacon/event?first HTTP/1.1\r\nHost: x\r\n\r\n")
    for _ in range(20):
        connection = listener.raw(b"")
        for part in parts:
            connection.sendall(part)
        if reset:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.close()
    # The listener sees each request and its end at the same time.
    listener.held.set()
    wait_for(lambda: len(listener.lines) == 21, DEADLINE_S, "a line of each")
    first.close()


def test_a_burst_of_more_clients_than_connections_loses_none(tmp_path: Path) -> None:
    listener = RunningListener(tmp_path, Limits(connections=40))
    for _ in range(400):
        listener.raw(b"GET /beacon/event?x HTTP/1.1\r\nHost: x\r\n\r\n").close()
    wait_for(lambda: len(listener.lines) == 400, DEADLINE_S, "a line of each")
    listener.listener.close()


def test_what_was_answered_is_kept_when_the_listener_is_closed(tmp_path: Path) -> None:
    listener = RunningListener(tmp_path)
    idle = listener.raw(b"GET /beacon/event?kept HTTP/1.1\r\nHost: x\r\n\r\n")
    assert idle.recv(100).startswith(b"HTTP/1.1 204")
    listener.listener.close()
    assert until_closed(idle)[-4:] in (b"", b"\r\n\r\n")
    assert len(listener.lines) == 1
    with pytest.raises(ConnectionRefusedError):
        listener.raw(b"")


def test_a_listener_that_is_closed_answers_who_is_there_and_says_so(tmp_path: Path) -> None:
    listener = RunningListener(tmp_path)
    request = b"GET /beacon/event?%b HTTP/1.1\r\nHost: x\r\n\r\n"
    kept = listener.raw(request % b"kept")
    assert b"Connection: close" not in kept.recv(1_000)
    newcomer = listener.raw(b"")
    wait_for(lambda: len(listener.listener._server.connections) == 2, DEADLINE_S, "both connections")
    closing = threading.Thread(target=listener.listener.close)
    closing.start()
    try:
        wait_for(lambda: listener.listener._server.leaving, DEADLINE_S, "the end of the listener")
        for one, name in ((kept, b"last"), (newcomer, b"first")):
            one.sendall(request % name)
            said = until_closed(one)
            assert said.startswith(b"HTTP/1.1 204")
            assert b"\r\nConnection: close\r\n" in said
    finally:
        closing.join()
    assert [line.split(b"\t")[0] for line in listener.lines] == [b"?kept", b"?last", b"?first"]


def test_an_address_that_is_taken_is_named(listener: RunningListener, tmp_path: Path) -> None:
    with pytest.raises(RetryableError, match=rf"http://127\.0\.0\.1:{listener.port}: cannot be bound: Address already"):
        HttpListener(("127.0.0.1", listener.port), listener.listener._config)
