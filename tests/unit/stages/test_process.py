# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""The processor's stage on whatever comes: recorded lines, hostile lines, any bytes."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from collections import Counter
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elworkers.core.budget import Budget
from elworkers.core.contracts import Assignment, Record
from elworkers.core.errors import InvalidEventError, RetryableError
from elworkers.core.event_retention import EventRetention
from elworkers.core.metrics import Counters
from elworkers.events.capsule import add_defaults, correct_empty
from elworkers.events.event_error import event_error
from elworkers.events.json_text import to_bytes
from elworkers.events.parse import compile_format
from elworkers.schema.store import SchemaStore
from elworkers.schema.validate import Validator
from elworkers.stages import process
from elworkers.stages.process import ProcessStage

DEMO = Path(__file__).parent.parent.parent.parent / "demo"
CLIENT_SIDE = "%q %{recvFrom}s %{seqId}d %t %o %{userAgent}i"
PARSED_AGENT = "%q %{recvFrom}s %{seqId}d %t %o %u"
SERVER_SIDE = "%{seqId}d EventLogging %j"
VALIDATOR = Validator(SchemaStore([str(DEMO / "schemas")]))
FORMATS = sorted((CLIENT_SIDE, PARSED_AGENT, SERVER_SIDE, "%j", "%q %u %{x}d %D %h"))
BROKERS_LIMIT = 1_048_576


def stage_of(text: str) -> ProcessStage:
    """A stage for lines of a format."""
    return ProcessStage(compile_format(text), VALIDATOR, Counters(), Budget(1.0))


@pytest.mark.parametrize(
    ("file", "text", "before"),
    [("client-side-lines.txt.gz", CLIENT_SIDE, b""), ("server-side-lines.txt.gz", SERVER_SIDE, b"%d\t")],
)
def test_every_recorded_line_gets_the_verdict_that_was_recorded(file: str, text: str, before: bytes) -> None:
    expected = json.loads((DEMO / "expected.json").read_text(encoding="utf-8"))[file]
    lines = gzip.decompress((DEMO / file).read_bytes()).splitlines()
    records = [Record((before % number if before else b"") + line) for number, line in enumerate(lines)]
    made = stage_of(text)(records)
    assert len(made) == expected["lines"]
    assert Counter(one.event["schema"] for one in made if one.valid and one.event) == expected["valid"]
    assert sum(not one.valid for one in made) == sum(expected["invalid"].values())


def slow_path(text: str, record: Record) -> Record | None:
    """What the record becomes without the fast path."""
    if not record.value.strip():
        return None
    event = None
    try:
        event = compile_format(text)(record.value)
        add_defaults(event, record.timestamp_ms, "%q" in text)
        correct_empty(event)
        VALIDATOR.validate(event)
        return record.staged(to_bytes(event), event)
    except InvalidEventError as error:
        return event_error(record, error, event)


def same_as_slow_path(text: str, lines: list[bytes]) -> None:
    """The stage's verdicts, events and messages are those of the slow way, with the fields in the same order."""
    records = [
        Record(line, origin=Assignment("t", 0), offset=at, timestamp_ms=1_469_795_696_000)
        for at, line in enumerate(lines)
    ]
    with patch("elworkers.events.event_error.time.time", return_value=1_469_795_700.0):
        wanted = [one for record in records if (one := slow_path(text, record)) is not None]
        found = stage_of(text)(records)
    for made, other in zip(found, wanted, strict=True):
        assert made.valid == other.valid
        assert json.dumps(made.event) == json.dumps(other.event)
        assert json.dumps(json.loads(made.value)) == json.dumps(json.loads(other.value))


@pytest.mark.parametrize(
    ("file", "text", "before", "slow"),
    [
        ("client-side-lines.txt.gz", CLIENT_SIDE, b"", {"first": 7, "refused": 79, "line": 26}),
        ("client-side-lines.txt.gz", PARSED_AGENT, b"", {"first": 7, "refused": 79, "line": 26}),
        ("server-side-lines.txt.gz", SERVER_SIDE, b"7\t", {"first": 2, "refused": 5}),
    ],
)
def test_recorded_lines_become_what_they_become_without_the_fast_path(
    file: str, text: str, before: bytes, slow: dict[str, int]
) -> None:
    lines = [before + line for line in gzip.decompress((DEMO / file).read_bytes()).splitlines()[::4]]
    same_as_slow_path(text, lines)
    # All others took the fast path, so that it is the fast path that was compared.
    assert counted(lines, text) == slow


