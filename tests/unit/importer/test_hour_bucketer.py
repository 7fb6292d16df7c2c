# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Messages → the folder of their hour."""

from __future__ import annotations

import json
from typing import Any

import pytest

from elworkers.core.metrics import Counters
from elworkers.importer.hour_bucketer import HourBucketer
from elworkers.importer.hours import HOUR_MS, HourPartition

NOW_MS = 1_480_000_000_000  # 2016-11-24T15:06:40Z
NOW = NOW_MS // 1000
HERE = "2016/11/24/15"


def bucketer(metrics: Counters | None = None, **over: Any) -> HourBucketer:
    given: dict[str, Any] = {"field": "timestamp", "past_ms": 7 * 24 * HOUR_MS, "future_ms": HOUR_MS} | over
    return HourBucketer(metrics or Counters(), **given)


def path(value: Any, kafka_ms: int = NOW_MS, **over: Any) -> str | None:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    hour_partition = bucketer(**over).hour_partition("Test", raw, kafka_ms, NOW_MS)
    return hour_partition.path if hour_partition else None


@pytest.mark.parametrize(
    ("event", "folder"),
    [
        ({"timestamp": 1_479_999_599}, "2016/11/24/14"),
        ({"timestamp": 1_479_999_600}, HERE),
        ({"timestamp": 1_479_999_600.999}, HERE),
        ({"dt": "2016-11-24T14:59:59Z"}, "2016/11/24/14"),
        ({"dt": "2016-11-24T14:59:59"}, "2016/11/24/14"),
        ({"dt": "2016-11-24T14:59:59.999+01:00"}, "2016/11/24/13"),
        ({"timestamp": "2016-11-24T14:00:00"}, "2016/11/24/14"),
        ({"timestamp": NOW - 7 * 86_400}, "2016/11/17/15"),
        ({"timestamp": NOW + 3600}, "2016/11/24/16"),
    ],
)
def test_an_event_belongs_to_its_own_hour(event: dict[str, Any], folder: str) -> None:
    assert path(event, kafka_ms=NOW_MS - 2 * HOUR_MS) == folder


def test_the_option_says_which_time_is_asked_first() -> None:
    both = {"timestamp": NOW, "dt": "2016-11-24T03:00:00Z"}
    assert path(both) == HERE
    assert path(both, field="dt") == "2016/11/24/03"


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"timestamp": None},
        {"timestamp": True},
        {"timestamp": "yesterday"},
        {"timestamp": [1]},
        {"dt": "2016-13-01T00:00:00"},
        b'{"timestamp": NaN}',
        b'{"timestamp": 1e400}',
        b'{"timestamp": 1e308}',
    ],
)
def test_without_a_time_of_its_own_kafkas_is_taken_and_counted(value: Any) -> None:
    metrics = Counters()
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    assert bucketer(metrics).hour_partition("Test", raw, NOW_MS - HOUR_MS, NOW_MS) == HourPartition(
        NOW_MS // HOUR_MS - 1
    )
    assert metrics.summary() == {"import_no_time": 1}


@pytest.mark.parametrize(
    "raw", [b"", b"no json", b"[1]", b"7", b"\xff", b"[" * 100_000, b'{"timestamp": ' + b"9" * 5000]
)
def test_what_is_no_json_object_is_kept_by_kafkas_time(raw: bytes) -> None:
    metrics = Counters()
    assert bucketer(metrics).hour_partition("Test", raw, NOW_MS, NOW_MS) == HourPartition(NOW_MS // HOUR_MS)
    assert metrics.summary() == {"import_no_json": 1, "import_no_time": 1}


@pytest.mark.parametrize("kafka_ms", [-1, 0, 10**18])
def test_where_kafka_has_no_possible_time_it_is_now(kafka_ms: int) -> None:
    assert path({}, kafka_ms=kafka_ms) == HERE


@pytest.mark.parametrize(
    ("seconds", "aside", "name"),
    [
        (NOW - 7 * 86_400 - 1, "late", "import_late"),
        (0, "late", "import_late"),
        (-(10**15), "late", "import_late"),
        (NOW + 3601, "future", "import_future"),
        (10**12, "future", "import_future"),
        (10**30, "future", "import_future"),
    ],
)
def test_what_is_too_old_or_too_new_is_kept_aside_by_kafkas_hour(seconds: int, aside: str, name: str) -> None:
    metrics = Counters()
    raw = json.dumps({"timestamp": seconds}).encode()
    hour_partition = bucketer(metrics).hour_partition("Test", raw, NOW_MS - HOUR_MS, NOW_MS)
    assert hour_partition is not None
    assert hour_partition.path == f"{aside}/2016/11/24/14"
    assert metrics.summary() == {name: 1}
    assert bucketer(metrics, keep_out_of_range=False).hour_partition("Test", raw, NOW_MS, NOW_MS) is None
    assert metrics.summary() == {name: 2}


def test_a_message_that_makes_us_raise_is_kept_by_kafkas_time(monkeypatch: pytest.MonkeyPatch) -> None:
    def planted(_value: bytes) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("elworkers.importer.hour_bucketer._times", planted)
    metrics = Counters()
    assert bucketer(metrics).hour_partition("Test", b"{}", NOW_MS - HOUR_MS, NOW_MS) == HourPartition(
        NOW_MS // HOUR_MS - 1
    )
    assert metrics.summary()["import_no_time"] == 1
