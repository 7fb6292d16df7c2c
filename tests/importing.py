# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Importers for tests, with base folders of their own, and a look at what they wrote."""

from __future__ import annotations

import gzip
import json
import multiprocessing
import os
import re
import resource
import signal
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import fsspec
import zstandard

from elworkers.connectors.kafka.driver import Reader
from elworkers.connectors.kafka.drivers import driver
from elworkers.connectors.kafka.sink import KafkaSink
from elworkers.connectors.registry import check_sink, check_storage
from elworkers.core.contracts import Record
from elworkers.core.errors import RetryableError
from elworkers.core.metrics import Counters
from elworkers.importer.compression import Format, json_lines
from elworkers.importer.hour_bucketer import HourBucketer
from elworkers.importer.hours import HOUR_MS
from elworkers.importer.importer import Importer
from elworkers.importer.pending_range import RollPolicy
from elworkers.importer.plan import ImportPlan
from elworkers.importer.staging import StagingFiles
from elworkers.importer.store import Store
from elworkers.importer.topic_selection import TopicSelection

DAY_MS = 24 * HOUR_MS
ALWAYS = RollPolicy(size=1 << 30, age_s=0.0, grace_ms=600_000)
"""Every run closes what it has read."""

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["importing"])


class Job(NamedTuple):
    """What one importer is to do.

    Attributes:
        kafka: the broker.
        base: URI of the folder.
        topics: pattern.
        folder: for its staging files.
        client: of Kafka; empty: whichever is chosen.
    """

    kafka: str
    base: str
    topics: str
    folder: Path
    roll_policy: RollPolicy = ALWAYS
    form: str = "none"
    keep_out_of_range: bool = True
    field: str = "timestamp"
    client: str = ""

    def made(self, metrics: Counters | None = None, form: Format | None = None) -> Importer:
        """An importer that has not begun."""
        metrics = metrics or Counters()
        bucketer = HourBucketer(metrics, self.field, 7 * DAY_MS, HOUR_MS, self.keep_out_of_range)
        plan = ImportPlan(
            TopicSelection(re.compile(self.topics), None), bucketer, form or json_lines(self.form), self.roll_policy
        )
        return Importer(Store(check_storage(self.base)), StagingFiles(self.folder), plan, metrics)

    def reader(self) -> Reader:
        """What an importer reads by."""
        return driver([self.kafka], self.client).reader([self.kafka])

    def run(self, everything: bool = False, now_ms: int = 0, metrics: Counters | None = None) -> int:
        """One run of an importer of its own; how many messages are left."""
        importer, reader = self.made(metrics), self.reader()
        try:
            return importer.run(reader, lambda _done, _total: True, everything, now_ms)
        finally:
            reader.close()
            importer.close()


def events(count: int, hours: int = 3, **fields: Any) -> list[dict[str, Any]]:
    """Events of the last hours, each with a uuid of its own."""
    now = int(time.time())
    return [
        {
            "schema": "Test",
            "revision": 1,
            "uuid": uuid.uuid4().hex,
            "timestamp": now - 3600 * (number % hours),
            **fields,
        }
        for number in range(count)
    ]


