# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Kills at any step of the loop: what was written twice is counted as repeated, and nothing else is."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elworkers.core import loop
from elworkers.core.contracts import Assignment, Destination, Output, Positions, Record, RejectedRecord
from elworkers.core.errors import RetryableError
from elworkers.core.metrics import Counters
from elworkers.core.pipeline import Batch, CarryOver, Pipeline
from elworkers.core.repeats import Repeats
from elworkers.core.stop import Stop
from elworkers.core.worker_state import State
from elworkers.core.write_marks import WriteMarks

CLEAN = ("before the write", "before the flush", "after the flush", "in the commit", "after the commit", "outage")
"""Steps at which it is known what is written, and what is not."""

TORN = ("in the flush",)


class KilledError(BaseException):
    """As after SIGKILL: nothing of the process runs any more."""


@dataclass
class World:
    """What outlives a process: a log of two partitions, the group's offsets, an output, marks; and what kills."""

    folder: Path
    size: int
    batch: int
    plan: list[tuple[str, int]]
    group: str = "group"
    committed: dict[int, int] = field(default_factory=lambda: {0: 0, 1: 0})
    stored: list[tuple[int, int]] = field(default_factory=list)
    told: Counter[Destination] = field(default_factory=Counter)
    claims: itertools.count[int] = field(default_factory=itertools.count)

    def comes_to(self, step: str) -> None:
        what, passes = self.plan[0] if self.plan else ("", 0)
        if what == step or (what, step) == ("outage", "before the flush"):
            if passes:
                self.plan[0] = what, passes - 1
                return
            self.plan.pop(0)
            raise RetryableError("away") if what == "outage" else KilledError

    def process(self) -> Counters:
        """Run a process to its end; its counters die with it where it is killed."""
        counters = Counters()

        def stage(records: list[Record]) -> list[Record]:
            carry_over.counts.count("events_valid", len(records), schema="A")
            return records

        def build(now: CarryOver) -> Pipeline:
            nonlocal carry_over
            carry_over = now
            return Pipeline(Log(self), [stage], [Output(Topic(self), lambda _: True)], Batch(self.batch, 60.0))

        carry_over: CarryOver
        repeats = Repeats(WriteMarks(self.folder, lambda _: self.group), self.told.update)
        loop.run(build, Stop(), counters, Silent(), repeats)
        return counters

    def run(self) -> int:
        """Processes one after the other until one comes to its end; how many were killed."""
        for killed in itertools.count():
            try:
                self.process()
            except KilledError:
                continue
            return killed
        raise AssertionError


class Silent:
    """Takes reports and ignores them."""

    def report(self, state: State) -> None:
        pass

    def read(self, records: int) -> None:
        pass

    def trouble(self, reason: str) -> None:
        pass


class Log:
    """Two partitions, read in turn from where the group is."""

    replayable = True
    durable = True
    idle = False

    def __init__(self, world: World) -> None:
        self._world = world
        claim = next(world.claims)
        self._origins = [Assignment("raw", number, "k:1", claim) for number in range(2)]
        self._at = dict(world.committed)

    @property
    def exhausted(self) -> bool:
        return all(at >= self._world.size for at in self._at.values())

    def poll(self, limit: int, timeout_s: float) -> list[Record]:
        partition = min(self._at, key=lambda number: self._at[number])
        begin = self._at[partition]
        self._at[partition] = end = min(begin + min(limit, 3), self._world.size)
        return [Record(b"", origin=self._origins[partition], offset=offset) for offset in range(begin, end)]

    def commit(self, positions: Positions) -> None:
        self._world.comes_to("in the commit")
        self._world.committed.update({origin.partition: offset for origin, offset in positions.items()})
        self._world.comes_to("after the commit")

    def close(self) -> None:
        pass


class Topic:
    """An output that keeps what was flushed."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._pending: list[Record] = []

    def destination(self, record: Record) -> Destination:
        return Destination("k:1/out")

    def write(self, records: Sequence[Record]) -> None:
        self._world.comes_to("before the write")
        self._pending += records

    def flush(self) -> list[RejectedRecord]:
        self._world.comes_to("before the flush")
        for number, record in enumerate(self._pending):
            if number == len(self._pending) // 2:
                self._world.comes_to("in the flush")
            assert record.origin is not None
            self._world.stored.append((record.origin.partition, record.offset))
        self._pending = []
        return []

    def commit_transaction(self, positions: Positions) -> None:
        self._world.comes_to("after the flush")

    def close(self) -> None:
        pass


def plans(steps: Sequence[str]) -> st.SearchStrategy[list[tuple[str, int]]]:
    return st.lists(st.tuples(st.sampled_from(steps), st.integers(0, 4)), max_size=6)


def world(folders: pytest.TempPathFactory, size: int, batch: int, plan: list[tuple[str, int]]) -> World:
    return World(folders.mktemp("marks"), size, batch, list(plan))


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Stop, "wait", lambda *_: False)


@given(st.integers(1, 20), st.integers(1, 9), plans([step for step in CLEAN if step != "before the flush"]))
def test_what_is_stored_twice_is_repeated_and_the_rest_is_valid(
    tmp_path_factory: pytest.TempPathFactory, size: int, batch: int, plan: list[tuple[str, int]]
) -> None:
    site = world(tmp_path_factory, size, batch, plan)
    site.run()
    assert set(site.stored) == set(itertools.product(range(2), range(size)))
    assert site.told[Destination("k:1/out")] == len(site.stored) - 2 * size


@given(st.integers(1, 20), st.integers(1, 9), plans([*CLEAN, *TORN]))
def test_a_kill_in_the_middle_of_a_write_is_off_by_a_batch_at_most(
    tmp_path_factory: pytest.TempPathFactory, size: int, batch: int, plan: list[tuple[str, int]]
) -> None:
    site = world(tmp_path_factory, size, batch, plan)
    killed = site.run()
    again = len(site.stored) - 2 * size
    assert again <= killed * batch
    assert abs(site.told.total() - again) <= killed * batch


def test_a_group_that_is_put_back_repeats_no_more_than_the_marked_batch(tmp_path: Path) -> None:
    site = World(tmp_path, 12, 4, [("in the commit", 2)])
    with pytest.raises(KilledError):
        site.process()
    # Two batches are committed, the third is not; everything is to be read again.
    site.committed = {0: 0, 1: 0}
    counters = site.process()
    assert counters.summary()["records_repeated"] == site.told.total() == 4
    assert counters.summary()["events_valid"] == 24


def test_another_group_and_one_without_a_folder_know_of_nothing(tmp_path: Path) -> None:
    site = World(tmp_path, 12, 24, [("in the commit", 0)])
    with pytest.raises(KilledError):
        site.process()
    site.group = "another"
    site.run()
    assert (site.told.total(), len(site.stored)) == (0, 48)


def test_a_worker_that_lives_on_beside_its_successor_takes_nothing_from_it(tmp_path: Path) -> None:
    origin = Assignment("raw", 0, "k:1", 1)
    slow, new = (Repeats(WriteMarks(tmp_path, lambda _: "group")) for _ in range(2))
    slow.read(origin, 10, 20)
    slow.writing()
    new.read(origin, 10, 15)
    new.writing()
    slow.committed({origin: 20})
    last = Repeats(WriteMarks(tmp_path, lambda _: "group"))
    last.read(origin, 10, 11)
    assert [offset for offset in range(25) if last.has(Record(b"", origin=origin, offset=offset))] == [*range(10, 20)]
