# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Which table a schema gets, and that nothing is lost on the way into it; on a real MariaDB and on SQLite."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from databases import Place, Schema
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from elworkers.config.uris import parse
from elworkers.connectors.sql.sink import SqlSink
from elworkers.core.contracts import Record
from elworkers.core.errors import InvalidEventError, RetryableError


def stored(sink: SqlSink, *records: Record) -> list[str]:
    """What the store refused of these records."""
    sink.write(records)
    refused = [refusal.message for refusal in sink.flush()]
    sink.commit_transaction({})
    return refused


def sink_of(place: Place, schemas: Mapping[str, Schema]) -> SqlSink:
    """A sink that knows these schemas alone."""

    def look(name: str, revision: int) -> Schema:
        if name not in schemas:
            raise InvalidEventError(f"there is no schema {name} of revision {revision}")
        return schemas[name]

    made = SqlSink(parse(place.uri), schemas=look, metrics=place.metrics, local_infile=place.local_infile)
    place._open.append(made)
    return made


def owned(place: Place) -> dict[str, str]:
    """Schema → its table's name in lower case, of this test's schemas."""
    with place._engine.connect() as connection:
        found = connection.execute(sqlalchemy.text("SELECT schema_name, table_name FROM eventlogging_tables"))
        owners = {schema: table.lower() for schema, table in found if schema.lower().startswith(place.name.lower())}
        connection.rollback()
    return owners


@pytest.mark.parametrize("one_batch", [True, False])
@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_names_that_meet_are_never_mixed(place: Place, order: tuple[int, ...], one_batch: bool) -> None:
    schemas = {f"{place.name}{ending}": {"properties": {"a": {"type": "string"}}} for ending in ("_B", ".B", "/B")}
    names = list(schemas)
    records = [place.record(number, {"a": names[number]}, schema=names[number]) for number in order]
    sink = sink_of(place, schemas)
    for batch in [records] if one_batch else [[record] for record in records]:
        assert stored(sink, *batch) == []
    tables = owned(place)
    assert tables[names[0]] == f"{place.name}_B_1".lower()
    assert len(set(tables.values())) == 3
    # And the next one decides alike.
    again = [place.record(10 + number, {"a": names[number]}, schema=names[number]) for number in reversed(order)]
    assert stored(sink_of(place, schemas), *again) == []
    assert owned(place) == tables
    for name in names:
        with place._engine.connect() as connection:
            held = connection.execute(sqlalchemy.text(f"SELECT event_a FROM {tables_name(connection, tables[name])}"))  # noqa: S608
            assert {row[0] for row in held} == {name}
            connection.rollback()


def tables_name(connection: sqlalchemy.Connection, lower: str) -> str:
    """A table's name as it is written."""
    return next(name for name in sqlalchemy.inspect(connection).get_table_names() if name.lower() == lower)


def test_a_table_of_an_earlier_version_stays_with_the_only_schema_it_can_be_of(place: Place) -> None:
    schema = {"properties": {"a": {"type": "string"}}}
    place.do(f"CREATE TABLE {place.name}_B_1 (id INTEGER PRIMARY KEY, uuid CHAR(32) UNIQUE, event_a VARCHAR(99))")
    stored(sink_of(place, {f"{place.name}.B": schema}))
    name = f"{place.name}.B"
    stored(sink_of(place, {name: schema}), place.record(1, {"a": "x"}, schema=name))
    assert owned(place) == {name: f"{place.name}_B_1".lower()}


def test_names_that_differ_in_case_alone_are_tables_of_their_own(maria: Place) -> None:
    schemas = {f"{maria.name}{ending}": {"properties": {"a": {"type": "string"}}} for ending in ("Edit", "EDIT")}
    records = [maria.record(number, {"a": name}, schema=name) for number, name in enumerate(schemas)]
    assert stored(sink_of(maria, schemas), *records) == []
    with maria._engine.connect() as connection:
        made = {name for name in sqlalchemy.inspect(connection).get_table_names() if name.startswith(maria.name)}
        connection.rollback()
    assert made == {f"{name}_1" for name in schemas}


