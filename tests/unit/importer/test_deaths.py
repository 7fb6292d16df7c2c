# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""An importer on the memory driver whose process ends, or whose store fails, at each step in turn.

A step is what changes the store: before it, in the middle of it and after it. Whatever had been done by then, the next
run has every message in a file once, leaves nothing behind, and marks the hours that are over.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import importing
import pytest

from elworkers.connectors.kafka.memory.broker import MemoryBroker
from elworkers.connectors.kafka.memory.memory_driver import MemoryDriver
from elworkers.connectors.registry import check_storage
from elworkers.connectors.storage import Storage, StorageEndpoint, StorageSpec
from elworkers.core.contracts import TopicPartition
from elworkers.core.errors import RetryableError
from elworkers.core.metrics import Counters
from elworkers.importer.compression import json_lines
from elworkers.importer.hour_bucketer import HourBucketer
from elworkers.importer.hours import HOUR_MS
from elworkers.importer.importer import Importer
from elworkers.importer.pending_range import RollPolicy
from elworkers.importer.plan import ImportPlan
from elworkers.importer.staging import StagingFiles
from elworkers.importer.store import Store
from elworkers.importer.topic_selection import TopicSelection

# One partition: its steps come in the same order each time.
PARTITION = TopicPartition("eventlogging_Test", 0)
NOW_MS = 1_480_000_000_000
PLAN = ImportPlan(
    TopicSelection(re.compile("eventlogging_.*"), None),
    HourBucketer(Counters(), "timestamp", 7 * 24 * HOUR_MS, HOUR_MS),
    json_lines("none"),
    RollPolicy(size=1 << 30, age_s=0.0, grace_ms=0),
)
MARKED = ["Test/2016/11/24/14/_SUCCESS"]


class EndedError(RetryableError):
    """What a step raises that does not come to its end."""


class Points:
    """Counts the points that a process passes, and ends it at one.

    Args:
        end_at: the number of that point, from 1 on; 0: at none.
        for_good: nothing is passed from then on, as by a process that was killed; else only this once.
    """

    def __init__(self, end_at: int, *, for_good: bool) -> None:
        self._end_at, self._for_good = end_at, for_good
        self._passed = 0

    def __call__(self) -> None:
        self._passed += 1
        if self._passed == self._end_at or (self._for_good and 0 < self._end_at < self._passed):
            raise EndedError("ended here")

    @property
    def ended(self) -> bool:
        return 0 < self._end_at <= self._passed


class WatchedFiles:
    """A file system of fsspec's that passes points where it removes a file."""

    def __init__(self, files: Any, passes: Points) -> None:
        self._files, self._passes = files, passes

    def rm_file(self, path: str) -> None:
        self._passes()
        self._files.rm_file(path)
        self._passes()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._files, name)


class WatchedStorage:
    """A storage that passes points wherever it changes something; implements `storage.Storage`."""

    def __init__(self, storage: Storage, passes: Points) -> None:
        self._storage, self._passes = storage, passes
        self.renames_in_one_step = storage.renames_in_one_step
        self.absolute, self.failed = storage.absolute, storage.failed

    @property
    def files(self) -> Any:
        return WatchedFiles(self._storage.files, self._passes)

    def write(self, path: str, chunks: Iterable[bytes]) -> None:
        def watched() -> Iterator[bytes]:
            for chunk in chunks:
                yield chunk[:10]
                self._passes()
                yield chunk[10:]

        self._passes()
        self._storage.write(path, watched())
        self._passes()

    def rename(self, source: str, target: str) -> bool:
        self._passes()
        self._half(self.absolute(source), self.absolute(target))
        renamed = self._storage.rename(source, target)
        self._passes()
        return renamed

    def _half(self, source: str, target: str) -> None:
        """The first half of what a local folder and an object store do: for a moment, a file has both names."""
        files = self._storage.files
        if self.renames_in_one_step:
            with contextlib.suppress(FileExistsError, FileNotFoundError):
                os.link(source, target)
            self._passes()
        elif files.exists(source) and not files.exists(target):
            files.cp_file(source, target)
            self._passes()
            files.rm_file(target)

    def make_folder(self, folder: str) -> None:
        self._passes()
        self._storage.make_folder(folder)
        self._passes()


