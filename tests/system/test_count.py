# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""`eventlogging-forwarder --count` by its installed command: no number twice, and the same for the same line."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path

from topology import BIN, SCHEMAS, free_udp_port
from waiting import wait_for

DEADLINE_S = 60.0
FORWARDER = BIN / "eventlogging-forwarder"


def environment(run_dir: Path | None) -> dict[str, str]:
    env = {name: value for name, value in os.environ.items() if name != "EVENTLOGGING_RUN_DIR"}
    return {**env, "EVENTLOGGING_SCHEMAS": str(SCHEMAS)} | ({"EVENTLOGGING_RUN_DIR": str(run_dir)} if run_dir else {})


def forward(lines: list[bytes], out: Path, run_dir: Path | None) -> str:
    command = [FORWARDER, "stdin:", f"file://{out}", "--count"]
    sent = b"".join(line + b"\n" for line in lines)
    done = subprocess.run(
        command, input=sent, env=environment(run_dir), check=True, capture_output=True, timeout=DEADLINE_S
    )
    return done.stderr.decode()


def numbers(path: Path) -> list[int]:
    return [int(line.partition(b"\t")[0]) for line in path.read_bytes().splitlines()] if path.exists() else []


def server_side(number: int) -> bytes:
    event = {"emailDeliveryMode": "daily_digest", "recipientUserId": number, "version": "1"}
    capsule = {"event": event, "schema": "EchoMail", "revision": 5467650, "wiki": "w", "recvFrom": "mw1"}
    return b"EventLogging " + json.dumps({**capsule, "timestamp": 1795676838}).encode()


def test_events_of_one_second_on_both_sides_of_a_restart_are_all_stored(tmp_path: Path) -> None:
    lines, database = tmp_path / "lines", tmp_path / "events.db"
    for begin in (0, 3):
        assert "no run folder" not in forward([server_side(begin + number) for number in range(3)], lines, tmp_path)
    assert numbers(lines) == [0, 1, 2, 3, 4, 5]
    env, events = environment(None), tmp_path / "events"
    processor = [BIN / "eventlogging-processor", "%{seqId}d EventLogging %j", "stdin:", f"file://{events}"]
    consumer = [BIN / "eventlogging-consumer", f"file://{events}", f"sqlite:///{database}"]
    subprocess.run(processor, stdin=lines.open("rb"), env=env, check=True, capture_output=True, timeout=DEADLINE_S)
    subprocess.run(consumer, env=env, check=True, capture_output=True, timeout=DEADLINE_S)
    with sqlite3.connect(database) as connection:
        assert connection.execute("SELECT count(*) FROM EchoMail_5467650").fetchone() == (6,)


def test_without_a_run_folder_no_number_comes_again_either(tmp_path: Path) -> None:
    lines = tmp_path / "lines"
    said = [forward([b"a", b"b"], lines, None) for _ in range(2)]
    assert [text.count("no run folder to remember sequence numbers in") for text in said] == [1, 1]
    assert len(set(numbers(lines))) == 4
    assert min(numbers(lines)) > 1_700_000_000_000


def test_a_line_that_is_read_from_kafka_again_keeps_its_number(
    tmp_path: Path, kafka: str, unique: Callable[[str], str]
) -> None:
    topic = unique("counted")
    sink = f"kafka:///{kafka}?topic={topic}&partitions=3"
    for begin in (0, 10):
        lines = b"".join(b"line %d\n" % number for number in range(begin, begin + 10))
        subprocess.run([FORWARDER, "stdin:", sink], input=lines, check=True, capture_output=True, timeout=DEADLINE_S)
    outs = [tmp_path / name for name in ("first", "second")]
    for out in outs:
        source = f"kafka:///{kafka}?topic={topic}&auto_offset_reset=earliest&identity={topic}-{out.name}"
        process = subprocess.Popen(
            [FORWARDER, source, f"file://{out}", "--count"], stderr=subprocess.DEVNULL, env=environment(tmp_path)
        )
        try:
            wait_for(lambda out=out: len(numbers(out)) == 20, DEADLINE_S, "all lines")  # type: ignore[misc]
        finally:
            process.terminate()
            process.wait(DEADLINE_S)
    first, second = (sorted(out.read_bytes().splitlines()) for out in outs)
    assert first == second
    assert len(set(numbers(outs[0]))) == 20


def test_a_spooled_line_keeps_its_number_over_a_kill(tmp_path: Path) -> None:
    port, folder = free_udp_port(), tmp_path / "not there"
    words = [f"udp://127.0.0.1:{port}", f"file://{folder}/out", "--count", "--name=spooling"]

    def spooled() -> list[bytes]:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.sendto(b"line", ("127.0.0.1", port))
        found = b"".join(path.read_bytes() for path in (tmp_path / "spool").rglob("*.spool"))
        return found.splitlines()

    def started() -> subprocess.Popen[bytes]:
        return subprocess.Popen([FORWARDER, *words], stderr=subprocess.DEVNULL, env=environment(tmp_path))

    process = started()
    try:
        wait_for(lambda: len(spooled()) >= 3, DEADLINE_S, "three lines in the spool")
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait(DEADLINE_S)
    held = [line.split(b"\t", 1)[1] for path in (tmp_path / "spool").rglob("*.spool") for line in path.open("rb")]
    folder.mkdir()
    process = started()
    try:
        wait_for(lambda: len(numbers(folder / "out")) >= len(held), DEADLINE_S, "the lines of before")
    finally:
        process.terminate()
        process.wait(DEADLINE_S)
    written = (folder / "out").read_bytes().splitlines(keepends=True)
    assert written[: len(held)] == held
    assert len(set(numbers(folder / "out"))) == len(written)
