# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""A forwarder whose Kafka is away: nothing that was received is lost, not even over its own restart."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from outputs import values
from topology import BIN, free_port, free_udp_port
from waiting import wait_for

from elworkers.devstack import Stack

DEADLINE_S = 60.0


def test_datagrams_wait_on_disk_while_kafka_is_away(
    own_stack: Stack, tmp_path: Path, unique: Callable[[str], str]
) -> None:
    own_stack.up("kafka")
    kafka, topic, port = own_stack.env()["KAFKA"], unique("spooled"), free_udp_port()
    log = tmp_path / "log"

    def start() -> subprocess.Popen[bytes]:
        command = [BIN / "eventlogging-forwarder", "--name=f", f"--spool-dir={tmp_path}/spool"]
        with log.open("ab") as stderr:
            return subprocess.Popen(
                [*command, f"udp://127.0.0.1:{port}", f"kafka:///{kafka}?topic={topic}"], stderr=stderr
            )

    def waiting() -> int:
        return sum(path.read_bytes().count(b"\n") for path in (tmp_path / "spool").glob("*.spool"))

    sent = 0

    def send_fifty() -> None:
        # No more than a small receive buffer holds are under way.
        nonlocal sent
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            for number in range(sent, sent + 50):
                udp.sendto(b"%d" % number, ("127.0.0.1", port))
        sent += 50
        wait_for(lambda: waiting() >= sent, DEADLINE_S, "datagrams on disk")

    forwarder = start()
    try:
        wait_for(lambda: (tmp_path / "spool").exists() and psutil.Process(forwarder.pid).children(), DEADLINE_S, "it")
        wait_for(lambda: f":{port:04X} " in Path("/proc/net/udp").read_text(encoding="ascii"), DEADLINE_S, "the port")
        send_fifty()
        own_stack.kill("kafka")
        send_fifty()
        wait_for(lambda: "waiting to try again" in log.read_text(encoding="utf-8"), DEADLINE_S, "the first backoff")
        send_fifty()
        # Its own restart, once asked for and once not.
        forwarder.terminate()
        assert forwarder.wait(DEADLINE_S) == 0
        forwarder = start()
        (worker,) = wait_for(lambda: psutil.Process(forwarder.pid).children(), DEADLINE_S, "a worker")
        wait_for(lambda: f":{port:04X} " in Path("/proc/net/udp").read_text(encoding="ascii"), DEADLINE_S, "the port")
        send_fifty()
        worker.send_signal(signal.SIGKILL)
        own_stack.start("kafka")

        def arrived() -> set[int]:
            return set(map(int, values(kafka, topic)))

        wait_for(lambda: arrived() == set(range(sent)), DEADLINE_S, f"all of {sent} datagrams")
        assert "they are lost" not in log.read_text(encoding="utf-8")
        entries = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
        assert any(entry["event"] == "lines are waiting in the spool" for entry in entries)
    finally:
        forwarder.kill()
        forwarder.wait(DEADLINE_S)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MB, which takes nothing more."""
    folder = tmp_path / "disk"
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", folder]
    if os.geteuid() or subprocess.run(words, check=False).returncode:
        pytest.skip("nobody but root can mount a full disk")
    try:
        fill(folder)
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def fill(folder: Path) -> None:
    """Leave no room on a disk."""
    with (folder / "filler").open("ab", buffering=0) as filler, contextlib.suppress(OSError):
        while True:
            filler.write(b"x" * 4096)


@contextlib.contextmanager
def door(disk: Path, log: Path, uri: str, output: str, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """A forwarder whose run folder is on the disk."""
    command = [BIN / "eventlogging-forwarder", "--name=f", *words, uri, output]
    with log.open("ab") as stderr:
        started = subprocess.Popen(command, stderr=stderr, env={**os.environ, "EVENTLOGGING_RUN_DIR": str(disk)})
    try:
        yield started
    finally:
        started.terminate()
        assert started.wait(DEADLINE_S) == 0


def ask(port: int, path: str, body: bytes | None = None) -> tuple[int, str, dict[str, str]] | None:
    """Status, text and headers of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE_S)
    try:
        connection.request("GET" if body is None else "POST", path, body)
        reply = connection.getresponse()
        return reply.status, reply.read().decode(), dict(reply.headers)
    except ConnectionError:
        return None
    finally:
        connection.close()


