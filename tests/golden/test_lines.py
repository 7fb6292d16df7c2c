# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Golden files: a raw line comes in; its event, or its EventError, goes out. One file a case in `lines/`."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from elworkers.core.budget import Budget
from elworkers.core.contracts import Assignment, Record
from elworkers.core.metrics import Counters
from elworkers.events.parse import compile_format
from elworkers.schema.store import SchemaStore
from elworkers.schema.validate import Validator
from elworkers.stages.process import ProcessStage

HERE = Path(__file__).parent
CASES = sorted((HERE / "lines").glob("*.json"))
ORIGIN = Assignment("eventlogging-client-side", 2)
GOOD = b'{"event":{"action":"next"},"schema":"Golden","revision":1,"wiki":"w","recvFrom":"h","timestamp":1}'


@pytest.fixture(scope="module")
def validator() -> Validator:
    return Validator(SchemaStore([str(HERE / "schemas")]))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_line(path: Path, validator: Validator) -> None:
    case = json.loads(path.read_text(encoding="utf-8"))
    line = base64.b64decode(case["line_base64"]) if "line_base64" in case else case["line"].encode()
    stage = ProcessStage(compile_format(case["format"]), validator, Counters(), Budget(1.0))
    record = Record(line, origin=ORIGIN, offset=7, timestamp_ms=case.get("arrived_ms", 1_469_800_000_000))
    made = stage([record])
    if case.get("nothing"):
        assert made == []
    elif "event" in case:
        assert [one.valid for one in made] == [True]
        assert json.loads(made[0].value) == case["event"]
        assert made[0].event == case["event"]
    else:
        assert [one.valid for one in made] == [False]
        _check_error(json.loads(made[0].value), case["error"], validator)
    assert all((one.origin, one.offset) == (ORIGIN, 7) for one in made)


def _check_error(capsule: dict[str, Any], wanted: dict[str, Any], validator: Validator) -> None:
    event = capsule["event"]
    assert wanted["message"] in event["message"]
    assert {name: event[name] for name in ("code", "schema", "revision")} == {
        name: wanted[name] for name in ("code", "schema", "revision")
    }
    assert (capsule["schema"], capsule["revision"]) == ("EventError", 14035058)
    validator.validate(capsule)


@pytest.mark.parametrize("path", [case for case in CASES if case.stem.startswith("bad-")], ids=lambda path: path.stem)
def test_the_next_line_goes_on(path: Path, validator: Validator) -> None:
    case = json.loads(path.read_text(encoding="utf-8"))
    line = base64.b64decode(case["line_base64"]) if "line_base64" in case else case["line"].encode()
    stage = ProcessStage(compile_format("%j"), validator, Counters(), Budget(1.0))
    made = stage([Record(line), Record(GOOD)])
    assert [one.valid for one in made] == [False, True]


def test_every_specifier_has_a_case() -> None:
    formats = {json.loads(path.read_text(encoding="utf-8"))["format"] for path in CASES}
    for specifier in ("%j", "%q", "%t", "%D", "%h", "%u", "}i", "}s", "}d", "%o", "%%"):
        assert any(specifier in text for text in formats), specifier
