# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""One worker of a processor beside a bare copy of its messages to two topics, on a real Kafka.

The bare copy is pykafka's own BalancedConsumer and two of its Producers, as they come and without the sleep of zero
seconds that pykafka makes for each message. Everything reads the same topic from its beginning, one after the other.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil

from bench.rounds import Ratio, Table, Taken, command, cpu_per_event, in_turns, ratio, row
from elworkers.connectors.kafka.drivers import driver
from elworkers.connectors.kafka.sink import KafkaSink
from elworkers.connectors.registry import check_sink
from elworkers.core.contracts import Record
from elworkers.devstack import Stack

DEMO = Path(__file__).parents[1] / "demo"
FORMAT = "%q %{recvFrom}s %{seqId}d %t %o %u"
"""That of 2016, with the user agent taken apart."""

_STOCK = "bare copy, pykafka as it comes"
_BARE = "bare copy, pykafka without its zero-second sleep"
_RDKAFKA = "bare copy, pykafka with use_rdkafka, queued_max_messages=100000"
_OURS = "processor, one worker, everything on"
_BATCH = 2_000
_LONGEST_S = 300.0


def lines(count: int, first: int = 0) -> Iterator[bytes]:
    """Return recorded lines of client side events, each with a sequence number of its own."""
    recorded = [
        line.split(b"\t") for line in gzip.decompress((DEMO / "client-side-lines.txt.gz").read_bytes()).splitlines()
    ]
    for number, fields in zip(range(first, first + count), itertools.cycle(recorded), strict=False):
        yield b"\t".join([fields[0], fields[1], b"%d" % number, *fields[3:]])


def fill(kafka: str, topic: str, values: Iterator[bytes], partitions: int = 4) -> tuple[int, int]:
    """Produce to a topic that is made for it; returns messages and bytes."""
    options = check_sink(f"kafka:///{kafka}?topic={topic}&partitions={partitions}").options
    sink = KafkaSink([kafka], options, lambda _: (topic, None))
    count = size = 0
    while batch := [Record(value) for value in itertools.islice(values, _BATCH)]:
        count += len(batch)
        size += sum(len(record.value) for record in batch)
        sink.write(batch)
        sink.flush()
    sink.close()
    return count, size


def measured(process: psutil.Process, begun: Callable[[], bool], done: Callable[[], int], wanted: int) -> Taken:
    """Clock and processor time of a process from the moment that it has begun until it has done all."""
    deadline = time.monotonic() + _LONGEST_S
    while not begun():
        _look(process, deadline)
    before, cpu, since = done(), cpu_s(process), time.monotonic()
    while (now := done()) < wanted:
        _look(process, deadline)
    return Taken(now - before, time.monotonic() - since, cpu_s(process) - cpu)


def _look(process: psutil.Process, deadline: float) -> None:
    if time.monotonic() > deadline or not process.is_running() or process.status() == psutil.STATUS_ZOMBIE:
        raise SystemExit(f"{process} did not do its work")
    time.sleep(0.02)


def cpu_s(process: psutil.Process) -> float:
    """Processor seconds that a process has used so far."""
    times = process.cpu_times()
    return float(times.user + times.system)


def start(
    kafka: str, raw: str, valid: str, tag: str, *extra: str, scheme: str = "kafka", options: str = ""
) -> subprocess.Popen[bytes]:
    """One worker of a processor, of the group `bench-TAG`, that writes to schema topics of its own and to `valid`.

    Args:
        kafka, raw, valid, tag: broker, topics, and what names group and schema topics.
        extra: more options of the command.
        scheme: of its URIs, which names the client.
        options: more options of its outputs, each `&NAME=VALUE`.
    """
    words = [
        sys.executable, "-m", "elworkers", "processor", f"--name=bench-{tag}", f"--sid=bench-{tag}", "--output-invalid",
        f"--schemas={DEMO / 'schemas'}", *extra, FORMAT,
        f"{scheme}:///{kafka}?topic={raw}&auto_offset_reset=earliest",
        f"{scheme}:///{kafka}?topic=eventlogging_{tag}_{{schema}}{options}",
        f"{scheme}:///{kafka}?topic={valid}&blacklist=^None${options}",
    ]  # fmt: skip
    return subprocess.Popen(words, stderr=subprocess.DEVNULL, env={**os.environ, "EVENTLOGGING_RUN_DIR": ""})