def test_two_consumers_agree_whose_a_table_is(place: Place) -> None:
    schemas = {f"{place.name}{ending}": {"properties": {"a": {"type": "string"}}} for ending in (".B", "/B")}
    sinks = [sink_of(place, schemas) for _ in schemas]
    both = threading.Barrier(2)
    failed: list[Any] = []

    def work(sink: SqlSink, number: int, name: str) -> None:
        both.wait(30)
        failed.extend(stored(sink, place.record(number, {"a": name}, schema=name)))

    workers = [
        threading.Thread(target=work, args=(sink, number, name))
        for number, (sink, name) in enumerate(zip(sinks, schemas, strict=True))
    ]
    if "sqlite" in place.uri:
        for worker, (number, name) in zip(sinks, enumerate(schemas), strict=True):
            failed += stored(worker, place.record(number, {"a": name}, schema=name))
    else:
        for worker_thread in workers:
            worker_thread.start()
        for worker_thread in workers:
            worker_thread.join()
    assert failed == []
    assert len(set(owned(place).values())) == 2


OPEN = [
    {"additionalProperties": True},
    {"patternProperties": {"^x_": {"type": "string"}}},
    {"allOf": [{"properties": {"x_1": {"type": "string"}}}]},
    {"$ref": "#/definitions/inner"},
    {"anyOf": [{}]},
]


@pytest.mark.parametrize("more", OPEN)
def test_what_has_no_column_is_kept_as_json(place: Place, more: Schema) -> None:
    sink = sink_of(place, {place.name: {"properties": {"a": {"type": "string"}}, **more}})
    assert stored(sink, place.record(1, {"a": "x", "x_1": "жук", "o": {"b": [1]}}), place.record(2, {"a": "y"})) == []
    first, second = place.rows()
    assert json.loads(first["event_rest"]) == {"x_1": "жук", "o": {"b": [1]}}
    assert (second["event_a"], second["event_rest"]) == ("y", None)


def test_an_open_object_inside_and_a_union_keep_what_has_no_column(place: Place) -> None:
    inner = {"type": "object", "properties": {"id": {"type": "integer"}}}
    schema = {"properties": {"page": inner, "either": {**inner, "type": ["object", "string"]}}}
    event = {"page": {"id": 1, "title": "T"}, "either": "text"}
    assert stored(sink_of(place, {place.name: schema}), place.record(1, event)) == []
    (row,) = place.rows()
    assert row["event_page_id"] == 1
    assert json.loads(row["event_rest"]) == {"page": {"title": "T"}, "either": "text"}


def test_a_schema_that_lets_nothing_more_in_gets_no_column_for_it(place: Place) -> None:
    inner = {"type": "object", "properties": {"id": {"type": "integer"}}, "additionalProperties": False}
    stored(sink_of(place, {place.name: {"properties": {"page": inner}}}), place.record(1, {}))
    assert "event_rest" not in place.rows()[0]


def test_a_table_made_earlier_is_not_altered_and_what_it_lacks_is_counted(place: Place) -> None:
    stored(sink_of(place, {place.name: {"properties": {"a": {"type": "string"}}}}), place.record(1, {"a": "x"}))
    opened = {"properties": {"a": {"type": "string"}}, "additionalProperties": True}
    assert (
        stored(sink_of(place, {place.name: opened}), place.record(2, {"a": "y", "b": 1, "c": {"d": 2, "e": 3}})) == []
    )
    assert "event_rest" not in place.rows()[1]
    assert place.total("columns_missing") == 3


def test_a_field_called_rest_has_a_column_of_another_name(place: Place) -> None:
    schema = {"properties": {"rest": {"type": "string"}, "Rest": {"type": "string"}}, "additionalProperties": True}
    assert stored(sink_of(place, {place.name: schema}), place.record(1, {"rest": "r", "Rest": "R", "b": 1})) == []
    (row,) = place.rows()
    assert json.loads(row["event_rest"]) == {"b": 1}
    assert sorted(value for value in row.values() if value in ("r", "R")) == ["R", "r"]


