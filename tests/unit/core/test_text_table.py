# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Tables, notes and times for operators."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elworkers.core.text_table import duration, format_table, note, since


def test_columns_are_as_wide_as_their_longest_text() -> None:
    assert format_table([("A", "LONG", "C"), ("longer", "b", ""), ("", "", "c")]) == "\n".join(
        ["A       LONG  C", "longer  b", "              c"]
    )


@given(st.lists(st.tuples(st.text(), st.text()), min_size=1))
def test_whatever_stands_in_it_each_row_is_one_line(rows: list[tuple[str, str]]) -> None:
    shown = format_table(rows).split("\n")
    assert len(shown) == len(rows)
    assert all(line.isprintable() for line in shown)


def test_a_note_fits_the_terminal_or_is_one_line() -> None:
    text = "waits for kafka-1.example.org:9092, " * 4
    assert note(text, None) == f"    {text}"
    lines = note(text, 40).split("\n")
    assert len(lines) > 1
    assert max(map(len, lines)) <= 40
    # A host's name can be searched for, wherever the line ends.
    assert all(note(text, width).count("kafka-1.example.org:9092,") == 4 for width in range(31, 80))


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0:00:00"),
        (59, "0:00:59"),
        (3_661, "1:01:01"),
        (86_399, "23:59:59"),
        (90_061, "1d 1:01:01"),
        (-5, "0:00:00"),
    ],
)
def test_so_many_seconds(seconds: int, shown: str) -> None:
    assert duration(seconds) == shown


def test_when_something_began_and_how_long_ago_that_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 1_480_007_200.0)
    assert since(1_480_000_000) == "since 2016-11-24 15:06:40 UTC (2:00:00)"