def processor(kafka: str, topic: str, wanted: int, scheme: str = "kafka", options: str = "") -> Taken:
    """One worker of the installed command, from its first commit to its last; see `start`."""
    tag = uuid.uuid4().hex[:8]
    admin = driver([kafka]).admin([kafka])

    def committed() -> int:
        return sum(admin.committed(f"bench-{tag}", topic).values())

    parent = start(kafka, topic, f"valid-mixed-{tag}", tag, scheme=scheme, options=options)
    try:
        worker = worker_of(parent)
        return measured(worker, lambda: committed() > 0, committed, wanted)
    finally:
        parent.terminate()
        parent.wait()


def worker_of(parent: subprocess.Popen[bytes]) -> psutil.Process:
    """Return the first worker of a pool."""
    deadline = time.monotonic() + 60
    while not (children := psutil.Process(parent.pid).children()):
        _look(psutil.Process(parent.pid), deadline)
    return children[0]


_COPY_ALL = """
left = int(wanted)
for message in consumer:
    for producer in producers:
        producer.produce(message.value)
    left -= 1
    if not left:
        break
for producer in producers:
    producer.stop()
print("done", flush=True)
consumer.stop()
"""


COPY = (
    """
import sys, time
import warnings
warnings.simplefilter("ignore")
from pykafka import KafkaClient
from pykafka.common import OffsetType
from pykafka.handlers import ThreadingHandler
kafka, topic, sleep, linger_ms, tag, wanted, names = sys.argv[1:]
if sleep == "without":
    ThreadingHandler.sleep = lambda self, seconds=0: time.sleep(seconds) if seconds else None
client = KafkaClient(kafka, broker_version="1.0.0")
producers = [
    client.topics[name.encode()].get_producer(linger_ms=int(linger_ms), min_queued_messages=2000)
    for name in names.split(",")
]
consumer = client.topics[topic.encode()].get_balanced_consumer(
    f"copy-{tag}".encode(), managed=True, auto_commit_enable=True, auto_commit_interval_ms=1000,
    auto_offset_reset=OffsetType.EARLIEST,
)
"""
    + _COPY_ALL
)


RDKAFKA = (
    """
import sys
import warnings
warnings.simplefilter("ignore")
from pykafka import KafkaClient
from pykafka.common import OffsetType
from pykafka.rdkafka import RdKafkaSimpleConsumer
# What pykafka derives from its own settings librdkafka of today refuses.
MENDED = {"receive.message.max.bytes": "100000000", "queued.max.messages.kbytes": "1000000"}
made = RdKafkaSimpleConsumer._mk_rdkafka_config_lists
def mended(self):
    conf, topic_conf = made(self)
    return [(name, MENDED.get(name, value)) for name, value in conf], topic_conf
RdKafkaSimpleConsumer._mk_rdkafka_config_lists = mended
kafka, topic, zookeeper, tag, wanted, names = sys.argv[1:]
client = KafkaClient(kafka, broker_version="1.0.0")
producers = [
    client.topics[name.encode()].get_producer(
        use_rdkafka=True, linger_ms=50, min_queued_messages=10000, max_queued_messages=1000000
    )
    for name in names.split(",")
]
consumer = client.topics[topic.encode()].get_balanced_consumer(
    f"copy-{tag}".encode(), managed=False, zookeeper_connect=zookeeper, use_rdkafka=True, queued_max_messages=100000,
    auto_commit_enable=True, auto_commit_interval_ms=1000, auto_offset_reset=OffsetType.EARLIEST,
)
"""
    + _COPY_ALL
)


CONFLUENT = """
import sys
from confluent_kafka import Consumer, Producer
kafka, topic, backoff, tag, wanted, names = sys.argv[1:]
servers = {"bootstrap.servers": kafka}
backoff = {"fetch.queue.backoff.ms": int(backoff)} if backoff != "default" else {}
consumer = Consumer({**servers, **backoff, "group.id": f"copy-{tag}", "auto.offset.reset": "earliest"})
producer = Producer({**servers, "linger.ms": 50, "queue.buffering.max.messages": 1000000})
consumer.subscribe([topic])
left = int(wanted)
while left > 0:
    for message in consumer.consume(2000, 0.1):
        for name in names.split(","):
            producer.produce(name, message.value())
        left -= 1
    producer.poll(0)
producer.flush()
print("done", flush=True)
consumer.close()
"""