@pytest.mark.parametrize("count", [1_100, 2_100, 5_000])
def test_more_fields_than_a_table_can_have_columns(place: Place, count: int) -> None:
    names = [f"f{number}" for number in range(count)]
    sink = sink_of(place, {place.name: {"properties": {name: {"type": "string"} for name in names}}})
    assert stored(sink, place.record(1, dict.fromkeys(names, "x"))) == []
    (row,) = place.rows()
    held = {name for name, value in row.items() if name.startswith("event_f") and value == "x"}
    assert held | {f"event_{name}" for name in json.loads(row["event_rest"])} == {f"event_{name}" for name in names}


NAMES = st.text(
    st.sampled_from("aA \t\n\0`'\"%\\\u00e9\u0130\u212a😀\U0010ffff\ufffd\u3000;.(") | st.characters(),
    min_size=1,
    max_size=70,
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.lists(NAMES, min_size=1, max_size=8, unique=True), st.integers(0, 2**60))
def test_every_field_is_stored_whatever_its_name(place: Place, names: list[str], number: int) -> None:
    place.metrics.totals.clear()
    schema = f"{place.name}_{number}"
    sink = sink_of(place, {schema: {"properties": {name: {"type": "integer"} for name in names}}})
    assert stored(sink, place.record(1, {name: at for at, name in enumerate(names)}, schema=schema)) == []
    with place._engine.connect() as connection:
        rows = connection.execute(sqlalchemy.text(f"SELECT * FROM {schema}_1")).mappings().all()  # noqa: S608
        connection.execute(sqlalchemy.text(f"DROP TABLE {schema}_1"))
        connection.execute(sqlalchemy.text(f"DELETE FROM eventlogging_tables WHERE schema_name = '{schema}'"))  # noqa: S608
        connection.commit()
    sink.close()
    held = sorted(value for name, value in rows[0].items() if name.startswith("event_"))
    assert held == list(range(len(names)))


def test_milliseconds_fractions_and_leap_seconds(place: Place) -> None:
    sink = place.sink({"d": {"type": "string", "format": "date-time"}})
    moments = ["2016-01-01T00:00:00.999999Z", "2016-12-31T23:59:60Z", "2016-12-31T23:59:60.5+00:00"]
    records = [place.record(at, {"d": moment}, timestamp=1_358_791_834_912) for at, moment in enumerate(moments)]
    assert stored(sink, *records) == []
    first, *later = [str(row["event_d"]) for row in place.rows()]
    assert first == "2016-01-01 00:00:00.999999"
    assert [moment[:19] for moment in later] == ["2017-01-01 00:00:00"] * 2
    assert {row["timestamp"] for row in place.rows()} == {"20130121181034"}


def test_a_table_without_fractions_takes_the_seconds(maria: Place) -> None:
    schema = {"d": {"type": "string", "format": "date-time"}}
    stored(maria.sink(schema), maria.record(1, {}))
    maria.do(f"ALTER TABLE {maria.name}_1 MODIFY event_d DATETIME")
    moments = ["2016-01-01T00:00:00.999999Z", "2016-01-01T00:00:01.5Z"]
    assert stored(maria.sink(schema), *(maria.record(at, {"d": moment}) for at, moment in enumerate(moments, 2))) == []
    assert [str(row["event_d"]) for row in maria.rows()] == ["None", "2016-01-01 00:00:00", "2016-01-01 00:00:01"]


def test_blanks_behind_the_longest_text_are_never_cut(place: Place) -> None:
    text = "w" * 1024 + "   "
    refused = stored(place.sink({"s": {"type": "string"}}), place.record(1, {"s": text}), place.record(2, {"s": "b "}))
    held = [row["event_s"] for row in place.rows()]
    assert held == ([text, "b "] if not refused else ["b "])


ERROR = {name: {"type": "string"} for name in ("rawEvent", "message", "code", "schema")}


def test_an_event_errors_raw_event_is_stored_whole(place: Place) -> None:
    sink = sink_of(place, {"EventError": {"properties": ERROR}, place.name: {"properties": ERROR}})
    assert stored(sink, place.record(1, {"rawEvent": "ж" * 500_000, "message": "m"})) == []
    assert place.rows()[0]["event_rawEvent"] == "ж" * 500_000