@given(st.sampled_from(FORMATS), st.binary(max_size=300))
def test_any_bytes_become_what_they_become_without_the_fast_path(text: str, line: bytes) -> None:
    same_as_slow_path(text, [line])


def check(text: str, line: bytes) -> list[Record]:
    """Nothing, an event, or an EventError that is one."""
    made = stage_of(text)([Record(line, origin=Assignment("t", 0), offset=5, timestamp_ms=1_469_795_696_000)])
    assert len(made) == (1 if line.strip() else 0)
    for one in made:
        capsule = json.loads(one.value.decode("utf-8"))
        VALIDATOR.validate(capsule)
        assert one.valid == (capsule["schema"] != "EventError")
        assert len(one.value) < BROKERS_LIMIT
    return made


@given(st.sampled_from(FORMATS), st.binary(max_size=300))
def test_any_bytes(text: str, line: bytes) -> None:
    check(text, line)


LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=9), inner, max_size=2),
    max_leaves=4,
)
CAPSULES = st.fixed_dictionaries(
    {},
    optional={
        "event": VALUES,
        "schema": st.sampled_from(["EchoMail", "EventError", "EventCapsule", "No"]) | VALUES,
        "revision": st.sampled_from([5467650, 14035058, 1]) | VALUES,
        "wiki": VALUES,
        "recvFrom": VALUES,
        "uuid": VALUES,
        "timestamp": VALUES,
        "dt": VALUES,
        "seqId": VALUES,
        "webHost": VALUES,
        "userAgent": VALUES,
        "clientIp": VALUES,
    },
)


@given(st.sampled_from(["%j", SERVER_SIDE]), CAPSULES)
def test_any_capsule(text: str, capsule: dict[str, Any]) -> None:
    line = json.dumps(capsule).encode()
    same_as_slow_path(text, [line if text == "%j" else b"3 EventLogging " + line])
    check(text, line if text == "%j" else b"3 EventLogging " + line)


@pytest.mark.parametrize(
    "event",
    [
        b'"' + b"x" * 1_000_000 + b'"',
        b"[" * 10_000 + b"]" * 10_000,
        b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
        "ж".encode() * 500_000,
        b"\xff" * 1_000_000,
        b"%22" * 300_000,
    ],
)
def test_a_huge_line_becomes_an_event_error_that_a_broker_takes(event: bytes) -> None:
    line = b'1 EventLogging {"schema": "EchoMail", "revision": 5467650, "wiki": "w", "recvFrom": "h", "event": '
    (made,) = check(SERVER_SIDE, line + event + b"}")
    assert not made.valid
    assert made.event is not None
    assert (made.event["event"]["schema"], made.event["event"]["revision"]) == ("EchoMail", 5467650)


def test_a_number_too_large_for_a_double_is_invalid() -> None:
    capsule = b'{"schema":"SaveTiming","revision":15396492,"wiki":"w","recvFrom":"h","event":{},"timestamp":1e999}'
    (made,) = check("%j", capsule)
    assert not made.valid


def test_a_repeated_read_makes_the_same_event_error() -> None:
    first, second = (check("%j", b"no json") for _ in range(2))
    assert first[0].value == second[0].value


class Away:
    """A wiki that does not answer."""

    def fetch(self, name: str, revision: int) -> None:
        """As `schemas.Repository`."""
        raise RetryableError("the wiki is away")


UNKNOWN = b'{"schema":"X","revision":1,"event":{},"wiki":"w","recvFrom":"h","timestamp":1}'


def test_a_batch_is_not_changed_by_a_schema_that_cannot_be_had() -> None:
    store = SchemaStore([])
    store._repositories.append(Away())
    stage = ProcessStage(compile_format("%j"), Validator(store), Counters(), Budget(1.0))
    records = [Record(UNKNOWN), Record(b"{")]
    before = [(record.value, record.event) for record in records]
    with pytest.raises(RetryableError):
        stage(records)
    assert [(record.value, record.event) for record in records] == before


def counted(lines: list[bytes], text: str = "%j") -> dict[str, int]:
    """Why events were done the slow way, and how many."""
    metrics = Counters()
    stage = ProcessStage(compile_format(text), Validator(SchemaStore([str(DEMO / "schemas")])), metrics, Budget(1.0))
    stage([Record(line, timestamp_ms=1_469_795_696_000) for line in lines])
    return {labels[0][1]: number for (name, labels), number in metrics.totals.items() if name == "events_slow"}


