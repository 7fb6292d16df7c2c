# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Drafts and schemas → Parquet files that say what the messages said."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

from elworkers.core.contracts import TopicPartition
from elworkers.core.errors import InvalidEventError
from elworkers.importer.hours import HourPartition
from elworkers.importer.parquet import Parquet
from elworkers.importer.staging import StagingFile, StagingFiles

ONE = {
    "properties": {
        "action": {"type": "string"},
        "count": {"type": "integer"},
        "share": {"type": "number"},
        "anonymous": {"type": "boolean"},
        "when": {"type": "string", "format": "date-time"},
        "place": {"type": "object", "properties": {"city": {"type": "string"}}},
    }
}
TWO = {"properties": {**ONE["properties"], "count": {"type": "string"}, "more": {"type": "array"}}}


def schema_of(name: str, revision: int) -> Mapping[str, Any]:
    found = {("Test", 1): ONE, ("Test", 2): TWO}.get((name, revision))
    if found is None:
        raise InvalidEventError("there is no such schema", "validation")
    return found


def staging_file(folder: Path, *messages: bytes) -> StagingFile:
    staging = StagingFiles(folder)
    made = staging.begin(TopicPartition("eventlogging_Test", 0), HourPartition(1), 0)
    for message in messages:
        staging.append(made, message + b"\n", 1, 0)
    return made


def table(folder: Path, *messages: Any, compression: str = "none") -> pyarrow.Table:
    raw = [message if isinstance(message, bytes) else json.dumps(message).encode() for message in messages]
    content = b"".join(Parquet(schema_of, compression).encode(staging_file(folder, *raw)))
    assert sorted(path.name for path in folder.iterdir()) == ["1", "lock"]
    return pyarrow.parquet.read_table(io.BytesIO(content))


def event(revision: int = 1, **fields: Any) -> dict[str, Any]:
    return {
        "schema": "Test",
        "revision": revision,
        "uuid": "u",
        "timestamp": 1_480_000_000,
        "webHost": "h",
        "wiki": "w",
        "userAgent": "a",
        "event": fields,
    }


@pytest.mark.parametrize("compression", ["none", "zstd"])
def test_columns_are_those_of_the_schemas_table(tmp_path: Path, compression: str) -> None:
    fields = {"action": "☃", "count": 7, "share": 0.5, "anonymous": True, "when": "2016-11-24T15:06:40Z"}
    found = table(tmp_path, event(**fields, place={"city": "Rome"}), event(), compression=compression)
    assert {field.name: str(field.type) for field in found.schema} == {
        **dict.fromkeys(("uuid", "timestamp", "webHost", "wiki", "userAgent"), "string"),
        "event_action": "string",
        "event_count": "int64",
        "event_share": "double",
        "event_anonymous": "bool",
        "event_when": "timestamp[us]",
        "event_place_city": "string",
        "json": "string",
    }
    full, empty = found.to_pylist()
    assert full == {
        "uuid": "u",
        "timestamp": "20161124150640",
        "webHost": "h",
        "wiki": "w",
        "userAgent": "a",
        "event_action": "☃",
        "event_count": 7,
        "event_share": 0.5,
        "event_anonymous": True,
        "event_when": datetime(2016, 11, 24, 15, 6, 40),  # noqa: DTZ001 - columns of events are in UTC and do not say so
        "event_place_city": "Rome",
        "json": None,
    }
    assert empty["event_action"] is None
    assert empty["json"] is None


def test_revisions_share_a_file_and_columns_that_differ_are_text(tmp_path: Path) -> None:
    found = table(tmp_path, event(1, count=7), event(2, count="seven", more=[1, 2]))
    assert found["event_count"].to_pylist() == ["7", "seven"]
    assert found["event_more"].to_pylist() == [None, "[1,2]"]
    assert found["json"].to_pylist() == [None, None]


@pytest.mark.parametrize(
    "message",
    [
        event(count=2**63),
        event(count="no number"),
        event(unknown=1),
        {**event(), "event": "no object"},
        {"no": "capsule"},
        event(revision=3, field="of a schema that does not exist"),
        b"no json",
        b'"\xff"',
    ],
)
def test_a_row_that_the_columns_cannot_hold_has_its_message(tmp_path: Path, message: Any) -> None:
    found = table(tmp_path, event(action="fits"), message).to_pylist()
    assert found[0]["json"] is None
    raw = message if isinstance(message, bytes) else json.dumps(message).encode()
    assert found[1]["json"] == raw.decode("utf-8", "replace")


def test_many_rows(tmp_path: Path) -> None:
    found = table(tmp_path, *(event(count=number) for number in range(12_345)))
    assert found["event_count"].to_pylist() == list(range(12_345))


def test_text_that_is_no_unicode_holds_up_no_other_row(tmp_path: Path) -> None:
    some = [event(action=f"fits {number}") for number in range(9)]
    some.insert(4, event(action="\ud800"))
    found = table(tmp_path, *some).to_pylist()
    assert [row["event_action"] for row in found] == [*(one["event"]["action"] for one in some[:4]), None] + [
        one["event"]["action"] for one in some[5:]
    ]
    assert json.loads(found[4]["json"]) == some[4]
