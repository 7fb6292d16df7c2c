"""The processor's stage on whatever comes: recorded lines, hostile lines, any bytes."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elworkers.contracts import Origin, Record
from elworkers.errors import RetryableError
from elworkers.runtime.budget import Budget
from elworkers.runtime.metrics import Counters
from elworkers.stages.parse import compile_format
from elworkers.stages.process import ProcessStage
from elworkers.stages.schemas import SchemaStore
from elworkers.stages.validate import Validator

DEMO = Path(__file__).parent.parent.parent.parent / "demo"
CLIENT_SIDE = "%q %{recvFrom}s %{seqId}d %t %o %{userAgent}i"
SERVER_SIDE = "%{seqId}d EventLogging %j"
VALIDATOR = Validator(SchemaStore([str(DEMO / "schemas")]))
STAGES = {
    text: ProcessStage(compile_format(text), VALIDATOR, Counters(), Budget(1.0))
    for text in (CLIENT_SIDE, SERVER_SIDE, "%j", "%q %u %{x}d %D %h")
}
BROKERS_LIMIT = 1_048_576


@pytest.mark.parametrize(
    ("file", "text", "before"),
    [("client-side-lines.txt.gz", CLIENT_SIDE, b""), ("server-side-lines.txt.gz", SERVER_SIDE, b"%d\t")],
)
def test_every_recorded_line_gets_the_verdict_that_was_recorded(file: str, text: str, before: bytes) -> None:
    expected = json.loads((DEMO / "expected.json").read_text(encoding="utf-8"))[file]
    lines = gzip.decompress((DEMO / file).read_bytes()).splitlines()
    records = [Record((before % number if before else b"") + line) for number, line in enumerate(lines)]
    made = STAGES[text](records)
    assert len(made) == expected["lines"]
    assert Counter(one.event["schema"] for one in made if one.valid and one.event) == expected["valid"]
    assert sum(not one.valid for one in made) == sum(expected["invalid"].values())


def check(text: str, line: bytes) -> list[Record]:
    """Nothing, an event, or an EventError that is one."""
    made = STAGES[text]([Record(line, origin=Origin("t", 0), offset=5, timestamp_ms=1_469_795_696_000)])
    assert len(made) == (1 if line.strip() else 0)
    for one in made:
        capsule = json.loads(one.value.decode("utf-8"))
        VALIDATOR.validate(capsule)
        assert one.valid == (capsule["schema"] != "EventError")
        assert len(one.value) < BROKERS_LIMIT
    return made


@given(st.sampled_from(sorted(STAGES)), st.binary(max_size=300))
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


def test_a_batch_is_not_changed_by_a_schema_that_cannot_be_had() -> None:
    class Away:
        def fetch(self, name: str, revision: int) -> None:
            raise RetryableError("the wiki is away")

    store = SchemaStore([])
    store._repositories.append(Away())
    stage = ProcessStage(compile_format("%j"), Validator(store), Counters(), Budget(1.0))
    records = [Record(b'{"schema":"X","revision":1,"event":{},"wiki":"w","recvFrom":"h","timestamp":1}'), Record(b"{")]
    before = [(record.value, record.event) for record in records]
    with pytest.raises(RetryableError):
        stage(records)
    assert [(record.value, record.event) for record in records] == before
