# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Bugs planted in every step of the stages: the records that meet them become EventErrors, and all others go on."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elworkers.core.budget import Budget
from elworkers.core.contracts import Assignment, Record
from elworkers.core.errors import EventTimeout, RetryableError
from elworkers.core.metrics import Counters
from elworkers.events import event_error
from elworkers.events.parse import compile_format
from elworkers.schema.store import SchemaStore
from elworkers.schema.validate import Validator
from elworkers.stages import decode, process
from elworkers.stages.decode import DecodeStage
from elworkers.stages.process import ProcessStage

DEMO = Path(__file__).parent.parent.parent.parent / "demo"
BUGS = (ValueError, TypeError, AttributeError, KeyError, RecursionError, ZeroDivisionError, MemoryError, StopIteration)
STEPS = (
    "read",
    "add_defaults",
    "validate_fast",
    "dumps",
    "orjson_is_exact",
    "slow_path_reason",
    "validate_slow",
    "parse",
    "validate",
    "to_bytes",
)


def line(number: int, odd: bool = False) -> bytes:
    event = {"emailDeliveryMode": "daily_digest", "recipientUserId": number, "version": "1"}
    capsule = {"event": event, "schema": "EchoMail", "revision": 5467650, "wiki": "w", "recvFrom": "h", "seqId": number}
    # Beyond 64 bits nothing is read on the fast path.
    return json.dumps({**capsule, "timestamp": 2**70 if odd else 1_469_795_696}).encode()


class Planted:
    """Raises in place of a step where the step is given something of one of the chosen records."""

    def __init__(self, step: Any, chosen: set[int], bug: type[BaseException]) -> None:
        self._step = step
        self._chosen = chosen
        self._bug = bug

    def __call__(self, *given: Any, **named: Any) -> Any:
        text = str(given)
        if any(f'"seqId": {number},' in text or f"'seqId': {number}," in text for number in self._chosen):
            raise self._bug("planted")
        return self._step(*given, **named)


def planted(step: str, chosen: set[int], bug: type[BaseException], patch: pytest.MonkeyPatch) -> ProcessStage:
    validator = Validator(SchemaStore([str(DEMO / "schemas")]))
    stage = ProcessStage(compile_format("%j"), validator, Counters(), Budget(60.0))
    owner: Any = process
    if step in ("validate_fast", "slow_path_reason", "validate_slow", "validate"):
        owner = validator
    elif step == "read":
        owner = stage._fast_parser
    elif step == "parse":
        owner, step = stage, "_parse"
    patch.setattr(owner, step, Planted(getattr(owner, step), chosen, bug))
    return stage


@given(st.sampled_from(STEPS), st.sets(st.integers(0, 9)), st.sampled_from(BUGS))
def test_all_others_come_out_once(step: str, chosen: set[int], bug: type[Exception]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        stage = planted(step, chosen, bug, patch)
        lines = [line(number, odd=number % 2 == 1) for number in range(10)]
        records = [Record(one, origin=Assignment("t", 0), offset=at) for at, one in enumerate(lines)]
        made = [one for _ in range(2) for one in stage(records)]
    assert [one.offset for one in made] == [*range(10), *range(10)]
    for one in made:
        told = json.loads(one.value)
        if one.valid:
            assert told["seqId"] == one.offset
        else:
            assert one.offset in chosen
            assert (told["schema"], told["event"]["code"]) == ("EventError", "processor")
            assert bug.__name__ in told["event"]["message"]


@given(st.sampled_from(STEPS), st.integers(0, 9))
def test_a_step_that_works_for_nobody_crashes_the_worker(step: str, number: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        stage = planted(step, {number}, ZeroDivisionError, patch)
        patch.setattr(stage, "_on_good_record", lambda _: 1 / 0)
        made: list[Record] = []
        with contextlib.suppress(ZeroDivisionError):
            made = stage([Record(line(at, odd=at == number)) for at in range(10)])
        # Where it has not crashed, the step is not on the way of a line of this kind.
        assert all(one.valid for one in made)


def test_the_good_record_passes_in_every_format() -> None:
    validator = Validator(SchemaStore([]))
    for text in ("%j", "%{seqId}d EventLogging %j", "%q %{recvFrom}s %{seqId}d %t %o %{userAgent}i", "%j %D %h %u"):
        stage = ProcessStage(compile_format(text), validator, Counters(), Budget(60.0))
        assert [one.valid for one in stage([Record(compile_format(text).sample)])] == [True]
        stage._on_good_record(compile_format(text).sample)


def test_what_is_away_stays_away() -> None:
    with pytest.MonkeyPatch.context() as patch, pytest.raises(RetryableError, match="planted"):
        planted("validate_slow", {0}, RetryableError, patch)([Record(line(0))])


@given(st.sampled_from(STEPS), st.integers(0, 9))
def test_an_event_may_run_out_of_time_in_any_step(step: str, number: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        stage = planted(step, {number}, EventTimeout, patch)
        made = stage([Record(line(at, odd=at % 2 == 1), offset=at) for at in range(10)])
    assert [one.offset for one in made] == list(range(10))
    assert {one.offset for one in made if not one.valid} <= {number}


def test_a_bug_in_what_makes_event_errors_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_error, "_named", Planted(event_error._named, {5}, KeyError))
    stage = planted("validate", {5}, ValueError, monkeypatch)
    monkeypatch.setattr(stage._validator, "validate_fast", lambda _: None)
    monkeypatch.setattr(stage._validator, "validate_slow", Planted(stage._validator.validate_slow, {5}, ValueError))
    made = stage([Record(line(number), offset=number) for number in range(10)])
    assert [(one.offset, one.valid) for one in made] == [(number, number != 5) for number in range(10)]


def test_a_bug_is_logged_once_for_each_kind(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        stage = planted("add_defaults", set(range(10)), ZeroDivisionError, patch)
        stage([Record(line(number)) for number in range(10)])
    assert capsys.readouterr().out.count("a record meets a bug") == 1


@given(st.sets(st.integers(0, 9)), st.sampled_from(BUGS))
def test_decoding_goes_on_behind_a_bug(chosen: set[int], bug: type[Exception]) -> None:
    records = [Record(line(number), offset=number) for number in range(10)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decode, "read_object", Planted(decode.read_object, chosen, bug))
        made = DecodeStage(Counters())(records)
    assert [(one.offset, one.valid) for one in made] == [(number, number not in chosen) for number in range(10)]
    assert all(record.event is None for record in records), "the records that were given are as they were"
