"""A forwarder whose Kafka is away: nothing that was received is lost, not even over its own restart."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import psutil
from topology import BIN, free_udp_port
from waiting import wait_for

from elworkers.devstack import Stack
from elworkers.kafka import client, offsets

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
            cluster = client.connect([kafka])
            cluster.update()
            found: list[int] = []
            if offsets.ends(cluster, topic):
                tail = offsets.Tail(cluster, topic, from_beginning=True)
                wanted = sum(offsets.ends(cluster, topic).values())
                wait_for(
                    lambda: tail.read(lambda value: found.append(int(value))) or len(found) >= wanted,
                    DEADLINE_S,
                    "tail",
                )
                tail.close()
            return set(found)

        wait_for(lambda: arrived() == set(range(sent)), DEADLINE_S, f"all of {sent} datagrams")
        assert "they are lost" not in log.read_text(encoding="utf-8")
        entries = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
        assert any(entry["event"] == "lines are waiting in the spool" for entry in entries)
    finally:
        forwarder.kill()
        forwarder.wait(DEADLINE_S)
