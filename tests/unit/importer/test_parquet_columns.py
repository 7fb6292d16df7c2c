# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Files of one folder, whatever schemas their events have: they are one data set, and no message is lost."""

from __future__ import annotations

import itertools
import json
import tempfile
from pathlib import Path
from typing import Any

import pyarrow.dataset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from elworkers.connectors.registry import check_storage
from elworkers.core.contracts import TopicPartition
from elworkers.core.metrics import Counters
from elworkers.events.columns import Column, ColumnType
from elworkers.importer.hour_bucketer import HourBucketer
from elworkers.importer.hours import HourPartition
from elworkers.importer.parquet import Parquet
from elworkers.importer.parquet_columns import StoredColumns
from elworkers.importer.staging import StagingFiles
from elworkers.importer.storage_errors import PathRejectedError
from elworkers.importer.store import Store

TOPIC = "eventlogging_PQ"
FIELDS = st.sampled_from(
    [
        *({"type": one} for one in ("integer", "number", "string", "boolean", "array", "null", ["integer", "null"])),
        {"type": "string", "format": "date-time"},
        {"type": "object", "properties": {"in": {"type": "integer"}}},
        {},
    ]
)
SCHEMAS = st.dictionaries(st.sampled_from(["x", "X", "y", "x_in"]), FIELDS, max_size=4)
VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.just("2016-11-24T15:06:40Z"),
    st.lists(st.integers(), max_size=2), st.dictionaries(st.sampled_from(["in", "out"]), st.integers(), max_size=2),
)  # fmt: skip
EVENTS = st.lists(st.dictionaries(st.sampled_from(["x", "X", "y", "x_in"]), VALUES, max_size=4), max_size=3)


def write(base: Path, schemas: list[dict[str, Any]], batches: list[list[dict[str, Any]]]) -> None:
    stored = StoredColumns(Store(check_storage(f"file://{base}")))
    staging = StagingFiles(base / ".staging")
    offsets = itertools.count()
    (base / "PQ").mkdir()
    for revision, events in enumerate(batches):
        parquet = Parquet(lambda _name, number: {"properties": schemas[number]}, "none", stored)
        made = staging.begin(TopicPartition(TOPIC, 0), HourPartition(revision), 0)
        for event in events:
            line = json.dumps({"schema": "PQ", "revision": revision, "uuid": str(next(offsets)), "event": event})
            staging.append(made, line.encode() + b"\n", 1, 0)
        staging.append(made, b"no json\n", 1, 0)
        (base / "PQ" / f"{revision}.parquet").write_bytes(b"".join(parquet.encode(made)))
        stored = StoredColumns(Store(check_storage(f"file://{base}")))
    staging.close()


@given(SCHEMAS, SCHEMAS, EVENTS, EVENTS)
def test_any_two_files_are_one_data_set(
    one: dict[str, Any], two: dict[str, Any], first: list[dict[str, Any]], second: list[dict[str, Any]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), [one, two], [first, second])
        read = pyarrow.dataset.dataset(f"{folder}/PQ").to_table().to_pylist()
    assert [row["uuid"] for row in read if row["uuid"]] == [str(n) for n in range(len(first) + len(second))]
    assert len(read) == len(first) + len(second) + 2


def test_a_row_that_does_not_fit_the_first_type_has_its_message(tmp_path: Path) -> None:
    write(tmp_path, [{"x": {"type": "integer"}}, {"x": {"type": "string"}}], [[{"x": 7}], [{"x": "a"}, {"x": "b"}]])
    read = pyarrow.dataset.dataset(tmp_path / "PQ").to_table().to_pylist()
    assert [row["event_x"] for row in read if row["uuid"]] == [7, None, None]
    assert [row["json"] and json.loads(row["json"])["event"]["x"] for row in read if row["uuid"]] == [None, "a", "b"]


@pytest.mark.parametrize("content", ["", "7", "[7]", '[{"name": 7, "kind": "TEXT", "path": []}]', "[" * 100_000])
def test_damaged_columns_concern_their_topic_only(tmp_path: Path, content: str) -> None:
    store = Store(check_storage(f"file://{tmp_path}"))
    path = f"_importer/{TOPIC}/columns.1.json"
    store.write(path, [content.encode()])
    wanted = [Column("x", ColumnType.TEXT, ("x",))]
    stored = StoredColumns(store)
    with pytest.raises(PathRejectedError, match=path):
        stored.agreed(TOPIC, wanted)
    assert stored.agreed("eventlogging_Other", wanted) == wanted
    store.remove(path)
    assert stored.agreed(TOPIC, wanted) == wanted


def test_a_timestamp_in_milliseconds_has_its_hour() -> None:
    now_ms = 1_480_000_000_000
    bucketer = HourBucketer(Counters(), "timestamp", 86_400_000, 3_600_000)
    assert bucketer.hour_partition("PQ", b'{"timestamp": 1479999000123}', now_ms, now_ms) == HourPartition(
        1_479_999_000 // 3600
    )
