# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Several sources as one, beyond what the contract suite asks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import pytest
from structlog.testing import capture_logs

from elworkers.core.contracts import Assignment, Positions, Record
from elworkers.core.merged import MergedSource

POSITIONS = {Assignment("a", 0): 5, Assignment("b", 1): 7}


class Clock:
    """Seconds that pass only where somebody waits.

    Attributes:
        now_s: what it shows.
    """

    now_s = 0.0

    def __call__(self) -> float:
        """What it shows."""
        return self.now_s


CLOCK = Clock()


@pytest.fixture(autouse=True)
def _from_zero() -> Iterator[None]:
    CLOCK.now_s = 0.0
    yield
    CLOCK.now_s = 0.0


@dataclass
class Child:
    """A source of given values, each as often as it is asked for; what it is told is written down.

    Where it has none it waits by the clock of the test, which nobody has to wait for.
    """

    values: Sequence[bytes] = ()
    endless: bool = False
    replayable: bool = True
    asks: bool = False
    flush: Callable[[], None] = lambda: None
    close_error: Exception | None = None
    committed: list[Positions] = field(default_factory=list)
    closed: int = 0
    at: int = 0
    waited_s: float = 0.0

    @property
    def exhausted(self) -> bool:
        """True at the end of the values."""
        return not self.endless and self.at >= len(self.values)

    def flush_by(self, flush: Callable[[], None]) -> None:
        """Keep the call."""
        self.flush = flush

    def poll(self, limit: int, timeout_s: float) -> list[Record]:
        """Up to `limit` values."""
        if self.asks:
            self.flush()
        if self.endless and self.values:
            return [Record(self.values[0])] * limit
        found = [Record(value) for value in self.values[self.at : self.at + limit]]
        self.at += len(found)
        if not found:
            CLOCK.now_s += timeout_s
            self.waited_s += timeout_s
        return found

    def commit(self, positions: Positions) -> None:
        """Write them down."""
        self.committed.append(positions)

    def close(self) -> None:
        """Count, and raise what is to be raised."""
        self.closed += 1
        if self.close_error is not None:
            raise self.close_error


@pytest.mark.parametrize("limit", [1, 2, 3, 1000])
def test_busy_children_share_the_polls(limit: int) -> None:
    merged = MergedSource([Child([b"a"], endless=True), Child([b"b"], endless=True), Child([b"c"], endless=True)])
    found: list[bytes] = []
    for _ in range(9):
        records = merged.poll(limit, 1.0)
        assert len(records) <= limit
        found += [record.value for record in records]
    shares = {value: found.count(value) for value in (b"a", b"b", b"c")}
    assert shares == dict.fromkeys(shares, 3 * limit)


def test_one_poll_takes_from_all_children() -> None:
    merged = MergedSource([Child([b"a1", b"a2"]), Child([]), Child([b"c1"])])
    assert sorted(record.value for record in merged.poll(10, 1.0)) == [b"a1", b"a2", b"c1"]


def test_a_quiet_child_does_not_hold_up_the_others() -> None:
    quiet = Child(endless=True)
    merged = MergedSource([quiet, Child([b"x"] * 30)], CLOCK)
    found = sum(len(merged.poll(1, 30.0)) for _ in range(30))
    assert found == 30
    assert quiet.waited_s <= 30 * 0.05


def test_the_timeout_is_that_of_all_children_together() -> None:
    children = [Child(endless=True) for _ in range(5)]
    assert MergedSource(children, CLOCK).poll(10, 0.4) == []
    assert CLOCK.now_s == pytest.approx(0.4, abs=0.05)
    # None of them for long, while the others may have something.
    assert max(child.waited_s for child in children) <= 2 * min(child.waited_s for child in children)


def test_it_is_exhausted_when_all_are() -> None:
    merged = MergedSource([Child([b"a"]), Child([b"b"])], CLOCK)
    assert not merged.exhausted
    assert len(merged.poll(1, 1.0)) == 1
    assert not merged.exhausted
    assert len(merged.poll(1, 1.0)) == 1
    assert merged.exhausted
    assert merged.poll(10, 30.0) == []
    assert CLOCK.now_s == 0


@pytest.mark.parametrize(("children", "expected"), [((True, True), True), ((True, False), False)])
def test_it_is_replayable_when_all_are(children: tuple[bool, bool], expected: bool) -> None:
    assert MergedSource([Child(replayable=one) for one in children]).replayable is expected


def test_what_a_child_has_given_in_the_poll_that_flushes_is_committed_only_later() -> None:
    gave, asks, quiet = Child([b"a", b"b"]), Child(endless=True, asks=True), Child(endless=True)
    merged = MergedSource([gave, asks, quiet])
    merged.flush_by(lambda: merged.commit(POSITIONS))
    assert [record.value for record in merged.poll(10, 0.0)] == [b"a", b"b"]
    assert (gave.committed, asks.committed, quiet.committed) == ([], [POSITIONS], [POSITIONS])
    asks.asks = False
    later = {Assignment("a", 0): 6}
    merged.commit(later)
    assert gave.committed == [{**POSITIONS, **later}]
    assert asks.committed == [POSITIONS, later]


def test_every_child_hears_all_positions() -> None:
    children = [Child(), Child()]
    MergedSource(children).commit(POSITIONS)
    assert [child.committed for child in children] == [[POSITIONS], [POSITIONS]]


def test_every_child_is_closed_also_behind_one_that_raises() -> None:
    children = [Child(), Child(close_error=RuntimeError("stuck")), Child()]
    with capture_logs() as logs:
        MergedSource(children).close()
    assert [child.closed for child in children] == [1, 1, 1]
    assert [entry["event"] for entry in logs] == ["a source did not close cleanly"]
