# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Runs `make chaos`: minutes of kills and outages, and a table of what was lost and what was doubled."""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import psutil
from hostile import case_lines, invalid_lines, write_schemas
from outputs import count as count_messages
from outputs import values
from topology import SCHEMAS, Topology

from chaos import flow
from elworkers.core.errors import RetryableError
from elworkers.devstack import Stack

_BATCH, _PAUSE_S = 40, 0.2
_ARRIVES_WITHIN_S = 180.0
RAW, VALID, ERRORS = "chaos-raw", "chaos-valid", "eventlogging_EventError"


class Feeder(threading.Thread):
    """Writes numbered events until it is told to stop, a hostile line after each batch of them.

    What was not acknowledged is written again.
    """

    def __init__(self, kafka: str) -> None:
        super().__init__(daemon=True)
        self._kafka = kafka
        self._stopped = threading.Event()
        self._invalid, self._hostile = invalid_lines(), [*invalid_lines(), *case_lines()]
        self.sent = self.hostile = self.invalid = 0

    def run(self) -> None:
        """See `threading.Thread.run`."""
        while not self._stopped.wait(_PAUSE_S):
            line = self._hostile[self.hostile % len(self._hostile)]
            numbered = [flow.event(number) for number in range(self.sent, self.sent + _BATCH)]
            try:
                flow.produce_lines(self._kafka, RAW, [*numbered, line])
            except RetryableError:
                continue
            self.sent += _BATCH
            self.hostile += 1
            self.invalid += line in self._invalid

    def stop(self) -> int:
        """Stop; how many were sent."""
        self._stopped.set()
        self.join()
        return self.sent


class Watch(threading.Thread):
    """Looks every half second whether the valid topic has grown; remembers the longest time in which it has not."""

    def __init__(self, kafka: str) -> None:
        super().__init__(daemon=True)
        self._kafka = kafka
        self.longest_s = 0.0
        self.stopped = threading.Event()

    def run(self) -> None:
        """See `threading.Thread.run`."""
        last, since = 0, time.monotonic()
        while not self.stopped.wait(0.5):
            try:
                now = count_messages(self._kafka, VALID)
            except RetryableError:
                now = last
            if now != last:
                last, since = now, time.monotonic()
            elif last:
                self.longest_s = max(self.longest_s, time.monotonic() - since)


class Mode(NamedTuple):
    """With which client instances work, on which part of the devstack, and whether topics are written exactly once."""

    client: str = "pykafka"
    broker: str = "kafka"
    exactly_once: bool = False


