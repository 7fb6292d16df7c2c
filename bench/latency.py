# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""From a raw line in its topic to the event in valid-mixed, beside a bare copy, at a steady rate on a real Kafka.

A line has the time at which it was sent, an event that at which the broker took it: the `message.timestamp.type` of
its topic is LogAppendTime; that of the raw topic is not, because pykafka's own consumer fails on it. One clock says
both, on one machine. The events of the first seconds are left out.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from typing import NamedTuple

import psutil
from pykafka.protocol.admin import CreateTopicRequest, CreateTopicsRequest

from bench.processor import COPY, cpu_s, lines, start
from bench.rounds import Ratio, Table, command
from elworkers.connectors.kafka.drivers import driver
from elworkers.connectors.kafka.pykafka import client
from elworkers.connectors.kafka.sink import KafkaSink
from elworkers.connectors.registry import check_sink
from elworkers.core.contracts import Record
from elworkers.devstack import Stack

_TICK_S = 0.005
_WARM_UP_S = 2.0
_SETTLED_WITHIN_S = 60.0
_SETTLED_S = 0.5
_VALID_SHARE = 0.95


class Flow:
    """One raw topic, whoever reads it, and the topic that what comes out of it is found in."""

    def __init__(self, kafka: str) -> None:
        self.kafka = kafka
        self.tag = uuid.uuid4().hex[:8]
        self.raw, self.out = f"latency-raw-{self.tag}", f"latency-out-{self.tag}"
        self.admin = driver().admin([kafka])
        stamped = [(b"message.timestamp.type", b"LogAppendTime")]
        request = [CreateTopicRequest(self.out.encode(), 4, 1, [], stamped)]
        broker = next(iter(client.connect([kafka]).brokers.values()))
        broker.handler.request(CreateTopicsRequest(request, timeout=10_000)).get()
        for name in (self.raw, self.out):
            self.admin.get_or_create(name, 4)

    def processor(self, *extra: str) -> subprocess.Popen[bytes]:
        """One worker of the installed command."""
        return start(self.kafka, self.raw, self.out, self.tag, *extra)

    def copy(self, linger_ms: int) -> subprocess.Popen[bytes]:
        """Start pykafka's consumer and two of its producers."""
        self.admin.get_or_create(f"latency-other-{self.tag}", 4)
        names = f"{self.out},latency-other-{self.tag}"
        words = [sys.executable, "-c", COPY, self.kafka, self.raw, "without", str(linger_ms), self.tag, "-1", names]
        return subprocess.Popen(words, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

    def send(self, rate: int, seconds: float, first: int = 0) -> int:
        """Lines at a steady rate, numbered from `first`; how many."""
        options = check_sink(f"kafka:///{self.kafka}?topic={self.raw}").options
        sink = KafkaSink([self.kafka], options, lambda _: (self.raw, None))
        waiting = lines(int(rate * seconds), first)
        begun, sent = time.monotonic(), 0
        while batch := [Record(line) for line in itertools.islice(waiting, max(1, _due(begun, rate) - sent))]:
            sink.write(batch)
            sink.flush()
            sent += len(batch)
            time.sleep(_TICK_S)
        sink.close()
        return sent

    def wait_for(self, count: int) -> None:
        """Wait until nearly so many events came out; lines that are not valid do not."""
        deadline, last = time.monotonic() + _SETTLED_WITHIN_S, -1
        while True:
            now = sum(self.admin.ends(self.out).values())
            if now >= count * _VALID_SHARE and now == last:
                return
            if time.monotonic() > deadline:
                raise SystemExit(f"{now} of {count} events came out in time")
            last = now
            time.sleep(_SETTLED_S)

    def times(self, name: str) -> Iterator[tuple[int, int]]:
        """Sequence number and the broker's time in ms of each message of a topic."""
        reader = driver().reader([self.kafka])
        wanted = [one for one in reader.partitions() if one.topic == name]
        for fetched in reader.read(reader.ranges(wanted)):
            for _, time_ms, _, value in fetched.messages:
                yield _sequence(value or b""), time_ms
        reader.close()


def _due(begun: float, rate: int) -> int:
    return int((time.monotonic() - begun) * rate)


def _sequence(value: bytes) -> int:
    return json.loads(value)["seqId"] if value.startswith(b"{") else int(value.split(b"\t")[2])


class Measured(NamedTuple):
    """What one run took: percentiles in ms, and processor seconds of 100,000 events."""

    p50_ms: float
    p99_ms: float
    cpu_s_per_100k: float


def run(kafka: str, begin: Callable[[Flow], subprocess.Popen[bytes]], rate: int, seconds: float) -> Measured:
    """Start a program, send lines at a steady rate, and look when each came out of it."""
    flow = Flow(kafka)
    program = begin(flow)
    try:
        # It has joined its group, found its topics and read its schemas once the first seconds' lines are through.
        first = flow.send(rate, _WARM_UP_S)
        flow.wait_for(first)
        process = next(iter(psutil.Process(program.pid).children()), psutil.Process(program.pid))
        before = cpu_s(process)
        sent = flow.send(rate, seconds, first)
        flow.wait_for(first + sent)
        used = cpu_s(process) - before
    finally:
        program.terminate()
        program.wait()
    came = {number: time_ms for number, time_ms in flow.times(flow.raw) if number >= first}
    took = sorted(time_ms - came[number] for number, time_ms in flow.times(flow.out) if number in came)
    cuts = statistics.quantiles(took, n=100)
    return Measured(cuts[49], cuts[98], used / sent * 100_000)


def measure(given: argparse.Namespace) -> list[Table]:
    """Return the bare copy and the processor, with several lingers, in turns."""
    stack = Stack(given.stack)
    stack.up("kafka")
    kafka = stack.env()["KAFKA"]
    cases: dict[str, Callable[[Flow], subprocess.Popen[bytes]]] = {
        f"bare copy, linger_ms={ms}": lambda flow, ms=ms: flow.copy(ms)  # type: ignore[misc]
        for ms in (5, 50)
    } | {
        f"processor, --linger {linger:g}": lambda flow, linger=linger: flow.processor(f"--linger={linger:g}")  # type: ignore[misc]
        for linger in (0, 0.02, 0.1, 0.5)
    }
    found: dict[str, list[Measured]] = {name: [] for name in cases}
    for _ in range(given.rounds):
        for name, begin in cases.items():
            found[name].append(run(kafka, begin, given.rate, given.seconds))
    table = Table(f"From raw line to valid event at {given.rate:,} events/s, medians of {given.rounds} rounds")
    width = max(map(len, found))
    table.notes.append(f"{'':<{width}}{'p50 ms':>10}{'p99 ms':>10}{'CPU s per 100,000':>20}")
    for name, runs in found.items():
        p50, p99, cpu = (statistics.median(column) for column in zip(*runs, strict=True))
        table.notes.append(f"{name:<{width}}{p50:>10.0f}{p99:>10.0f}{cpu:>20.2f}")
    bare, ours = found["bare copy, linger_ms=5"], found["processor, --linger 0"]
    value = statistics.median(one.p99_ms / other.p99_ms for one, other in zip(ours, bare, strict=True))
    table.ratios.append(Ratio("p99, processor / bare copy with linger_ms=5", value, "≤ 2", value <= 2))
    return [table]


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rate", type=int, default=2_000, help="events a second")
    parser.add_argument("--seconds", type=float, default=15.0, help="of each run")


if __name__ == "__main__":
    sys.exit(command("latency", measure, options=_options, rounds=3))
