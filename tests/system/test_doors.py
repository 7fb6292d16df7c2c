# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""From a client to the database, through the front doors; and what they do when something behind them is away."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pymysql
import pytest
from conftest import Varnished
from outputs import values
from topology import BIN, ROOT, SCHEMAS, Topology, free_port
from waiting import wait_for

from demo.listeners import CLICKS, PAGE_SCHEMA, click
from elworkers.devstack import Stack

DEADLINE_S = 60.0
CLIENT_SIDE = "%q %{recvFrom}s %{seqId}d %D %o %{userAgent}i"


@contextlib.contextmanager
def forwarder(folder: Path, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """One in a run folder of its own, ended with the test."""
    command = [BIN / "eventlogging-forwarder", "--name=f", *words]
    with (folder / "log").open("ab") as log:
        started = subprocess.Popen(command, stderr=log, env={"EVENTLOGGING_RUN_DIR": str(folder), "PATH": "/usr/bin"})
    try:
        yield started
    finally:
        started.terminate()
        started.wait(DEADLINE_S)


def worker(pool: subprocess.Popen[bytes]) -> psutil.Process:
    """Its one worker."""
    found: list[psutil.Process] = wait_for(lambda: psutil.Process(pool.pid).children(), DEADLINE_S, "a worker")
    return found[0]


def ask(address: str, path: str) -> tuple[int, dict[str, str]] | None:
    """Status and headers; None where nobody answers."""
    connection = http.client.HTTPConnection(address, timeout=5)
    try:
        connection.request("GET", path)
        reply = connection.getresponse()
        reply.read()
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    return reply.status, dict(reply.headers)


def test_what_was_taken_arrives_whatever_happens(
    own_stack: Stack, tmp_path: Path, unique: Callable[[str], str]
) -> None:
    own_stack.up("kafka")
    kafka, topic, address = own_stack.env()["KAFKA"], unique("beacons"), f"127.0.0.1:{free_port()}"
    taken: set[bytes] = set()
    statuses: list[int] = []
    stopped = threading.Event()

    def send() -> None:
        number = 0
        while not stopped.is_set():
            number += 1
            query = f"?{number}{'x' * 400}"
            answer = ask(address, f"/beacon/event{query}")
            statuses.append(answer[0] if answer else 0)
            if answer and answer[0] == 204:
                taken.add(query.encode())

    def goes_on(status: int) -> Callable[[], bool]:
        at = len(statuses)
        return lambda: statuses[at:].count(status) >= 100

    words = ("--spool-max-bytes=1000000", f"http://{address}/beacon/event?max_body_bytes=1000")
    with forwarder(tmp_path, *words, f"kafka:///{kafka}?topic={topic}") as pool:
        wait_for(lambda: ask(address, "/healthz"), DEADLINE_S, "an answer")
        sender = threading.Thread(target=send)
        sender.start()
        try:
            wait_for(goes_on(204), DEADLINE_S, "events taken")
            worker(pool).send_signal(signal.SIGKILL)
            wait_for(goes_on(204), DEADLINE_S, "events taken by the next worker")
            own_stack.kill("kafka")
            wait_for(goes_on(503), DEADLINE_S, "events refused")
            refused = ask(address, "/beacon/event?refused" + "x" * 1000)
            assert refused is not None
            assert (refused[0], refused[1]["Retry-After"]) == (503, "30")
            health = ask(address, "/healthz")
            assert health is not None
            assert health[0] == 503
            worker(pool).send_signal(signal.SIGKILL)
            own_stack.start("kafka")
            wait_for(goes_on(204), DEADLINE_S, "events taken again")
        finally:
            stopped.set()
            sender.join()

        def all_arrived() -> bool:
            return taken <= {value.split(b"\t")[0] for value in values(kafka, topic)}

        wait_for(all_arrived, DEADLINE_S, "all that was taken")
    lines = values(kafka, topic)
    numbers = {line.split(b"\t")[2]: line for line in lines}
    # Two lines of one number are the same line, sent again.
    assert len(numbers) == len(set(lines))
    assert not {line for line in lines if line.startswith(b"?refused")}


def test_half_sent_bodies_fill_no_memory_and_keep_nobody_out(tmp_path: Path) -> None:
    address = f"127.0.0.1:{free_port()}"
    half = b"POST /beacon/event HTTP/1.1\r\nHost: x\r\nContent-Length: 262144\r\n\r\n" + b" " * 200_000
    peak = 0
    with forwarder(tmp_path, f"http://{address}/beacon/event", f"file://{tmp_path}/out") as pool:
        wait_for(lambda: ask(address, "/healthz"), DEADLINE_S, "an answer")
        process = worker(pool)
        before = process.memory_info().rss
        for _ in range(5):
            slow = [half_sent(address, half) for _ in range(900)]
            # It may have to come again, as it is told.
            wait_for(lambda: post(address, b" " * 200_000 + b"{}") == 204, DEADLINE_S, "an event taken")
            peak = max(peak, process.memory_info().rss)
            for connection in slow:
                connection.close()
        assert peak < 200 * 1024 * 1024
        wait_for(lambda: process.memory_info().rss - before < 40 * 1024 * 1024, DEADLINE_S, "memory given back")


def half_sent(address: str, content: bytes) -> socket.socket:
    """A connection on which so much was sent as the server lets it."""
    host, port = address.split(":")
    made = socket.create_connection((host, int(port)), timeout=DEADLINE_S)
    with contextlib.suppress(OSError):
        made.sendall(content)
    return made


def post(address: str, body: bytes) -> int:
    """The status of the answer."""
    connection = http.client.HTTPConnection(address, timeout=DEADLINE_S)
    connection.request("POST", "/beacon/event", body)
    status = connection.getresponse().status
    connection.close()
    return status


def test_clicks_in_a_browser_become_rows(
    topology: Callable[..., Topology], kafka: str, mariadb: str, chromium: str, unique: Callable[[str], str]
) -> None:
    address, raw, valid, errors = f"127.0.0.1:{free_port()}", unique("raw"), unique("valid"), unique("errors")
    site = topology({})
    site.instance(
        "forwarder/http",
        f"http://{address}/beacon/event?files={ROOT / 'demo' / 'page'}",
        f"kafka:///{kafka}?topic={raw}",
    )
    site.instance(
        "processor/client-side",
        f"--sid={unique('group')}",
        f"--schemas={SCHEMAS}",
        CLIENT_SIDE,
        f"kafka:///{kafka}?topic={raw}&partitions=1&auto_offset_reset=earliest",
        f"kafka:///{kafka}?topic={valid}",
        f"--output-invalid=kafka:///{kafka}?topic={errors}",
    )
    site.instance(
        "consumer/mysql",
        f"--sid={unique('group')}",
        f"kafka:///{kafka}?topic={valid}&auto_offset_reset=earliest",
        mariadb,
        "--batch-seconds=0.1",
    )
    before = rows(mariadb)
    site.ctl("start")
    wait_for(lambda: ask(address, "/healthz"), DEADLINE_S, "the forwarder")
    assert click(chromium, address) == CLICKS
    wait_for(lambda: rows(mariadb) == before + CLICKS - 1, DEADLINE_S, "the rows of the valid clicks")
    (error,) = wait_for(lambda: values(kafka, errors), DEADLINE_S, "the EventError of the invalid one")
    assert b"event.action" in error
    assert b"'hover'" in error


def rows(url: str) -> int:
    """Rows that the demo page has made."""
    login, _, place = url.partition("://")[2].rpartition("@")
    user, _, password = login.partition(":")
    host, _, port = place.partition("/")[0].partition(":")
    connection = pymysql.connect(host=host, port=int(port), user=user, password=password, database="log")
    with connection, connection.cursor() as cursor:
        cursor.execute("SHOW TABLES LIKE %s", (f"{PAGE_SCHEMA}_20219611",))
        if not cursor.fetchall():
            return 0
        cursor.execute(f"SELECT COUNT(*) FROM `{PAGE_SCHEMA}_20219611` WHERE wiki = 'demowiki'")  # noqa: S608 - ours
        row = cursor.fetchone()
        return int(row[0]) if row else 0


def test_requests_to_varnish_are_in_kafka_and_its_reader_dies_with_the_worker(
    varnish: Varnished, kafka: str, tmp_path: Path, unique: Callable[[str], str]
) -> None:
    topic = unique("varnish")

    def seen(query: str) -> Callable[[], bool]:
        def look() -> bool:
            ask(varnish.address, f"/event{query}")
            return any(value.startswith(query.encode() + b"\t") for value in values(kafka, topic))

        return look

    def readers() -> list[psutil.Process]:
        found = worker(pool).children()
        return [one for one in found if one.name() == "varnishncsa"]

    with forwarder(tmp_path, f"varnish:///{varnish.name}?host=cp1", f"kafka:///{kafka}?topic={topic}") as pool:
        wait_for(seen("?first"), DEADLINE_S, "a request of Varnish")
        (reader,) = readers()
        assert "TZ=UTC" in Path(f"/proc/{reader.pid}/environ").read_text(encoding="utf-8").split("\0")
        worker(pool).send_signal(signal.SIGKILL)
        wait_for(lambda: not reader.is_running(), DEADLINE_S, "the end of varnishncsa")
        wait_for(seen("?second"), DEADLINE_S, "a request after that")
        (reader,) = readers()
    assert not reader.is_running()
    lines = values(kafka, topic)
    assert {line.split(b"\t")[1] for line in lines} == {b"cp1"}
    numbers = [int(line.split(b"\t")[2]) for line in lines]
    assert len(set(numbers)) == len(numbers)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ("processor", CLIENT_SIDE, "http://127.0.0.1:1/x", "stdout:"),
            "http URI: only a forwarder takes events from it",
        ),
        (("forwarder", "http://127.0.0.1:1/x?files=/no/such", "stdout:"), "option files='/no/such'; expected a folder"),
        (("forwarder", "http://127.0.0.1:1", "stdout:"), "http URI: no path; expected http://HOST:PORT/beacon/event"),
        (("forwarder", "http://127.0.0.1:1/x?trusted_proxies=me", "stdout:"), "option trusted_proxies='me'; expected"),
        (("forwarder", "http://127.0.0.1:1/x?max_boddy_bytes=9", "stdout:"), "did you mean 'max_body_bytes'?"),
        (("forwarder", "varnish://host/name", "stdout:"), "varnish URI: a host; expected varnish:///NAME"),
        (("forwarder", "varnish:x", "stdout:"), "no name behind ///; expected varnish:///NAME"),
        (("forwarder", "http://127.0.0.1:1/healthz", "stdout:"), "path /healthz is reserved; expected one as"),
        (("forwarder", "varnish:///x?program=varnishnsca", "stdout:"), "varnishnsca is not on PATH; install Varnish"),
        (("forwarder", "--workers=2", "varnish:///x", "stdout:"), "each worker would read it for itself"),
    ],
)
def test_what_is_wrong_with_a_door_is_said(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    command = [BIN / f"eventlogging-{words[0]}", *words[1:]]
    environment = {**os.environ, "XDG_STATE_HOME": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=environment)
    assert done.returncode == 78
    assert said in done.stderr
