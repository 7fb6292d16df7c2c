# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""From a raw line in its topic to the event in valid-mixed, beside a bare copy, at a steady rate on a real Kafka.

A line has the time at which it was sent, an event that at which the broker took it: the `message.timestamp.type` of
its topic is LogAppendTime; that of the raw topic is not, because pykafka's own consumer fails on it. With
confluent-kafka it is the time at which a reader of committed events has got it: an event of a transaction is in the
topic before it counts. One clock says all, on one machine. The events of the first seconds are left out.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import psutil
from confluent_kafka import Consumer, TopicPartition
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

_CONFLUENT_COPY = """
import sys
from confluent_kafka import Consumer, Producer
kafka, topic, tag, names = sys.argv[1:]
servers = {"bootstrap.servers": kafka}
consumer = Consumer(
    {**servers, "group.id": f"copy-{tag}", "auto.offset.reset": "earliest", "fetch.queue.backoff.ms": 5}
)
producer = Producer({**servers, "acks": "all", "enable.idempotence": True})
consumer.subscribe([topic])
while True:
    for message in consumer.consume(2000, 0) or consumer.consume(1, 0.1):
        for name in names.split(","):
            producer.produce(name, message.value())
    producer.poll(0)
"""
"""As a worker polls: what is there, else the next message; with librdkafka's settings of a worker's clients."""

_BARE_CONFLUENT = "bare copy, confluent-kafka"
_CONFLUENT = "processor, confluent-kafka"
_ONCE = "processor, exactly_once=True"


