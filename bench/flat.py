# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Whether the cost of an event stays flat as the work grows: `python -m bench.flat`.

Real processors on a real Kafka. Each case is the same as the first but for one number: workers, partitions, schemas,
bytes of a line; the two run in turns of half a second. What is measured is processor time of the workers, from when all
lines are there to when all of them are committed; starting and joining the group are over by then. Then instance files,
by what control costs, and memory.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench import manyfiles
from bench.pools import WITHIN_S, Pool, peak_mib, rss_mib, wait_for
from bench.rawlines import FORMAT, RawLines, unique
from bench.rounds import Ratio, Table, Taken, command, cpu_per_event, ratio, row
from elworkers.connectors.kafka.drivers import driver
from elworkers.connectors.kafka.pykafka import client
from elworkers.core.contracts import TopicPartition
from elworkers.devstack import Stack

_MOST, _MOST_MIB = 1.15, 120
_WARM_UP = 4_000
_SLICE_S = 0.5
_SESSION_MS = 600_000
_AGENTS = 15_000
"""User agents, while memory is looked at: three quarters of what the worker keeps."""


@dataclass(frozen=True)
class Case:
    """What a processor has to do.

    Attributes:
        events: how many are measured.
        line_bytes: about how long each line is.
    """

    workers: int = 1
    partitions: int = 4
    schemas: int = 5
    line_bytes: int = 800
    events: int = 200_000


@dataclass
class _Run:
    """A case on its way: the offsets it ends with, its stopped workers, and what they have taken."""

    case: Case
    topic: str
    ends: dict[int, int]
    pool: Pool
    cpu_before_s: float
    cpu_after_s: float = 0.0
    wall_s: float = 0.0
    done: bool = False

    def taken(self) -> Taken:
        return Taken(self.case.events, self.wall_s, self.cpu_after_s - self.cpu_before_s)


class Bench:
    """Runs cases on one broker.

    Args:
        kafka: `host:port`.
        folder: an existing one, for schemas and run folders.

    Attributes:
        peaks: the most that a worker has held in each case, in MiB.
    """

    def __init__(self, kafka: str, folder: Path) -> None:
        self._kafka = kafka
        self._folder = folder
        self._cluster: Any = client.connect([kafka])
        self._admin = driver([kafka]).admin([kafka])
        self.peaks: dict[Case, float] = {}

    def together(self, cases: Mapping[str, Case]) -> dict[str, Taken]:
        """One run of each case, in slices of half a second that take turns.

        What other programs, or other machines on the same hardware, take of memory and cache changes within seconds,
        and takes a third off some runs.
        """
        with contextlib.ExitStack() as stack:
            runs = {name: self._begun(case, stack) for name, case in cases.items()}
            while unfinished := [run for run in runs.values() if not run.done]:
                for run in unfinished:
                    self._go_on(run)
        for name, run in runs.items():
            # A round takes minutes, and the tables come at the end.
            print(f"{name}: {cpu_per_event(run.taken()) * 1e6:.1f} µs an event", file=sys.stderr, flush=True)
            self.delete(run.topic)
        return {name: run.taken() for name, run in runs.items()}

    def _begun(self, case: Case, stack: contextlib.ExitStack) -> _Run:
        topic = unique("flat")
        self._admin.get_or_create(topic, case.partitions)
        lines = RawLines(case.schemas, case.line_bytes)
        lines.produce(self._kafka, topic, max(_WARM_UP, lines.cycle))
        pool = stack.enter_context(self.processor(topic, lines, case.workers))
        self.wait_committed(topic)
        pool.wait_at_work(case.workers)
        pool.suspend()
        # A stopped worker would not hear that it is to end.
        stack.callback(pool.resume)
        lines.produce(self._kafka, topic, case.events)
        return _Run(case, topic, self._ends(topic), pool, pool.cpu_s())

    def _go_on(self, run: _Run) -> None:
        run.pool.resume()
        began = time.perf_counter()
        time.sleep(_SLICE_S)
        run.done = run.ends.items() <= self._admin.committed(run.topic, run.topic).items()
        run.wall_s += time.perf_counter() - began
        run.pool.suspend()
        run.cpu_after_s = run.pool.cpu_s()
        held = max(map(peak_mib, run.pool.workers()))
        if run.wall_s > WITHIN_S:
            raise TimeoutError(f"not within {WITHIN_S:.0f} s: the end of {run.topic}")
        self.peaks[run.case] = max(held, self.peaks.get(run.case, 0.0))

    def processor(self, topic: str, lines: RawLines, workers: int) -> Pool:
        """Return a processor of the topic with two output messages an event: its schema's topic and valid-mixed."""
        schemas, run_dir = self._folder / topic / "schemas", self._folder / topic / "run"
        run_dir.mkdir(parents=True)
        lines.write_schemas(schemas)
        words = [
            f"--workers={workers}",
            FORMAT,
            f"kafka:///{self._kafka}?topic={topic}&identity={topic}&session_timeout_ms={_SESSION_MS}",
            f"kafka:///{self._kafka}?topic=eventlogging_{{schema}}",
            f"kafka:///{self._kafka}?topic=eventlogging-valid-mixed",
            "--output-invalid",
        ]
        return Pool("processor", words, run_dir, {"EVENTLOGGING_SCHEMAS": str(schemas)})

    def wait_committed(self, topic: str) -> None:
        """Wait until the group of the same name has committed the end of every partition."""
        ends = self._ends(topic)
        done = lambda: self._admin.committed(topic, topic)  # noqa: E731
        wait_for(lambda: ends.items() <= done().items(), f"the end of {topic}")

    def _ends(self, topic: str) -> dict[TopicPartition, int]:
        return {partition: end for partition, end in self._admin.ends(topic).items() if end}

    def delete(self, *names: str) -> None:
        """Make room on the disk."""
        (broker, *_) = self._cluster.brokers.values()
        broker.delete_topics([name.encode() for name in names], 30_000)

    def memory(self, million: float) -> tuple[list[float], int]:
        """Return what a worker holds in MiB, ten times on the way through so many million events, and their number."""
        topic, lines = unique("flat-memory"), RawLines(5, 300, agents=_AGENTS)
        self._admin.get_or_create(topic, 4)
        part = int(million * 100_000)
        lines.produce(self._kafka, topic, _WARM_UP)
        held = []
        with self.processor(topic, lines, 1) as pool:
            pool.wait_at_work(1)
            for _ in range(10):
                for begin in range(0, part, 20_000):
                    lines.produce(self._kafka, topic, min(20_000, part - begin))
                    self.wait_committed(topic)
                held.append(rss_mib(pool.workers()[0]))
        self.delete(topic)
        return held, 10 * part

    def clear(self) -> None:
        """Delete what all processors have written."""
        found = [name for name in self._admin.topics() if re.match("eventlogging_Flat|eventlogging-valid", name)]
        self.delete(*found)


