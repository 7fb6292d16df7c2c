# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Importing messages from Kafka into HDFS beside copying a file of the same bytes: `python -m bench.import_hdfs`.

All go through the same WebHDFS. A file is copied by fsspec's `put_file`, which appends block by block, and in a request
that streams it, as the importer writes its own; messages as they come from Kafka are copied into one file. Broker,
NameNode and DataNode have the same cores as what is measured, so that the processor time of each is told too.
"""

from __future__ import annotations

import argparse
import json
import logging
import multiprocessing
import os
import re
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import fsspec
import structlog

from bench.rounds import Table, Taken, command, in_turns, ratio, row
from elworkers.connectors.fsspec_storage import BLOCK_BYTES
from elworkers.connectors.kafka.drivers import driver
from elworkers.connectors.kafka.sink import KafkaSink
from elworkers.connectors.registry import check_sink, check_storage
from elworkers.core.contracts import Record
from elworkers.core.metrics import Counters
from elworkers.devstack import Stack, processes
from elworkers.importer.compression import json_lines
from elworkers.importer.hour_bucketer import HourBucketer
from elworkers.importer.hours import HOUR_MS, HOUR_S
from elworkers.importer.importer import Importer
from elworkers.importer.pending_range import RollPolicy
from elworkers.importer.plan import ImportPlan
from elworkers.importer.staging import StagingFiles, chunks_of
from elworkers.importer.store import Store
from elworkers.importer.topic_selection import TopicSelection

_BATCH, _HOURS, _TOPICS, _PARTITIONS = 2_000, 3, 2, 2
_SERVERS = {"kafka": "broker", "hdfs": "NameNode", "hdfs-datanode": "DataNode"}
_IMPORT, _BY_TWO = "import, 1 worker", "import, 2 workers"
_BLOCKS, _STREAM = "copy of a file, fsspec", "copy of a file, streamed"
_READ, _ONE_FILE = "bare read", "bare read into one file"
_PROCESSES = multiprocessing.get_context("spawn")


class Given(NamedTuple):
    """What all cases have.

    Attributes:
        stack: that serves, and the broker and the WebHDFS of it.
        topics: with `events` messages.
        whole: a file of as many bytes.
        scratch: a folder for staging files.
    """

    stack: Stack
    kafka: str
    webhdfs: str
    topics: Sequence[str]
    events: int
    whole: Path
    scratch: Path


def _measure(words: argparse.Namespace) -> list[Table]:
    _quiet()
    load, _, _ = os.getloadavg()
    stack = Stack(words.stack)
    stack.up("kafka", "hdfs")
    env = stack.env()
    name = f"eventlogging_Bench{uuid.uuid4().hex[:8]}"
    topics = [f"{name}{number}" for number in range(_TOPICS)]
    size = sum(_fill(env["KAFKA"], topic, words.events // _TOPICS) for topic in topics)
    with tempfile.TemporaryDirectory() as scratch, _PROCESSES.Pool(_TOPICS, _quiet) as pool:
        whole = Path(scratch) / "whole"
        whole.write_bytes(b"x" * size)
        given = Given(stack, env["KAFKA"], env["WEBHDFS"], topics, words.events, whole, Path(scratch))
        served: dict[str, list[dict[str, float]]] = {}
        cases: dict[str, Callable[[str], float]] = {
            _IMPORT: lambda base: _import(given.kafka, topics, base, given.scratch / "all"),
            _BLOCKS: lambda base: _processor_s(lambda: _blocks(whole, base)),
            _STREAM: lambda base: _processor_s(lambda: Store(check_storage(base)).write("file", chunks_of(whole))),
            _READ: lambda _base: _processor_s(lambda: sum(map(len, _read(given.kafka, topics)))),
            _ONE_FILE: lambda base: _processor_s(
                lambda: Store(check_storage(base)).write("file", _read(given.kafka, topics))
            ),
            _BY_TWO: lambda base: sum(
                pool.starmap(_import, [(given.kafka, [topic], base, given.scratch / topic) for topic in topics], 1)
            ),
        }
        taken = in_turns(
            {what: _case(given, served.setdefault(what, []), work) for what, work in cases.items()}, words.rounds
        )
    table = Table(f"{words.events:,} events, {size / 1e6:.0f} MB, {words.rounds} rounds, medians")
    table.rows = [row(what, taken[what]) for what in cases]
    table.ratios = [
        ratio("rate of the import by that of fsspec's copy", taken[_IMPORT], taken[_BLOCKS], at_least=0.8),
        ratio("rate of the import by that of the streamed copy", taken[_IMPORT], taken[_STREAM]),
        ratio("rate of the import by that of the bare read into one file", taken[_IMPORT], taken[_ONE_FILE]),
        ratio("rate of two workers by that of fsspec's copy", taken[_BY_TWO], taken[_BLOCKS]),
        ratio("rate of two workers by that of the streamed copy", taken[_BY_TWO], taken[_STREAM]),
    ]
    table.notes = [_shares(what, served[what]) for what in cases]
    table.notes.append(f"a line has {size / words.events:.0f} bytes; load average before: {load:.1f}")
    return [table]


def _case(given: Given, served: list[dict[str, float]], work: Callable[[str], float]) -> Callable[[], Taken]:
    def run() -> Taken:
        base = f"{given.webhdfs}/bench/{uuid.uuid4().hex}"
        before, began = _servers(given.stack), time.perf_counter()
        cpu_s = work(base)
        wall_s = time.perf_counter() - began
        after = _servers(given.stack)
        used = {name: after[name] - before[name] for name in after} | {"client": cpu_s}
        served.append({name: seconds / given.events * 1e5 for name, seconds in used.items()})
        files, root = fsspec.url_to_fs(base)
        if files.exists(root):
            files.rm(root, recursive=True)
        return Taken(given.events, wall_s, cpu_s)

    return run


def _servers(stack: Stack) -> dict[str, float]:
    """Processor seconds that each of them has had."""
    return {
        name: sum(sum(process.cpu_times()[:2]) for process in processes.of(stack.folder, part))
        for part, name in _SERVERS.items()
    }


def _shares(what: str, served: Sequence[dict[str, float]]) -> str:
    medians = {name: statistics.median(one[name] for one in served) for name in served[0]}
    shares = ", ".join(f"{name} {seconds:.2f}" for name, seconds in medians.items())
    return f"{what}: {sum(medians.values()):.2f} CPU s per 100,000 in all: {shares}"


def _processor_s(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def _quiet() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))


def _fill(kafka: str, topic: str, count: int) -> int:
    """Messages of the last hours, in the order of their times; returns their bytes as lines."""
    options = check_sink(f"kafka:///{kafka}?topic={topic}&partitions={_PARTITIONS}").options
    sink = KafkaSink([kafka], options, lambda _: (topic, None))
    begin_s, size = int(time.time()) - (_HOURS - 1) * HOUR_S, 0
    for begin in range(0, count, _BATCH):
        numbers = range(begin, min(begin + _BATCH, count))
        records = [_record(begin_s + number * (_HOURS - 1) * HOUR_S // count, number) for number in numbers]
        size += sum(len(record.value) + 1 for record in records)
        sink.write(records)
        sink.flush()
    sink.close()
    return size


def _record(timestamp: int, number: int) -> Record:
    event = {"action": "click", "number": number, "page": "Main_Page", "text": "lorem ipsum " * 30}
    capsule = {
        "event": event,
        "schema": "Bench",
        "revision": 1,
        "wiki": "enwiki",
        "webHost": "en.wikipedia.org",
        "uuid": uuid.uuid4().hex,
        "timestamp": timestamp,
        "userAgent": '{"browser_family": "Firefox", "os_family": "Linux"}',
    }
    return Record(json.dumps(capsule).encode())


def _import(kafka: str, topics: Sequence[str], base: str, staging: Path) -> float:
    """Return all there is, by a worker that is new; its processor seconds."""
    began = time.process_time()
    metrics = Counters()
    plan = ImportPlan(
        TopicSelection(re.compile("|".join(topics)), None),
        HourBucketer(metrics, "timestamp", 7 * 24 * HOUR_MS, HOUR_MS),
        json_lines("none"),
        RollPolicy(128 << 20, 3600.0, 600_000),
    )
    importer = Importer(Store(check_storage(base)), StagingFiles(staging), plan, metrics)
    reader = driver([kafka]).reader([kafka])
    importer.run(reader, lambda _done, _total: True, everything=True)
    reader.close()
    importer.close()
    return time.process_time() - began


def _read(kafka: str, topics: Sequence[str]) -> Iterator[bytes]:
    """Yield the lines of all there is, unsorted, as they come."""
    reader = driver([kafka]).reader([kafka])
    ranges = reader.ranges([partition for partition in reader.partitions() if partition.topic in topics])
    for fetched in reader.read(ranges):
        yield b"\n".join([value or b"" for _, _, _, value in fetched.messages] + [b""])
    reader.close()


def _blocks(whole: Path, base: str) -> None:
    files, root = fsspec.url_to_fs(base)
    files.put_file(whole, f"{root}/file", block_size=BLOCK_BYTES)


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--events", type=int, default=1_600_000)


if __name__ == "__main__":
    sys.exit(command("import_hdfs", _measure, options=_options))
