"""Importing messages from Kafka into HDFS beside copying a file of the same bytes: `python -m bench.import_hdfs`.

Both go through the same WebHDFS and the same fsspec. Rounds are interleaved; the medians and their ratio are printed.
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from elworkers.contracts import Record
from elworkers.devstack import Stack
from elworkers.importer.drafts import Drafts
from elworkers.importer.formats import json_lines
from elworkers.importer.hours import HOUR_MS, Sorter
from elworkers.importer.selection import Selection
from elworkers.importer.store import Store
from elworkers.importer.stretch import Closing
from elworkers.importer.work import Importer, Plan
from elworkers.kafka.reader import TopicsReader
from elworkers.runtime.metrics import Counters
from elworkers.schemes import check_sink, check_store
from elworkers.sinks.kafka import KafkaSink

_BATCH = 2_000


def main() -> int:
    """Run all rounds and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stack", type=Path, required=True, help="folder of a development stack with kafka and hdfs")
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    stack = Stack(given.stack)
    stack.up("kafka", "hdfs")
    env = stack.env()
    topic = f"eventlogging_Bench{uuid.uuid4().hex[:8]}"
    size = _fill(env["KAFKA"], topic, given.events)
    with tempfile.TemporaryDirectory() as scratch:
        whole = Path(scratch) / "whole"
        whole.write_bytes(b"x" * size)
        imported = []
        copied = []
        for number in range(given.rounds):
            base = f"{env['WEBHDFS']}/bench/{topic}/{number}"
            imported.append(_timed(lambda: _import(env["KAFKA"], topic, base, Path(scratch) / "drafts")))  # noqa: B023
            copied.append(_timed(lambda: _copy(whole, base)))  # noqa: B023
    medians = [[statistics.median(column) for column in zip(*rows, strict=True)] for rows in (imported, copied)]
    print(f"{given.events} events, {size / 1e6:.0f} MB, {given.rounds} rounds")
    for name, (wall, cpu) in zip(("import", "copy"), medians, strict=True):
        print(
            f"{name:<8}{wall:6.2f} s  {size / wall / 1e6:6.1f} MB/s  {cpu / given.events * 1e5:5.2f} CPU s per 100,000"
        )
    print(f"ratio of throughputs, import to copy: {medians[1][0] / medians[0][0]:.2f}")
    print(f"most memory held: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")
    return 0


def _fill(kafka: str, topic: str, count: int) -> int:
    options = check_sink(f"kafka:///{kafka}?topic={topic}&partitions=4").options
    sink = KafkaSink([kafka], options, lambda _: (topic, None))
    now, size = int(time.time()), 0
    for begin in range(0, count, _BATCH):
        records = [_record(now - 3600 * (number % 3), number) for number in range(begin, min(begin + _BATCH, count))]
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


def _import(kafka: str, topic: str, base: str, drafts: Path) -> None:
    metrics = Counters()
    plan = Plan(
        Selection(re.compile(topic), None),
        Sorter(metrics, "timestamp", 7 * 24 * HOUR_MS, HOUR_MS),
        json_lines("none"),
        Closing(128 << 20, 3600.0, 600_000),
    )
    importer = Importer(Store(check_store(base)), Drafts(drafts), plan, metrics)
    reader = TopicsReader([kafka])
    importer.run(reader, lambda _done, _total: True, everything=True)
    reader.close()
    importer.close()


def _copy(whole: Path, base: str) -> None:
    def chunks() -> object:
        with whole.open("rb") as file:
            while chunk := file.read(1 << 20):
                yield chunk

    Store(check_store(base)).write("copy", chunks())  # type: ignore[arg-type]


def _timed(work: Callable[[], None]) -> tuple[float, float]:
    began, cpu = time.monotonic(), time.process_time()
    work()
    return time.monotonic() - began, time.process_time() - cpu


if __name__ == "__main__":
    sys.exit(main())
