# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""What a worker tells its parent through shared memory."""

from __future__ import annotations

import mmap

from hypothesis import given
from hypothesis import strategies as st

from elworkers.core.worker_state import State
from elworkers.workers.scoreboard import MOST_WORKERS, Remarks, Scoreboard

WORDS = st.text(max_size=3_000)


@given(WORDS, st.dictionaries(WORDS, WORDS, max_size=100), st.integers(0, 2**33))
def test_whatever_is_told_fits_and_is_understood(reason: str, aside: dict[str, str], began: int) -> None:
    scoreboard = Scoreboard()
    slot, neighbour = scoreboard.free_slot(), scoreboard.free_slot()
    neighbour.set_remarks(Remarks("fine"))
    slot.set_remarks(Remarks(reason, 1.5, aside, aside_since=dict.fromkeys(aside, began)))
    found = slot.remarks()
    assert found.since == 1.5
    assert reason.startswith(found.reason.rstrip("…").removesuffix("…") if len(reason) > 50 else reason)
    assert bool(found.aside) == bool(aside)
    assert found.aside_since == dict.fromkeys(found.aside, began)
    assert len(found.aside) + found.more >= min(1, len(aside))
    assert neighbour.remarks() == Remarks("fine")


def test_short_words_come_whole_and_go_with_the_worker() -> None:
    slot = Scoreboard().free_slot()
    assert slot.remarks() == Remarks()
    told = Remarks("Kafka k1:9092: Connection refused", 7.0, {"schema Foo/3": "no such type"}, 2)
    slot.set_remarks(told)
    slot.report(State.RUNNING)
    assert slot.remarks() == told
    slot.clear()
    assert slot.remarks() == Remarks()


def test_of_very_many_things_some_are_named_and_the_others_counted() -> None:
    slot = Scoreboard().free_slot()
    slot.set_remarks(Remarks("", 0.0, {f"schema Schema{number}/1": "w" * 100 for number in range(100)}))
    found = slot.remarks()
    assert 20 <= len(found.aside) < 100
    assert len(found.aside) + found.more == 100


def test_a_torn_text_leaves_what_was_told_before() -> None:
    scoreboard = Scoreboard()
    slot = scoreboard.free_slot()
    slot.set_remarks(Remarks("before"))
    assert slot.remarks().reason == "before"
    at = scoreboard._memory.find(b"before")
    scoreboard._memory[at : at + 6] = b"torn, "
    slot._read = (1, Remarks("before"))
    assert slot.remarks().reason == "before"


def test_the_last_slot_lies_within_the_memory() -> None:
    scoreboard = Scoreboard()
    slots = [scoreboard.free_slot() for _ in range(MOST_WORKERS)]
    slots[-1].set_remarks(Remarks("é" * 5_000, 0.0, {"x" * 5_000: "y" * 5_000}))
    assert slots[-1].remarks().reason.startswith("é")
    assert len(scoreboard._memory) == MOST_WORKERS * mmap.PAGESIZE