@pytest.mark.parametrize("kind", ["VARCHAR(1024)", "TEXT"])
def test_where_the_column_is_shorter_the_raw_event_is_cut_and_the_message_says_so(maria: Place, kind: str) -> None:
    revision = int(maria.name[-8:], 16)
    maria.do(
        f"CREATE TABLE EventError_{revision} (id BIGINT AUTO_INCREMENT PRIMARY KEY, uuid CHAR(32) UNIQUE,"
        f" event_rawEvent {kind}, event_message VARCHAR(1024), event_code VARCHAR(1024), event_schema VARCHAR(1024))"
    )
    sink = sink_of(maria, {"EventError": {"properties": ERROR}})
    records = [
        maria.record(1, {"rawEvent": "ж" * 70_000, "message": "why " * 400}, schema="EventError", revision=revision),
        maria.record(2, {"rawEvent": "short", "message": "why"}, schema="EventError", revision=revision),
    ]
    refused = stored(sink, *records)
    with maria._engine.connect() as connection:
        found = connection.execute(
            sqlalchemy.text(f"SELECT event_rawEvent, event_message FROM EventError_{revision} ORDER BY uuid")  # noqa: S608
        ).all()
        connection.rollback()
    maria.do(f"DROP TABLE EventError_{revision}")
    assert refused == []
    assert set(found[0][0]) == {"ж"}
    assert found[0][1].startswith(f"(rawEvent cut from 70000 to {len(found[0][0])} characters) why")
    assert tuple(found[1]) == ("short", "why")
    assert records[0].event is not None
    assert len(records[0].event["event"]["rawEvent"]) == 70_000


def test_a_schema_of_which_no_table_can_be_made_holds_up_no_other(place: Place) -> None:
    deep: Schema = {"type": "string"}
    for _ in range(3_000):
        deep = {"type": "object", "properties": {"a": deep}}
    bad = f"Bad{place.name}"
    sink = sink_of(place, {place.name: {"properties": {"a": {"type": "string"}}}, bad: deep})
    refused = stored(sink, place.record(1, {"a": "x"}), place.record(2, {}, schema=bad), place.record(3, {"a": "y"}))
    assert len(refused) == 1
    assert [row["event_a"] for row in place.rows()] == ["x", "y"]


def test_a_name_that_is_no_tables_holds_up_no_other(place: Place) -> None:
    schemas = {name: {"properties": {}} for name in (place.name, "x" * 100_000, "\ud800", "", "ж" * 60)}
    records = [place.record(at, {}, schema=name) for at, name in enumerate(schemas)]
    records.append(place.record(9, {}, revision=2**70))
    refused = stored(sink_of(place, schemas), *records)
    assert 1 <= len(refused) < len(records)
    assert len(place.rows()) == 1


def test_an_earlier_tables_own_column_of_the_rests_name_stays_the_fields(place: Place) -> None:
    place.do(
        f"CREATE TABLE {place.name}_1 (id INTEGER PRIMARY KEY {'' if 'sqlite' in place.uri else 'AUTO_INCREMENT'},"
        " uuid CHAR(32) UNIQUE, event_rest BIGINT)"
    )
    sink = sink_of(place, {place.name: {"properties": {"rest": {"type": "integer"}}, "additionalProperties": True}})
    assert stored(sink, place.record(1, {"rest": 5, "more": 1})) == []
    assert place.rows()[0]["event_rest"] == 5
    assert place.total("columns_missing") == 1


def test_whose_a_table_is_is_noted_again_where_that_was_dropped(tmp_path: Path) -> None:
    place = Place(f"sqlite:///{tmp_path}/events.db", "Test")
    sink = sink_of(place, {place.name: {"properties": {}}})
    place.do("DROP TABLE eventlogging_tables")
    sink.write([place.record(1, {})])
    with pytest.raises(RetryableError, match="eventlogging_tables"):
        sink.flush()
    assert stored(sink_of(place, {place.name: {"properties": {}}}), place.record(1, {})) == []
    assert len(place.rows()) == 1
    place.close()