def bare_copy(kafka: str, topic: str, wanted: int, program: str, *settings: str, python: str = sys.executable) -> Taken:
    """Return a consumer and producers of one client, until everything is acknowledged.

    Args:
        program: `COPY`, `RDKAFKA` or `CONFLUENT`.
        settings: the program's own.
        python: that it runs with.
    """
    tag = uuid.uuid4().hex[:8]
    admin = driver([kafka]).admin([kafka])
    copies = [f"copy-a-{tag}", f"copy-b-{tag}"]
    for name in copies:
        admin.get_or_create(name, 4)

    def copied() -> int:
        return sum(sum(admin.ends(name).values()) for name in copies) // 2

    words = [python, "-c", program, kafka, topic, *settings, tag, str(wanted), ",".join(copies)]
    copier = subprocess.Popen(words, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        return measured(psutil.Process(copier.pid), lambda: copied() > 0, copied, wanted)
    finally:
        copier.terminate()
        copier.wait()


def measure(given: argparse.Namespace) -> list[Table]:
    """Fill a topic, and have it read by each."""
    stack = Stack(given.stack)
    stack.up("kafka", "zookeeper")
    kafka, zookeeper = stack.env()["KAFKA"], stack.env()["ZOOKEEPER"]
    topic = f"raw-{uuid.uuid4().hex[:8]}"
    count, size = fill(kafka, topic, lines(given.events))
    cases: dict[str, Callable[[], Taken]] = {
        _STOCK: lambda: bare_copy(kafka, topic, count, COPY, "with", "50"),
        _BARE: lambda: bare_copy(kafka, topic, count, COPY, "without", "50"),
        _OURS: lambda: processor(kafka, topic, count),
    }
    with_rdkafka = given.rdkafka / "bin" / "python"
    has_rdkafka = _runs(with_rdkafka, "from pykafka.rdkafka import _rd_kafka")
    if has_rdkafka:
        cases[_RDKAFKA] = lambda: bare_copy(kafka, topic, count, RDKAFKA, zookeeper, python=str(with_rdkafka))
    if find_spec("confluent_kafka"):
        cases["bare copy, confluent-kafka"] = lambda: bare_copy(kafka, topic, count, CONFLUENT, "default")
        cases["bare copy, confluent-kafka, fetch.queue.backoff.ms=5"] = lambda: bare_copy(
            kafka, topic, count, CONFLUENT, "5"
        )
    taken = in_turns(cases, given.rounds)
    bare, ours = taken[_BARE], taken[_OURS]
    table = Table(
        f"{count:,} raw lines of {size // count} bytes, four partitions, two messages out for each,"
        f" medians of {given.rounds} rounds"
    )
    table.rows = [row(name, runs) for name, runs in taken.items()]
    table.ratios = [
        ratio("rate, processor / bare copy without the sleep", ours, bare, at_least=0.8),
        ratio("CPU an event, processor / bare copy without the sleep", ours, bare, cpu_per_event, at_most=3.5 / 2.9),
        Ratio(
            "CPU s of the processor for 100,000 events",
            table.rows[2].cpu_s_per_100k,
            "≤ 3.5",
            table.rows[2].cpu_s_per_100k <= 3.5,
        ),
    ]
    if not has_rdkafka:
        table.notes = [f"{_RDKAFKA}: not measured; `make bench` builds it where librdkafka's headers are"]
    return [table]


def _runs(python: Path, program: str) -> bool:
    return python.exists() and not subprocess.run([python, "-c", program], capture_output=True, check=False).returncode


def _options(parser: Any) -> None:
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--rdkafka", type=Path, default=Path(".run/rdkafka"), help="environment of pykafka's extension")


if __name__ == "__main__":
    sys.exit(command("processor", measure, options=_options, rounds=3))
