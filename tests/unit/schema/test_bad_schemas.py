# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""A schema that cannot be used: its events are invalid, all others go on, and it is looked at again."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from elworkers.core.budget import Budget
from elworkers.core.contracts import Record
from elworkers.core.errors import EventTimeout, InvalidEventError, InvalidSchemaError, RetryableError
from elworkers.core.metrics import Counters
from elworkers.events.parse import compile_format
from elworkers.schema.compile import CompiledSchema
from elworkers.schema.store import SchemaStore
from elworkers.schema.validate import Validator
from elworkers.stages.process import ProcessStage

FINE = {"properties": {"a": {"type": "integer"}}}
DRAFT_4 = "http://json-schema.org/draft-04/schema#"


def write(folder: Path, name: str, schema: Any, revision: int = 1) -> Path:
    """A schema file."""
    path = folder / name / f"{revision}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(schema if isinstance(schema, str) else json.dumps(schema), encoding="utf-8")
    return path


def line(schema: str, event: Any, revision: int = 1) -> Record:
    """A capsule as a forwarder has it."""
    capsule = {"schema": schema, "revision": revision, "wiki": "w", "recvFrom": "h", "timestamp": 1, "event": event}
    return Record(json.dumps(capsule).encode())


def stage_on(store: SchemaStore, metrics: Counters, seconds: float = 5.0) -> ProcessStage:
    """The processor's stage on lines of JSON alone."""
    return ProcessStage(compile_format("%j"), Validator(store), metrics, Budget(seconds))


def said(made: Record) -> tuple[str, str]:
    """Code and message of an EventError."""
    assert not made.valid
    assert made.event is not None
    return made.event["event"]["code"], made.event["event"]["message"]


@pytest.mark.parametrize(
    ("schema", "event", "why"),
    [
        ({"properties": {"a": {"type": "timestamp"}}}, {"a": 1}, "there is no type 'timestamp'"),
        (
            {"properties": {"o": {"type": "object", "patternProperties": {"^(x": {}}}}},
            {"o": {"y": 1}},
            "'^(x' is no regular",
        ),
        ({"$schema": DRAFT_4, "properties": {"a": {"$ref": "#/x/y"}}, "x": {"y": {"type": "no"}}}, {"a": 1}, "no"),
        ({"$schema": DRAFT_4, "properties": {"a": {"$ref": "#/x"}}, "x": {"pattern": "("}}, {"a": "s"}, "unterminated"),
        ({"properties": {"a": {"$ref": "#/x"}}, "x": {"minimum": "5"}}, {"a": 1}, "TypeError"),
        ({"properties": {"a": {"$ref": "#/x"}}, "x": {"properties": 5}}, {"a": {}}, "AttributeError"),
        ({"properties": {"a": {"$ref": "#/properties/a"}}}, {"a": 1}, "RecursionError"),
        ({"properties": {"a": {"$ref": "http://other/"}}}, {"a": 1}, "leads out of the schema"),
        ({"properties": {"a": {"$ref": "http://[/"}}}, {"a": 1}, ""),
        ({"type": 5}, {}, "type"),
        ({"$schema": "http://json-schema.org/draft-9/schema#"}, {}, "the nearest is http://json-schema.org/draft-0"),
        ({"$schema": 7}, {}, "$schema 7 is no draft"),
    ],
)
def test_a_schema_that_makes_its_validator_fail(tmp_path: Path, schema: Any, event: Any, why: str) -> None:
    write(tmp_path, "Fine", FINE)
    write(tmp_path, "Bad", schema)
    metrics = Counters()
    stage = stage_on(SchemaStore([str(tmp_path)], metrics=metrics), metrics)
    with structlog.testing.capture_logs() as logs:
        made = [one for _ in range(2) for one in stage([line("Fine", {"a": 1}), line("Bad", event), line("Fine", {})])]
    assert [one.valid for one in made] == [True, False, True] * 2
    code, message = said(made[1])
    assert code == "validation"
    assert message.startswith("the schema Bad of revision 1 is itself invalid: ")
    assert why in message
    assert said(made[4]) == (code, message)
    assert [one["schema"] for one in logs] == ["Bad"]
    assert metrics.aside == {"schema Bad/1": message}


