# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Counters: a name that nobody declared is a mistake that shows at once."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import elworkers
from elworkers.core.metrics import DECLARED, MOST_VALUES, OTHER, Counters


def test_counts_add_up_by_labels() -> None:
    counters = Counters()
    counters.count("events_valid", schema="A")
    counters.count("events_valid", 2, schema="B")
    assert counters.summary() == {"events_valid": 3}


@pytest.mark.parametrize(("name", "labels"), [("no_such", {}), ("events_valid", {}), ("records_read", {"schema": "A"})])
def test_an_undeclared_name_or_label_is_an_error(name: str, labels: dict[str, str]) -> None:
    with pytest.raises(KeyError, match=name):
        Counters().count(name, **labels)


def test_every_declared_name_is_counted_somewhere() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in Path(elworkers.__file__).parent.rglob("*.py"))
    counted = set(re.findall(r'\.count(?:er)?\(\s*"([a-z_]+)"', text))
    assert counted == set(DECLARED)


def test_names_that_anybody_invents_do_not_fill_the_memory() -> None:
    counters = Counters()
    counters.count("events_invalid", schema="Known", code="validation")
    for number in range(100_000):
        counters.count("events_invalid", schema=f"Invented{number}{'x' * 1_000}", code="validation")
    counters.count("events_invalid", schema="Known", code="validation")
    counters.count("events_valid", schema="Late")
    assert len(counters.totals) <= MOST_VALUES + 2
    assert max(len(value) for _, labels in counters.totals for _, value in labels) < 300
    assert counters.summary() == {"events_invalid": 100_002, "events_valid": 1}
    assert counters.totals["events_invalid", (("code", "validation"), ("schema", "Known"))] == 2
    assert counters.totals["events_invalid", (("code", "validation"), ("schema", OTHER))] == 100_001 - MOST_VALUES
    assert counters.totals["events_valid", (("schema", "Late"),)] == 1


def test_what_is_set_aside_is_named_until_it_goes_on_and_never_without_end() -> None:
    counters = Counters()
    counters.set_aside("topic a[0]", "no leader")
    counters.set_aside("topic a[0]", "compressed by zstd")
    assert counters.aside == {"topic a[0]": "compressed by zstd"}
    counters.set_aside("topic b", "a quota", 1_480_000_000)
    assert counters.aside_since.keys() == counters.aside.keys()
    assert counters.aside_since["topic b"] == 1_480_000_000
    counters.resumed("topic b")
    counters.resumed("topic a[0]")
    counters.resumed("topic a[0]")
    for number in range(1_000):
        counters.set_aside(f"schema S{number}/1", "no such type")
    assert len(counters.aside) == 100
