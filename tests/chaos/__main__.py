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


class Chaos:
    """The topology and what is done to it."""

    def __init__(self, folder: Path, seed: int) -> None:
        self._random = random.Random(seed)
        self._stack = Stack(folder / "stack")
        self._stack.up("kafka", "zookeeper", "mariadb")
        self._env = self._stack.env()
        schemas = f"{SCHEMAS} {write_schemas(folder / 'schemas')}"
        self._site = Topology(folder / "site", {"EVENTLOGGING_SCHEMAS": schemas})
        self._folder = folder
        self.done: list[str] = []
        self._write_instances()

    def _write_instances(self) -> None:
        kafka, zookeeper = self._env["KAFKA"], self._env["ZOOKEEPER"]
        common = "auto_offset_reset=earliest&session_timeout_ms=6000&partitions=4"
        out, of_schema = f"kafka:///{kafka}?topic={VALID}", f"kafka:///{kafka}?topic=chaos.{{schema}}"
        invalid = f"--output-invalid=kafka:///{kafka}?topic={ERRORS}"
        raw, valid = f"kafka:///{kafka}?topic={RAW}&{common}", f"kafka:///{kafka}?topic={VALID}&{common}"
        self._site.instance("processor/main", "--sid=chaos", "%j", raw, out, of_schema, invalid, "--workers=1")
        database = f"{self._env['MYSQL_URL']}&batch_seconds=1"
        self._site.instance("consumer/database", f"{valid}&identity=database", database, "--workers=2")
        self._site.instance("consumer/file", f"{valid}&identity=file", f"file://{self._folder}/events.log")
        zk = f"{valid}&identity=zk&zookeeper_connect={zookeeper}"
        self._site.instance("consumer/zookeeper", zk, f"file://{self._folder}/zookeeper.log")

    def _do(self, what: str, action: Callable[[], object]) -> None:
        print(f"{time.strftime('%H:%M:%S')} {what}", flush=True)
        self.done.append(what)
        action()

    def _parents(self) -> dict[str, psutil.Process]:
        return {title: psutil.Process(pid) for title, pid in self._site.pids().items()}

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
        kafka = self._env["KAFKA"]
        feeder, watch = Feeder(kafka), Watch(kafka)
        feeder.start()
        watch.start()
        began = time.monotonic()
        planned: list[tuple[float, Callable[[], None]]] = [
            (0.15, lambda: self.outage("kafka", 5, kill=True)),
            (0.35, lambda: self.scale(signal.SIGTTIN, 3)),
            (0.50, lambda: self.outage("mariadb", 30)),
            (0.65, lambda: self.scale(signal.SIGTTOU, 2)),
            (0.75, lambda: self.outage("zookeeper", 3)),
        ]
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
        def lines(name: str) -> list[int]:
            path = self._folder / name
            return flow.numbers_of(path.read_bytes().splitlines() if path.exists() else [])

        return {
            "topic of valid events": flow.in_topic(self._env["KAFKA"], VALID),
            "database": flow.in_database(self._env["MYSQL_URL"], f"{flow.SCHEMA}_{flow.REVISION}"),
            "log file": lines("events.log"),
            "log file, group by ZooKeeper": lines("zookeeper.log"),
        }

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
        for place, found in self._places().items():
            counted = flow.count(found, sent)
            print(f"| {place} | {len(set(found) & set(sent))} | {counted.lost} | {counted.again} |")
            fine = fine and not counted.lost and not (place == "database" and counted.again)
        return self._report_errors(feeder.invalid) and fine

    def _report_errors(self, invalid: int) -> bool:
        # An EventError's uuid is made of its line's place: lines that were written again count as several.
        found = [json.loads(value)["uuid"] for value in values(self._env["KAFKA"], ERRORS)]
        lost = max(0, invalid - len(set(found)))
        print(f"| topic of EventErrors | {len(set(found))} | {lost} | {len(found) - len(set(found))} |")
        return not lost

    def close(self) -> None:
        """End everything."""
        self._site.shutdown()
        self._stack.down()


def main() -> int:
    """Run it.

    Returns:
        0 when nothing was lost and nothing is twice in the database.
    """
    parser = argparse.ArgumentParser(prog="chaos", description=__doc__)
    parser.add_argument("--seconds", type=float, default=480.0, help="how long (default 480)")
    parser.add_argument("--seed", type=int, default=1, help="of the choice of kills (default 1)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        chaos = Chaos(Path(folder), given.seed)
        try:
            return 0 if chaos.run(given.seconds) else 1
        finally:
            chaos.close()


if __name__ == "__main__":
    sys.exit(main())