def directory(path: Path) -> None:
    """A folder where the file should be."""
    path.unlink()
    path.mkdir()


def pipe(path: Path) -> None:
    """A pipe that nobody writes into."""
    path.unlink()
    os.mkfifo(path)


def loop(path: Path) -> None:
    """A link to itself."""
    path.unlink()
    path.symlink_to(path)


def written(data: bytes) -> Callable[[Path], None]:
    """A file of these bytes."""

    def write_bytes(path: Path) -> None:
        path.write_bytes(data)

    return write_bytes


@pytest.mark.parametrize(
    "spoil",
    [directory, pipe, loop, *map(written, [b"\xff\xfe", b"", b"[]", b'{"a":', b"[" * 90_000, b" " * 5_000_000])],
)
def test_what_is_no_schema_file_concerns_this_schema_alone(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    now = [0.0]
    write(tmp_path, "Fine", FINE)
    path = write(tmp_path, "Bad", FINE)
    spoil(path)
    metrics = Counters()
    store = SchemaStore([str(tmp_path)], clock=lambda: now[0], metrics=metrics)
    stage = stage_on(store, metrics)
    made = stage([line("Fine", {}), line("Bad", {}), line("Fine", {})])
    assert [one.valid for one in made] == [True, False, True]
    code, message = said(made[1])
    assert code == "validation"
    assert "schema Bad of revision 1 " in message or str(path) in message
    assert metrics.aside == {"schema Bad/1": message}
    path.rmdir() if path.is_dir() else path.unlink()
    write(tmp_path, "Bad", FINE)
    assert [one.valid for one in stage([line("Bad", {})])] == [False]
    now[0] = 61.0
    assert [one.valid for one in stage([line("Bad", {})])] == [True]
    assert metrics.aside == {}


def outcome(validator: Callable[[], None]) -> str | None:
    """Whose fault it is, by its message; any other exception is one of the test."""
    try:
        validator()
    except InvalidSchemaError as error:
        return "schema" if "schema" in error.message and error.code == "validation" else error.message
    except InvalidEventError as error:
        return "event" if error.message.startswith("event") and error.code == "validation" else error.message
    return None


YAML = [
    "a: !!python/object:x.y {}",
    "? {a: 1}\n: 2",
    "a: 2001-99-99",
    "a: &a [*a",
    "!!binary x",
    "- 1",
    "a: 1e",
    "\t",
    "{a: [}",
]


@given(st.binary(max_size=60) | st.sampled_from(YAML).map(str.encode), st.sampled_from(["json", "yaml"]))
def test_any_file_is_a_schema_or_an_invalid_one(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, end: str
) -> None:
    folder = tmp_path_factory.mktemp("schemas")
    write(folder, "Any", "").unlink()
    (folder / "Any" / f"1.{end}").write_bytes(data)
    validator = Validator(SchemaStore([str(folder)]))
    capsule = json.loads(line("Any", {"a": 1}).value) | {"uuid": "0" * 32}
    assert outcome(lambda: validator.validate(capsule)) in (None, "schema", "event")


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 2)
    | st.floats()
    | st.sampled_from(["string", "(", "#", "any", "http://[", "x"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "properties", "patternProperties", "$ref", "pattern", "items", "extends", "a", "id", "$id"]
            )
            | st.sampled_from(
                ["enum", "minimum", "divisibleBy", "multipleOf", "dependencies", "allOf", "not", "$schema", "if"]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=12,
)


@given(JSON, st.sampled_from([None, DRAFT_4, "https://json-schema.org/draft/2020-12/schema"]), JSON)
def test_any_schema_validates_or_is_itself_invalid(schema: Any, draft: str | None, value: Any) -> None:
    source = {"properties": {"a": {"$ref": "#/x"}, "b": schema}, "x": schema, **({"$schema": draft} if draft else {})}
    found = outcome(lambda: CompiledSchema("X", 1, source).validate({"a": value, "b": value}, "event"))
    assert found in (None, "schema", "event")