class Flow:
    """One raw topic, whoever reads it, and the topic that what comes out of it is found in."""

    def __init__(self, kafka: str) -> None:
        self.kafka = kafka
        self.tag = uuid.uuid4().hex[:8]
        self.raw, self.out = f"latency-raw-{self.tag}", f"latency-out-{self.tag}"
        self.admin = driver([kafka]).admin([kafka])
        stamped = [(b"message.timestamp.type", b"LogAppendTime")]
        request = [CreateTopicRequest(self.out.encode(), 4, 1, [], stamped)]
        broker = next(iter(client.connect([kafka]).brokers.values()))
        broker.handler.request(CreateTopicsRequest(request, timeout=10_000)).get()
        for name in (self.raw, self.out):
            self.admin.get_or_create(name, 4)

    def processor(self, *extra: str, client: str = "pykafka", options: str = "") -> subprocess.Popen[bytes]:
        """One worker of the installed command."""
        scheme = f"kafka-{client}"
        return start(self.kafka, self.raw, self.out, self.tag, *extra, scheme=scheme, options=options)

    def copy(self, linger_ms: int) -> subprocess.Popen[bytes]:
        """Start pykafka's consumer and two of its producers."""
        return self._copy(COPY, "without", str(linger_ms), self.tag, "-1")

    def confluent_copy(self) -> subprocess.Popen[bytes]:
        """Start confluent-kafka's consumer and its producer for two topics."""
        return self._copy(_CONFLUENT_COPY, self.tag)

    def _copy(self, program: str, *words: str) -> subprocess.Popen[bytes]:
        self.admin.get_or_create(f"latency-other-{self.tag}", 4)
        names = f"{self.out},latency-other-{self.tag}"
        command_line = [sys.executable, "-c", program, self.kafka, self.raw, *words, names]
        return subprocess.Popen(command_line, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

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
        reader = driver([self.kafka]).reader([self.kafka])
        wanted = [one for one in reader.partitions() if one.topic == name]
        for fetched in reader.read(reader.ranges(wanted)):
            for _, time_ms, _, value in fetched.messages:
                yield _sequence(value or b""), time_ms
        reader.close()


class Reader(threading.Thread):
    """Reads a topic of four partitions from its beginning, and notes when each committed event came, in ms."""

    def __init__(self, kafka: str, topic: str) -> None:
        super().__init__(daemon=True)
        own = {"group.id": topic, "auto.offset.reset": "earliest", "fetch.queue.backoff.ms": 5}
        self._consumer = Consumer({"bootstrap.servers": kafka, "isolation.level": "read_committed", **own})
        self._consumer.assign([TopicPartition(topic, number, 0) for number in range(4)])
        self._ended = threading.Event()
        self.came: list[tuple[int, float]] = []

    def run(self) -> None:
        """Read until `end`."""
        while not self._ended.is_set():
            found = self._consumer.consume(2_000, 0) or self._consumer.consume(1, 0.1)
            now_ms = time.time() * 1000
            self.came += [(_sequence(one.value() or b""), now_ms) for one in found if one.error() is None]

    def end(self) -> list[tuple[int, float]]:
        """Return sequence number and time of each event."""
        self._ended.set()
        self.join()
        self._consumer.close()
        return self.came


def _due(begun: float, rate: int) -> int:
    return int((time.monotonic() - begun) * rate)


def _sequence(value: bytes) -> int:
    return json.loads(value)["seqId"] if value.startswith(b"{") else int(value.split(b"\t")[2])


class Measured(NamedTuple):
    """What one run took: percentiles in ms, and processor seconds of 100,000 events."""

    p50_ms: float
    p99_ms: float
    cpu_s_per_100k: float


def run(
    kafka: str, begin: Callable[[Flow], subprocess.Popen[bytes]], rate: int, seconds: float, *, as_read: bool
) -> Measured:
    """Start a program, send lines at a steady rate, and look when each came out of it.

    Args:
        as_read: out of it is what a reader of committed events has got; else what is in its topic.
    """
    flow = Flow(kafka)
    reader = Reader(kafka, flow.out) if as_read else None
    if reader is not None:
        reader.start()
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
    went: Iterable[tuple[int, float]] = reader.end() if reader is not None else flow.times(flow.out)
    took = sorted(time_ms - came[number] for number, time_ms in went if number in came)
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
    once = "&exactly_once=True"
    as_read: dict[str, Callable[[Flow], subprocess.Popen[bytes]]] = {
        _BARE_CONFLUENT: lambda flow: flow.confluent_copy(),
        _CONFLUENT: lambda flow: flow.processor(client="confluent"),
        _ONCE: lambda flow: flow.processor(client="confluent", options=once),
        f"{_ONCE}, --linger 0.1": lambda flow: flow.processor("--linger=0.1", client="confluent", options=once),
    }
    cases |= as_read
    found: dict[str, list[Measured]] = {name: [] for name in cases}
    for _ in range(given.rounds):
        for name, begin in cases.items():
            found[name].append(run(kafka, begin, given.rate, given.seconds, as_read=name in as_read))
    table = Table(f"From raw line to valid event at {given.rate:,} events/s, medians of {given.rounds} rounds")
    width = max(map(len, found))
    table.notes.append(f"{'':<{width}}{'p50 ms':>10}{'p99 ms':>10}{'CPU s per 100,000':>20}")
    for name, runs in found.items():
        p50, p99, cpu = (statistics.median(column) for column in zip(*runs, strict=True))
        table.notes.append(f"{name:<{width}}{p50:>10.0f}{p99:>10.0f}{cpu:>20.2f}")
    table.ratios = [
        _p99(
            "pykafka, processor / bare copy with linger_ms=5",
            found["processor, --linger 0"],
            found["bare copy, linger_ms=5"],
        ),
        _p99("confluent-kafka, processor / bare copy", found[_CONFLUENT], found[_BARE_CONFLUENT]),
    ]
    return [table]


def _p99(what: str, ours: Sequence[Measured], bare: Sequence[Measured]) -> Ratio:
    value = statistics.median(one.p99_ms / other.p99_ms for one, other in zip(ours, bare, strict=True))
    return Ratio(f"p99, {what}", value, "≤ 2", value <= 2)


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rate", type=int, default=2_000, help="events a second")
    parser.add_argument("--seconds", type=float, default=15.0, help="of each run")


if __name__ == "__main__":
    sys.exit(command("latency", measure, options=_options, rounds=3))
