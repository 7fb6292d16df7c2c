# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""A cluster of Kafka 3.9 becomes one of 4.4, broker by broker, while everything goes on."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from topology import BIN
from waiting import wait_for

from elworkers.connectors.kafka.drivers import driver
from elworkers.devstack import Stack
from elworkers.devstack.stack import with_brokers

DEADLINE_S = 200.0
BROKERS = with_brokers(["kafka"], 3)
# Lines a second, more or less.
PAUSE_S, LINES = 0.02, 10


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Stack]:
    made = Stack(tmp_path / "stack")
    try:
        made.up(*BROKERS)
        yield made
    finally:
        made.down()


class Feeding:
    """Feeds lines to a program's standard input until it is told to stop."""

    def __init__(self, program: subprocess.Popen[bytes]) -> None:
        self._program = program
        self._stop = threading.Event()
        self.fed = 0
        self._thread = threading.Thread(target=self._feed)
        self._thread.start()

    def _feed(self) -> None:
        assert self._program.stdin
        with self._program.stdin as stdin:
            while not self._stop.wait(PAUSE_S):
                lines = range(self.fed, self.fed + LINES)
                stdin.write(b"".join(b"line %d\n" % number for number in lines))
                stdin.flush()
                self.fed += LINES

    def end(self) -> int:
        """Stop; how many lines there were."""
        self._stop.set()
        self._thread.join()
        return self.fed


def wait_for_new(lines: Callable[[], list[str]]) -> None:
    """Wait until a line has come that was not there yet."""
    before = len(set(lines()))
    wait_for(lambda: len(set(lines())) > before, DEADLINE_S, f"more than {before} lines")


def test_no_line_is_lost_and_no_worker_replaced(cluster: Stack, tmp_path: Path) -> None:
    env = cluster.env()
    hosts = [env[name] for name in ("KAFKA", "KAFKA_2", "KAFKA_3")]
    driver(hosts, "confluent").admin(hosts).get_or_create("lines", 3, 3)
    out, topic = tmp_path / "out.log", f"kafka-confluent:///{','.join(hosts)}?topic=lines"
    source = f"{topic}&raw=True&identity=reader&auto_offset_reset=earliest"
    programs = {
        "consumer": [BIN / "eventlogging-consumer", source, f"file://{out}"],
        "forwarder": [BIN / "eventlogging-forwarder", "stdin:", topic],
    }
    running: dict[str, subprocess.Popen[bytes]] = {}

    def come() -> list[str]:
        return out.read_text(encoding="utf-8").splitlines() if out.exists() else []

    try:
        for name, command in programs.items():
            with (tmp_path / f"{name}.log").open("wb") as log:
                running[name] = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=log)
        feeding = Feeding(running["forwarder"])
        wait_for(come, DEADLINE_S, "the first lines")
        workers = {child.pid for one in running.values() for child in psutil.Process(one.pid).children()}
        assert len(workers) >= 2
        for name in (*BROKERS[1:], BROKERS[0]):
            cluster.upgrade(name)
            assert (cluster.folder / name / "jars" / "kafka_2.13-4.4.0.jar").exists()
            wait_for_new(come)
        cluster.finish_upgrade("kafka")
        wait_for_new(come)
        assert {child.pid for one in running.values() for child in psutil.Process(one.pid).children()} == workers
        fed = feeding.end()
        assert running["forwarder"].wait(DEADLINE_S) == 0
        wait_for(lambda: len(set(come())) == fed, DEADLINE_S, f"{fed} lines")
        assert set(come()) == {f"line {number}" for number in range(fed)}
    finally:
        for one in running.values():
            one.kill()
            one.wait(DEADLINE_S)