class Site:
    """A broker with messages, a base folder, and one importer after another from the one to the other."""

    def __init__(self, base: str, folder: Path) -> None:
        self.base = base
        self.broker = MemoryBroker()
        self.broker.get_or_create(PARTITION.topic)
        self.reader = MemoryDriver(self.broker).reader(["memory:9092"])
        self._folder = folder
        self._numbers = itertools.count()
        self._made: list[Importer] = []

    def add(self, *numbers: int) -> None:
        """Messages of two hours in turn, the last of which is not over."""
        for number in numbers:
            event = {"number": number, "timestamp": NOW_MS // 1000 - 3600 * (number % 2)}
            self.broker.append(PARTITION, json.dumps(event).encode())

    def importer(self, passes: Points) -> Importer:
        """Of a process of its own."""
        checked = check_storage(self.base)
        spec = StorageSpec(None, open=lambda endpoint: WatchedStorage(checked.spec.open(endpoint), passes))
        store = Store(StorageEndpoint(checked.uri, checked.options, spec=spec))
        staging = StagingFiles(self._folder / str(next(self._numbers)))
        self._made.append(Importer(store, staging, PLAN, Counters()))
        return self._made[-1]

    def run(self, importer: Importer) -> int:
        return importer.run(self.reader, lambda _done, _total: True, now_ms=NOW_MS)

    def ends(self, at: int) -> bool:
        """A run of a process that is killed at a point; whether it came to that."""
        passes = Points(at, for_good=True)
        with contextlib.suppress(EndedError):
            self.run(self.importer(passes))
        assert len(self.numbers()) == len(set(self.numbers())), "a message is there twice"
        return passes.ended

    def goes_on(self) -> None:
        """A run of another process, which nobody kills; what is to be there after it is there."""
        assert self.run(self.importer(Points(0, for_good=True))) == 0
        self.is_whole()

    def is_whole(self) -> None:
        paths = self.paths()
        assert self.numbers() == list(range(self.broker.log(PARTITION).end))
        assert [path for path in paths if "/." in path] == []
        assert [path for path in paths if path.endswith("_SUCCESS")] == MARKED
        assert len([path for path in paths if path.startswith("_importer/")]) == 1

    def paths(self) -> list[str]:
        return importing.paths(self.base)

    def numbers(self) -> list[int]:
        """The number of every event in a file that readers look at."""
        return importing.numbers(self.base)

    def close(self) -> None:
        for one in self._made:
            one.close()


@pytest.fixture(params=["file", "memory"])
def base(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A base folder; a local one renames a file in one step, one in memory copies and removes it."""
    return f"file://{tmp_path}/base" if request.param == "file" else f"memory://{tmp_path.name}"


@contextlib.contextmanager
def opened(base: str, tmp_path: Path, name: str) -> Iterator[Site]:
    """A site of its own, which has imported four messages, and has four more to import."""
    made = Site(f"{base}/{name}", tmp_path / "staging" / name)
    made.add(*range(4))
    made.goes_on()
    made.add(*range(4, 8))
    try:
        yield made
    finally:
        made.close()
        shutil.rmtree(tmp_path / "staging" / name)
        # A file system in memory looks through all of its files for each answer.
        files, root = fsspec.url_to_fs(made.base)
        files.rm(root, recursive=True)


def test_a_process_may_end_anywhere(base: str, tmp_path: Path) -> None:
    for at in itertools.count(1):
        with opened(base, tmp_path, str(at)) as site:
            ended = site.ends(at)
            site.goes_on()
        if not ended:
            break
    # Three files and a manifest are written (each three points), and get names (three each); the manifest gets a second
    # one, and the one before it is removed.
    assert at > 4 * 3 + 5 * 3 + 2


def test_the_process_that_brings_it_to_its_end_may_end_anywhere_too(tmp_path: Path) -> None:
    seen: set[tuple[str, ...]] = set()
    for first in itertools.count(1):
        for second in itertools.count(1):
            with opened(f"memory://{tmp_path.name}", tmp_path, f"{first}-{second}") as site:
                ended_first = site.ends(first)
                left = tuple(re.sub(r"~[0-9]+$", "", path) for path in site.paths())
                if second == 1 and left in seen:
                    break
                seen.add(left)
                ended = site.ends(second)
                site.goes_on()
            if not ended:
                break
        if not ended_first:
            break
    # At least: a file, two, the manifest, each of them with its name, the manifest with its second one, and marked.
    assert len(seen) >= 8


def test_a_step_may_fail_once_and_the_same_process_goes_on(base: str, tmp_path: Path) -> None:
    """Also where only the answer is lost."""
    for at in itertools.count(1):
        with opened(base, tmp_path, str(at)) as site:
            passes = Points(at, for_good=False)
            importer = site.importer(passes)
            with contextlib.suppress(EndedError):
                site.run(importer)
            if passes.ended:
                importer.invalidate()
                assert site.run(importer) == 0
            site.is_whole()
        if not passes.ended:
            break
    assert at > 4 * 3 + 5 * 3 + 2