class Chaos:
    """The topology and what is done to it.

    With confluent-kafka no group is in ZooKeeper. In exactly-once mode nobody kills the consumer of the log file: it
    writes at least once, and what is twice in the file would be its own doing.
    """

    def __init__(self, folder: Path, seed: int, mode: Mode) -> None:
        self._random = random.Random(seed)
        self._mode = mode
        self._has_zookeeper = mode.client == "pykafka"
        self._stack = Stack(folder / "stack")
        self._stack.up(mode.broker, "mariadb", *["zookeeper"] * self._has_zookeeper)
        self._env = self._stack.env()
        self._kafka = self._env[mode.broker.upper()]
        schemas = f"{SCHEMAS} {write_schemas(folder / 'schemas')}"
        self._site = Topology(folder / "site", {"EVENTLOGGING_SCHEMAS": schemas})
        self._folder = folder
        self.done: list[str] = []
        self._write_instances()

    def _write_instances(self) -> None:
        kafka = f"kafka-{self._mode.client}:///{self._kafka}"
        common = "auto_offset_reset=earliest&session_timeout_ms=6000&partitions=4"
        out = f"{kafka}?topic={VALID}&exactly_once={self._mode.exactly_once}"
        of_schema, invalid = f"{kafka}?topic=chaos.{{schema}}", f"--output-invalid={kafka}?topic={ERRORS}"
        raw, valid = f"{kafka}?topic={RAW}&{common}", f"{kafka}?topic={VALID}&{common}"
        self._site.instance("processor/main", "--sid=chaos", "%j", raw, out, of_schema, invalid, "--workers=1")
        database = f"{self._env['MYSQL_URL']}&batch_seconds=1"
        self._site.instance("consumer/database", f"{valid}&identity=database", database, "--workers=2")
        self._site.instance("consumer/file", f"{valid}&identity=file", f"file://{self._folder}/events.log")
        if self._has_zookeeper:
            zk = f"{valid}&identity=zk&zookeeper_connect={self._env['ZOOKEEPER']}"
            self._site.instance("consumer/zookeeper", zk, f"file://{self._folder}/zookeeper.log")

    def _do(self, what: str, action: Callable[[], object]) -> None:
        print(f"{time.strftime('%H:%M:%S')} {what}", flush=True)
        self.done.append(what)
        action()

    def _parents(self) -> dict[str, psutil.Process]:
        spared = ("consumer/file",) if self._mode.exactly_once else ()
        return {title: psutil.Process(pid) for title, pid in self._site.pids().items() if title not in spared}

    def kill_a_worker(self) -> None:
        """SIGKILL for a worker."""
        title, parent = self._random.choice(sorted(self._parents().items()))
        workers = parent.children()
        if workers:
            self._do(f"kill a worker of {title}", self._random.choice(workers).kill)

    def kill_a_parent(self) -> None:
        """SIGKILL for a pool parent, which takes its workers along."""
        title, parent = self._random.choice(sorted(self._parents().items()))
        self._do(f"kill the parent of {title}", parent.kill)

    def stop_a_worker_for_long(self) -> None:
        """A worker that sleeps longer than its session, and comes back late."""
        title, parent = self._random.choice(sorted(self._parents().items()))
        workers = parent.children()
        if workers:
            worker = self._random.choice(workers)
            self._do(f"suspend a worker of {title} for 10 s", worker.suspend)
            time.sleep(10)
            if worker.is_running():
                worker.resume()

    def outage(self, part: str, seconds: float, *, kill: bool = False) -> None:
        """A server that is away for a while."""
        away = self._stack.kill if kill else self._stack.stop
        self._do(f"{'kill' if kill else 'stop'} {part} for {seconds:.0f} s", lambda: away(part))
        time.sleep(seconds)
        self._do(f"start {part}", lambda: self._stack.start(part))

    def scale(self, number: signal.Signals, times: int) -> None:
        """More or fewer workers of the processor."""
        parent = self._parents()["processor/main"]
        self._do(f"{number.name} for processor/main, {times} times", lambda: None)
        for _ in range(times):
            os.kill(parent.pid, number)
            time.sleep(0.2)

    def run(self, seconds: float) -> bool:
        """Let it run for so long; whether nothing was lost and nothing is twice in the database."""
        self._site.ctl("start")
        feeder, watch = Feeder(self._kafka), Watch(self._kafka)
        feeder.start()
        watch.start()
        began = time.monotonic()
        planned: list[tuple[float, Callable[[], None]]] = [
            (0.15, lambda: self.outage(self._mode.broker, 5, kill=True)),
            (0.35, lambda: self.scale(signal.SIGTTIN, 3)),
            (0.50, lambda: self.outage("mariadb", 30)),
            (0.65, lambda: self.scale(signal.SIGTTOU, 2)),
        ]
        if self._has_zookeeper:
            planned.append((0.75, lambda: self.outage("zookeeper", 3)))
        often = (self.kill_a_worker, self.kill_a_worker, self.kill_a_parent, self.stop_a_worker_for_long)
        while (passed := time.monotonic() - began) < seconds:
            if planned and passed / seconds > planned[0][0]:
                planned.pop(0)[1]()
            elif self._parents():
                self._random.choice(often)()
            time.sleep(self._random.uniform(2, 6))
        sent = range(feeder.stop())
        watch.stopped.set()
        self._wait(sent)
        return self._report(sent, watch.longest_s, feeder)

    def _places(self) -> dict[str, list[int]]:
        found = {
            "topic of valid events": flow.in_topic(self._kafka, VALID, self._mode.client),
            "database": flow.in_database(self._env["MYSQL_URL"], f"{flow.SCHEMA}_{flow.REVISION}"),
            "log file": flow.in_file(self._folder / "events.log"),
        }
        if self._has_zookeeper:
            found["log file, group by ZooKeeper"] = flow.in_file(self._folder / "zookeeper.log")
        return found

    def _wait(self, sent: range) -> None:
        deadline = time.monotonic() + _ARRIVES_WITHIN_S
        while time.monotonic() < deadline and any(flow.count(at, sent).lost for at in self._places().values()):
            time.sleep(2)

    def _report(self, sent: range, longest_s: float, feeder: Feeder) -> bool:
        workers = sum(worker["restarts"] for said in self._site.states() for worker in said["workers"])
        print(
            f"\nevents sent: {len(sent)}; hostile lines among them: {feeder.hostile}; actions: {len(self.done)};"
            f" restarts of workers that are there now: {workers}"
        )
        print(f"longest time without a new valid event: {longest_s:.1f} s\n")
        print("| place | events | lost | there again |\n|---|---|---|---|")
        fine = True
        written = flow.sent_in(self._kafka, RAW, self._mode.client)
        for place, found in self._places().items():
            counted = flow.count(found, sent)
            if self._mode.exactly_once and place != "database":
                # What the sender itself has written again when the broker died is there as often as it was sent.
                counted = counted._replace(again=flow.more_often(found, written))
            print(f"| {place} | {len(set(found) & set(sent))} | {counted.lost} | {counted.again} |")
            fine = fine and not counted.lost and not (counted.again and self._is_exact(place))
        return self._report_errors(feeder.invalid) and fine

    def _report_errors(self, invalid: int) -> bool:
        # An EventError's uuid is made of its line's place: lines that were written again count as several.
        found = [json.loads(value)["uuid"] for value in values(self._kafka, ERRORS, self._mode.client)]
        lost, again = max(0, invalid - len(set(found))), len(found) - len(set(found))
        print(f"| topic of EventErrors | {len(set(found))} | {lost} | {again} |")
        return not lost and not (again and self._mode.exactly_once)

    def _is_exact(self, place: str) -> bool:
        return place == "database" or self._mode.exactly_once

    def close(self) -> None:
        """End everything."""
        self._site.shutdown()
        self._stack.down()


def main() -> int:
    """Run it.

    Returns:
        0 when nothing was lost and nothing is twice in the database, nor in exactly-once mode anywhere.
    """
    parser = argparse.ArgumentParser(prog="chaos", description=__doc__)
    parser.add_argument("--seconds", type=float, default=480.0, help="how long (default 480)")
    parser.add_argument("--seed", type=int, default=1, help="of the choice of kills (default 1)")
    parser.add_argument("--client", choices=("pykafka", "confluent"), default="pykafka", help="Kafka client")
    parser.add_argument("--broker", choices=("kafka", "kafka44"), default="kafka", help="part of the devstack")
    parser.add_argument("--exactly-once", action="store_true", help="the processor has exactly_once=True")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        chaos = Chaos(Path(folder), given.seed, Mode(given.client, given.broker, given.exactly_once))
        try:
            return 0 if chaos.run(given.seconds) else 1
        finally:
            chaos.close()


if __name__ == "__main__":
    sys.exit(main())