def test_a_number_that_cannot_be_validated_leaves_its_schema_alone(tmp_path: Path) -> None:
    write(tmp_path, "Hundredths", {"$schema": DRAFT_4, "properties": {"a": {"multipleOf": 0.01}}})
    metrics = Counters()
    stage = stage_on(SchemaStore([str(tmp_path)], metrics=metrics), metrics)
    made = stage([line("Hundredths", {"a": 1}), line("Hundredths", {"a": 10**400}), line("Hundredths", {"a": 2})])
    assert [one.valid for one in made] == [True, False, True]
    assert "event: a number cannot be validated" in said(made[1])[1]
    assert metrics.aside == {}


def test_a_schema_that_takes_too_long_to_compile_is_asked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "Slow", FINE)
    store = SchemaStore([str(tmp_path)])
    with monkeypatch.context() as slow:
        slow.setattr(CompiledSchema, "_class", lambda *_: (_ for _ in ()).throw(EventTimeout))
        with pytest.raises(EventTimeout):
            store.schema("Slow", 1)
    with pytest.raises(InvalidSchemaError, match="takes too long"):
        store.schema("Slow", 1)


def test_a_schema_that_nobody_asks_for_is_not_named_for_ever(tmp_path: Path) -> None:
    now = [0.0]
    metrics = Counters()
    write(tmp_path, "Bad", {"type": 5})
    write(tmp_path, "Fine", FINE)
    stage = stage_on(SchemaStore([str(tmp_path)], clock=lambda: now[0], metrics=metrics), metrics)
    for now[0] in (0.0, 500.0, 1_000.0):
        stage([line("Bad", {}), line("Fine", {})])
    now[0] = 1_500.0
    stage([line("Fine", {})])
    assert list(metrics.aside) == ["schema Bad/1"]
    now[0] = 1_700.0
    stage([line("Fine", {})])
    assert metrics.aside == {}


def test_a_folder_that_cannot_be_read_at_all_is_away(tmp_path: Path) -> None:
    (tmp_path / "schemas").symlink_to(tmp_path / "schemas")
    with pytest.raises(RetryableError, match="schema file"):
        SchemaStore([str(tmp_path / "schemas")]).schema("Edit", 1)


INVENTED = """
import gc, sys, tracemalloc
from elworkers.core.errors import InvalidEventError
from elworkers.schema.store import SchemaStore

def held(name):
    for number in range(1, 10_000):
        try:
            store.schema(name % number if "%" in name else name, number)
        except InvalidEventError:
            continue
        raise SystemExit("found")
    gc.collect()
    return tracemalloc.get_traced_memory()[0]

store = SchemaStore([sys.argv[1]])
tracemalloc.start()
print(held("Invented%d"), held("Invented"))
"""


def test_invented_names_and_revisions_leave_memory_where_it_was(tmp_path: Path) -> None:
    # In a process of its own: what other tests have left there allocates as well.
    command = [sys.executable, "-c", INVENTED, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    before, after = map(int, done.stdout.split())
    assert after < before + 100_000


def test_a_schema_that_nobody_has_is_remembered_without_the_batch_it_came_in(tmp_path: Path) -> None:
    stage = stage_on(SchemaStore([str(tmp_path)]), Counters())
    stage([line("Invented", {})])
    tracemalloc.start()
    before = _traced_bytes()
    for number in range(100):
        stage([line(f"Invented{number}", {}), Record(b"x" * 100_000)])
    after = _traced_bytes()
    tracemalloc.stop()
    assert after < before + 1_000_000


def _traced_bytes() -> int:
    """Bytes that Python holds of what was made since `tracemalloc.start`, without garbage."""
    # In a large process the collector comes by late.
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


def test_schemas_that_were_used_are_kept_before_others_and_all_forget_one_at_once(tmp_path: Path) -> None:
    store = SchemaStore([str(tmp_path)], most=10)
    stage = stage_on(store, Counters())
    write(tmp_path, "Used", FINE)
    used = [line("Used", {"a": 1})]
    stage(used)
    first = store.schema("Used", 1)
    for revision in range(1, 100):
        write(tmp_path, "Many", FINE, revision)
        assert [one.valid for one in stage([line("Many", {}, revision), *used])] == [True, True]
    assert store.schema("Used", 1) is first
    validator = stage._validator
    assert len(store._cached) <= 10
    assert set(validator._fast) == set(validator._cached) <= set(store._cached)
    assert {(one.name, one.revision) for one in validator._latest.values()} <= set(store._cached)
    assert validator._latest["Used"].schema is first