def save_timing(event: str, more: str = "") -> bytes:
    """A capsule of a real schema, by its event's JSON."""
    return f'{{"event":{event},"schema":"SaveTiming","revision":15396492,"wiki":"w","recvFrom":"h"{more}}}'.encode()


def test_events_that_take_the_slow_path_are_counted() -> None:
    good = save_timing('{"saveTiming":1,"mediaWikiVersion":"1"}')
    assert counted([good] * 5) == {"first": 1}
    assert counted([good, b"no json", save_timing('{"saveTiming":"x"}')]) == {"first": 1, "line": 1, "refused": 1}
    # Read as a double, and given to the other validator as what it is.
    large = save_timing('{"saveTiming":1,"mediaWikiVersion":"1"}', ',"seqId":99999999999999999999')
    assert counted([good, large]) == {"first": 1, "line": 1}
    # A time that the fast validator leaves to the other, which accepts it.
    assert counted([good, save_timing('{"saveTiming":1,"mediaWikiVersion":"1"}', ',"timestamp":1e19')]) == {
        "first": 1,
        "disputed": 1,
    }


def test_a_schema_outside_the_allow_list_is_counted(tmp_path: Path) -> None:
    (tmp_path / "P").mkdir()
    (tmp_path / "P" / "1.json").write_text('{"properties": {"a": {"pattern": "^x"}}}', encoding="utf-8")
    metrics = Counters()
    stage = ProcessStage(compile_format("%j"), Validator(SchemaStore([str(tmp_path)])), metrics, Budget(1.0))
    line = b'{"event":{"a":"xy"},"schema":"P","revision":1,"wiki":"w","recvFrom":"h","timestamp":1}'
    made = stage([Record(line)] * 3)
    assert [one.valid for one in made] == [True] * 3
    assert metrics.totals["events_slow", (("reason", "schema"),)] == 2


VALID = save_timing('{"saveTiming":1,"mediaWikiVersion":"1"}', ',"timestamp":1')
LEAVES_FAST_PATH = {
    "line": (b"no json", {"read", "parse"}),
    "first": (VALID, {"read", "validate_fast", "validate_slow", "dumps"}),
    "schema": (
        b'{"event":{"a":"xy"},"schema":"P","revision":1,"wiki":"w","recvFrom":"h","timestamp":1}',
        {"read", "validate_fast", "validate_slow", "dumps"},
    ),
    "refused": (save_timing('{"saveTiming":"x"}'), {"read", "validate_fast", "validate_slow"}),
    "disputed": (
        VALID.replace(b'"timestamp":1', b'"timestamp":1e19'),
        {"read", "validate_fast", "validate_slow", "dumps"},
    ),
}


def stage_of_steps(schemas: Path, metrics: Counters, taken: set[str], patch: pytest.MonkeyPatch) -> ProcessStage:
    """A stage that writes down which of its steps are taken."""
    (schemas / "P").mkdir()
    (schemas / "P" / "1.json").write_text('{"properties": {"a": {"pattern": "^x"}}}', encoding="utf-8")
    validator = Validator(SchemaStore([str(schemas), str(DEMO / "schemas")]))
    stage = ProcessStage(compile_format("%j"), validator, metrics, Budget(1.0))
    steps: list[tuple[Any, str]] = [
        (stage._fast_parser, "read"),
        (stage, "_parse"),
        *((validator, name) for name in ("validate_fast", "validate_slow", "validate")),
        *((process, name) for name in ("dumps", "to_bytes")),
    ]
    for owner, name in steps:
        step = getattr(owner, name)

        def noted(*given: Any, name: str = name, step: Any = step) -> Any:
            taken.add(name.lstrip("_"))
            return step(*given)

        patch.setattr(owner, name, noted)
    return stage