def _dimensions(base: Case) -> list[tuple[str, dict[str, Case], str]]:
    return [
        ("workers", {"1 worker": base, "4 workers": replace(base, workers=4)}, ""),
        ("partitions", {"4 partitions": base, "64 partitions": replace(base, partitions=64)}, ""),
        ("schemas", {"5 schemas": base, "1,000 schemas": replace(base, schemas=1_000)}, ""),
        (
            "bytes of a line",
            {"800-byte lines": base, "8-KB lines": replace(base, line_bytes=8_000, events=base.events // 10)},
            "per byte",
        ),
    ]


def _measure(given: argparse.Namespace) -> Sequence[Table]:
    stack = Stack(given.stack)
    stack.up("kafka")
    tables = []
    wanted = set(given.only or ("workers", "partitions", "schemas", "bytes", "files", "memory"))
    with tempfile.TemporaryDirectory(prefix="elworkers-bench-") as folder:
        bench = Bench(stack.env()["KAFKA"], Path(folder))
        for what, cases, per in _dimensions(Case(events=given.events)):
            if what.split()[0] in wanted:
                tables.append(_compared(what, cases, per, bench, given.rounds))
        if "files" in wanted:
            tables.append(manyfiles.measured(Path(folder), given.rounds))
        if "memory" in wanted:
            tables.append(_memory(bench, given.million))
        bench.clear()
    return tables


def _compared(what: str, cases: dict[str, Case], per: str, bench: Bench, rounds: int) -> Table:
    one_by_one = [bench.together(cases) for _ in range(rounds)]
    taken = {name: [one[name] for one in one_by_one] for name in cases}
    (few, few_case), (many, many_case) = cases.items()
    larger = many_case.line_bytes / few_case.line_bytes
    said = f"processor time of an event{', ' + per if per else ''}: {many} by {few}"
    one = ratio(said, taken[many], taken[few], cpu_per_event, at_most=_MOST * larger)
    return Table(
        f"{what}: {few} and {many}, {few_case.events:,} events",
        rows=[row(*i) for i in taken.items()],
        ratios=[
            Ratio(said, one.value / larger, f"≤ {_MOST:g}", one.reached),
            *(_held(f"most that a worker held, in MiB: {name}", bench.peaks[case]) for name, case in cases.items()),
        ],
    )


def _held(what: str, mib: float) -> Ratio:
    return Ratio(what, mib, f"≤ {_MOST_MIB}", mib <= _MOST_MIB)


def _memory(bench: Bench, million: float) -> Table:
    held, events = bench.memory(million)
    growth = held[-1] / held[4]
    shown = ", ".join(f"{one:.0f}" for one in held)
    return Table(
        f"memory of a worker in the course of {events:,} events",
        ratios=[
            Ratio("what it holds after all events by after half of them", growth, "≤ 1.05", growth <= 1.05),
            _held("held at the end, in MiB", held[-1]),
        ],
        notes=[f"after each tenth, in MiB: {shown}"],
    )


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--events", type=int, default=200_000, help="of each run, behind the warm-up")
    parser.add_argument("--million", type=float, default=0.2, help="million events for memory (10 takes ten minutes)")
    parser.add_argument("--only", nargs="*", help="some of workers, partitions, schemas, bytes, files, memory")


if __name__ == "__main__":
    sys.exit(command("flat", _measure, options=_options, rounds=3))