def lines(output: Path) -> list[bytes]:
    """What has arrived."""
    return output.read_bytes().splitlines() if output.exists() else []


@pytest.mark.parametrize("words", [(), ("--count",)])
def test_datagrams_go_past_a_full_disk(disk: Path, tmp_path: Path, words: tuple[str, ...]) -> None:
    port, out, log = free_udp_port(), tmp_path / "out", tmp_path / "log"
    with door(disk, log, f"udp://127.0.0.1:{port}", f"file://{out}", *words):
        wait_for(lambda: f":{port:04X} " in Path("/proc/net/udp").read_text(encoding="ascii"), DEADLINE_S, "the port")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            for number in range(5):
                udp.sendto(b"datagram %d" % number, ("127.0.0.1", port))
        wait_for(lambda: len(lines(out)) >= 5, DEADLINE_S, "five datagrams")
    assert [line.split(b"\t")[-1] for line in lines(out)] == [b"datagram %d" % number for number in range(5)]
    assert "the spool is passed over" in log.read_text(encoding="utf-8")
    assert "lost" not in log.read_text(encoding="utf-8")


def test_posts_go_past_a_full_disk_and_are_refused_where_the_output_is_away(
    own_stack: Stack, disk: Path, tmp_path: Path, unique: Callable[[str], str]
) -> None:
    own_stack.up("kafka")
    port, log, kafka = free_port(), tmp_path / "log", own_stack.env()["KAFKA"]
    uri, output = f"http://127.0.0.1:{port}/beacon/event", f"kafka:///{kafka}?topic={unique('straight')}"

    def health() -> tuple[int, str]:
        answer = ask(port, "/healthz")
        return (answer[0], json.loads(answer[1])["status"]) if answer else (0, "")

    with door(disk, log, uri, output):
        wait_for(lambda: health() == (200, "straight"), DEADLINE_S, "the way past the disk")
        for number in range(5):
            answer = ask(port, "/beacon/event", b'{"n": %d}' % number)
            assert answer is not None
            assert answer[0] == 204
        assert health() == (200, "straight")
        own_stack.kill("kafka")
        answer = ask(port, "/beacon/event", b'{"n": 5}')
        assert answer is not None
        assert (answer[0], answer[2]["Retry-After"]) == (503, "30")
        assert health() == (503, "full")
        own_stack.start("kafka")
        wait_for(lambda: health() == (200, "straight"), DEADLINE_S, "the way past the disk again")
        answer = ask(port, "/beacon/event", b'{"n": 6}')
        assert answer is not None
        assert answer[0] == 204
        (disk / "filler").unlink()
        wait_for(lambda: health() == (200, "ok"), DEADLINE_S, "the disk")
        answer = ask(port, "/beacon/event", b'{"n": 7}')
        assert answer is not None
        assert answer[0] == 204


def test_a_damaged_spool_ends_no_forwarder_and_nothing_comes_twice(tmp_path: Path) -> None:
    port, out, log, run = free_udp_port(), tmp_path / "out", tmp_path / "log", tmp_path / "run"
    spool = run / "spool" / "forwarder-f"

    def send(number: int) -> None:
        wait_for(lambda: f":{port:04X} " in Path("/proc/net/udp").read_text(encoding="ascii"), DEADLINE_S, "the port")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.sendto(b"%d" % number, ("127.0.0.1", port))
        wait_for(lambda: len(lines(out)) > number, DEADLINE_S, "a datagram")

    with door(run, log, f"udp://127.0.0.1:{port}", f"file://{out}"):
        send(0)
    (spool / "done").write_bytes(b"")
    (spool / "x.spool").write_bytes(b"\0" * 4096)
    (spool / "notes").write_bytes(b"foreign")
    with door(run, log, f"udp://127.0.0.1:{port}", f"file://{out}"):
        send(1)
    with door(run, log, f"udp://127.0.0.1:{port}", f"file://{out}"):
        send(2)
    assert lines(out) == [b"0", b"1", b"2"]
    said = [
        entry for entry in map(json.loads, log.read_text(encoding="utf-8").splitlines()) if "damaged" in entry["event"]
    ]
    assert sorted(entry["done"] for entry in said) == ["put aside as done.aside", "put aside as x.spool.aside"]
    assert (spool / "x.spool.aside").read_bytes() == b"\0" * 4096
    assert (spool / "notes").exists()