@pytest.mark.parametrize("reason", sorted(LEAVES_FAST_PATH))
def test_each_reason_of_the_table_has_its_path(reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    line, expected = LEAVES_FAST_PATH[reason]
    metrics, taken = Counters(), set[str]()
    stage = stage_of_steps(tmp_path, metrics, taken, monkeypatch)
    if reason != "first":
        # What is of a schema that was seen before.
        stage([Record(VALID), Record(LEAVES_FAST_PATH["schema"][0])])
    taken.clear()
    before = metrics.totals.get(("events_slow", (("reason", reason),)), 0)
    stage([Record(line)])
    assert taken == expected
    assert metrics.totals["events_slow", (("reason", reason),)] == before + 1
    assert f"`{reason}`" in (process.__doc__ or "")


def test_an_event_on_the_fast_path_takes_no_slow_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    metrics, taken = Counters(), set[str]()
    stage = stage_of_steps(tmp_path, metrics, taken, monkeypatch)
    stage([Record(VALID)])
    slow = metrics.summary()["events_slow"]
    taken.clear()
    assert [one.valid for one in stage([Record(VALID)] * 3)] == [True] * 3
    assert taken == {"read", "validate_fast", "dumps"}
    assert metrics.summary()["events_slow"] == slow


def test_a_line_that_was_not_read_exactly_begins_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    metrics, taken = Counters(), set[str]()
    stage = stage_of_steps(tmp_path, metrics, taken, monkeypatch)
    stage([Record(VALID.replace(b'"timestamp":1', b'"timestamp":99999999999999999999'))])
    assert taken == {"read", "validate_fast", "parse", "validate", "to_bytes"}
    assert metrics.totals["events_slow", (("reason", "line"),)] == 1


def test_valid_records_hold_what_their_pipeline_needs() -> None:
    lines = [Record(save_timing('{"saveTiming":1,"mediaWikiVersion":"1"}'), timestamp_ms=1)] * 2
    validator = Validator(SchemaStore([str(DEMO / "schemas")]))
    for retention in EventRetention:
        metrics = Counters()
        stage = ProcessStage(compile_format("%j"), validator, metrics, Budget(1.0), retention)
        stage(lines)
        slow = metrics.summary().get("events_slow")
        (made, _) = stage(lines)
        assert metrics.summary().get("events_slow") == slow
        whole = json.loads(made.value)
        assert whole["wiki"] == "w"
        routing_fields = {"schema": "SaveTiming", "revision": 15396492}
        assert made.event == (routing_fields if retention is EventRetention.ROUTING_FIELDS else whole)


def test_a_batch_that_comes_again_is_counted_once(tmp_path: Path) -> None:
    store = SchemaStore([str(tmp_path)])
    store._repositories.append(Away())
    metrics = Counters()
    stage = ProcessStage(compile_format("%j"), Validator(store), metrics, Budget(1.0))
    records = [Record(b"{"), Record(UNKNOWN)]
    with pytest.raises(RetryableError):
        stage(records)
    del store._repositories[-1]
    stage(records)
    assert metrics.summary()["events_invalid"] == 2


def test_revisions_of_a_schema_that_come_in_turns_are_each_validated_by_their_own(tmp_path: Path) -> None:
    (tmp_path / "P").mkdir()
    for revision, kind in ((1, "string"), (2, "integer")):
        (tmp_path / "P" / f"{revision}.json").write_text(json.dumps({"properties": {"a": {"type": kind}}}))
    metrics = Counters()
    stage = ProcessStage(compile_format("%j"), Validator(SchemaStore([str(tmp_path)])), metrics, Budget(1.0))
    line = '{"event":{"a":%s},"schema":"P","revision":%d,"wiki":"w","recvFrom":"h","timestamp":1}'
    turns = [Record((line % (value, revision)).encode()) for value, revision in (('"x"', 1), ("5", 2), ("5", 1))]
    for _ in range(2):
        assert [one.valid for one in stage(turns)] == [True, True, False]
    assert metrics.totals["events_valid", (("schema", "P"),)] == 4
    assert metrics.totals["events_slow", (("reason", "first"),)] == 2


def test_an_event_that_goes_on_holds_little_more_memory_than_its_bytes() -> None:
    stage = ProcessStage(
        compile_format("%j"),
        Validator(SchemaStore([str(DEMO / "schemas")])),
        Counters(),
        Budget(1.0),
        EventRetention.ROUTING_FIELDS,
    )
    lines = [Record(save_timing('{"saveTiming":1,"mediaWikiVersion":"%s"}' % ("v" * 700)), timestamp_ms=1)] * 100
    stage(lines)
    tracemalloc.start()
    made = stage(lines)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 1.5 * sum(len(one.value) for one in made)