def produce(kafka: str, topic: str, messages: Sequence[bytes], partitions: int = 3, options: str = "") -> None:
    """Write messages to a topic, some to each partition."""
    # A flush goes to one partition.
    share = max(1, len(messages) // (2 * partitions))
    rounds = [messages[begin : begin + share] for begin in range(0, len(messages), share)]
    _send(kafka, [[(topic, message) for message in one] for one in rounds], partitions, options)


def produce_to_many(kafka: str, topics: Sequence[str], messages: Sequence[bytes], partitions: int) -> None:
    """Write messages to topics in turn, some to each partition."""
    rounds = [messages[begin::partitions] for begin in range(partitions)]
    _send(kafka, [[(topics[n % len(topics)], message) for n, message in enumerate(one)] for one in rounds], partitions)


def _send(kafka: str, rounds: Iterable[Sequence[tuple[str, bytes]]], partitions: int, options: str = "") -> None:
    given = check_sink(f"kafka:///{kafka}?topic=unused&partitions={partitions}{options}").options
    sink = KafkaSink([kafka], given, lambda record: (record.key.decode() if record.key else "", None))
    for messages in rounds:
        sink.write([Record(message, key=topic.encode()) for topic, message in messages])
        assert sink.flush() == []
    sink.close()


def lines(some: Iterable[dict[str, Any]]) -> list[bytes]:
    """The events as messages."""
    return [json.dumps(event).encode() for event in some]


def hour(event: dict[str, Any]) -> str:
    """The folder of an event's hour."""
    return time.strftime("%Y/%m/%d/%H", time.gmtime(event["timestamp"]))


def paths(base: str) -> list[str]:
    """Every file below the base, relative to it."""
    files, root = fsspec.url_to_fs(base)
    return sorted(path.removeprefix(f"{root}/") for path in files.find(root))


def numbers(base: str) -> list[int]:
    """The field `number` of every event in a file that readers look at, sorted."""
    files, root = fsspec.url_to_fs(base)
    visible = [path for path in paths(base) if not any(part[0] in "._" for part in path.split("/"))]
    lines = [line for path in visible for line in files.cat_file(f"{root}/{path}").splitlines()]
    return sorted(json.loads(line)["number"] for line in lines)


def stored(base: str) -> dict[str, list[dict[str, Any]]]:
    """Every event below the base, by file."""
    files, root = fsspec.url_to_fs(base)
    found = {}
    for path in paths(base):
        if not path.startswith("_") and not path.endswith("_SUCCESS"):
            found[path] = [json.loads(line) for line in _plain(path, files.cat_file(f"{root}/{path}")).splitlines()]
    return found


def _plain(path: str, content: bytes) -> bytes:
    if path.endswith(".gz"):
        return gzip.decompress(content)
    if path.endswith(".zst"):
        return zstandard.ZstdDecompressor().decompressobj().decompress(content)
    return content


def by_folder(base: str) -> dict[str, list[str]]:
    """The uuids that are in each folder below the base, sorted."""
    found: dict[str, list[str]] = {}
    for path, some in stored(base).items():
        found.setdefault(path.rpartition("/")[0], []).extend(event["uuid"] for event in some)
    return {folder: sorted(uuids) for folder, uuids in found.items()}


def expected(schema: str, some: Sequence[dict[str, Any]]) -> dict[str, list[str]]:
    """The same for these events of a schema."""
    found: dict[str, list[str]] = {}
    for event in some:
        found.setdefault(f"{schema}/{hour(event)}", []).append(event["uuid"])
    return {folder: sorted(uuids) for folder, uuids in found.items()}


def hidden(base: str) -> list[str]:
    """Temporary files that are left."""
    return [path for path in paths(base) if path.rpartition("/")[2].startswith(".")]


def run_and_kill(job: Job, at: int, before: bool) -> int | None:
    """One run in a process that gets SIGKILL at its `at`-th change of the store; its exit code."""
    process = PROCESSES.Process(target=_run_armed, args=(job, at, before))
    process.start()
    process.join(120)
    return process.exitcode


def _run_armed(job: Job, at: int, before: bool) -> None:
    passes = iter(range(1, 1 << 30))

    def passed() -> None:
        if next(passes) == at:
            os.kill(os.getpid(), signal.SIGKILL)

    def armed(original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            if before:
                passed()
            result = original(*args)
            if not before:
                passed()
            return result

        return call

    def chunks(some: Iterable[bytes]) -> Iterator[bytes]:
        for chunk in some:
            yield chunk
            # In the middle of a file.
            passed()

    write = Store.write
    Store.write = lambda self, path, some: write(self, path, chunks(some))  # type: ignore[method-assign]
    for name in ("write", "rename", "remove"):
        setattr(Store, name, armed(getattr(Store, name)))
    job.run(everything=True)


class Told(NamedTuple):
    """What an importer says of itself at its end: counters, and the most memory it has held, in bytes."""

    counters: dict[str, int]
    memory: int


def side_by_side(jobs: Sequence[Job]) -> list[Told]:
    """Runs of several importers at the same time, each in a process of its own, until nothing is left."""
    ready = PROCESSES.Barrier(len(jobs))
    ends = [PROCESSES.Pipe(duplex=False) for _ in jobs]
    processes = [
        PROCESSES.Process(target=_run_and_tell, args=(job, ready, end[1])) for job, end in zip(jobs, ends, strict=True)
    ]
    for process in processes:
        process.start()
    told = []
    for process, (reader, _) in zip(processes, ends, strict=True):
        assert reader.poll(200), "an importer does not end"
        told.append(reader.recv())
        process.join(20)
        assert process.exitcode == 0
    return told


def _run_and_tell(job: Job, ready: Any, end: Any) -> None:
    metrics = Counters()
    importer, reader = job.made(metrics), job.reader()
    ready.wait(60)
    left = 1
    while left:
        try:
            left = importer.run(reader, lambda _done, _total: True, everything=True)
        except RetryableError:
            importer.invalidate()
    end.send(Told(metrics.summary(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024))
    reader.close()
    importer.close()
