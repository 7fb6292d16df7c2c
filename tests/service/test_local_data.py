# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""LOAD DATA LOCAL and INSERT on a real MariaDB: the same rows, the same refusals, the same counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pymysql
import pytest
from databases import Place
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from elworkers.config.uris import parse
from elworkers.connectors.sql.sink import SqlSink
from elworkers.core.contracts import Record
from elworkers.events.columns import ColumnType, columns
from elworkers.events.convert import row

# So many strings that the last of them are text.
STRINGS = [f"text{number}" for number in range(20)]
SCHEMA = {
    "truth": {"type": "boolean"},
    "count": {"type": "integer"},
    "share": {"type": "number"},
    "at": {"type": "string", "format": "date-time"},
    "list": {"type": "array"},
    "in%side": {"type": "object", "properties": {"a%s": {"type": "string"}}},
    **{name: {"type": "string"} for name in STRINGS},
}
SPECIAL = [
    "'",
    '"',
    "\\",
    "\t",
    "\n",
    "\r",
    "\0",
    "\x1a",
    "\\N",
    "NULL",
    "%",
    "%s",
    ",",
    ");",
    "--",
    "`",
    " ",
    "",
    "𝄞",
    "ж",
]
TRICKY = [
    *({"text0": text, "text19": text} for text in SPECIAL),
    *({"text0": text * 3, "list": [text], "in%side": {"a%s": f"a{text}b"}} for text in SPECIAL),
    {"text0": "".join(SPECIAL), "text19": "".join(SPECIAL) * 100},
    {"text0": "x" * 1024, "text19": "ж" * 30_000},
    {"text0": "𝄞" * 1024},
    *({"count": count, "text0": count} for count in (0, -1, 2**53 + 1, 2**63 - 1, -(2**63), 7.0)),
    *({"share": share} for share in (0.1, -0.0, 1e308, 1.7976931348623157e308, 2.5e-308, 3, 1e16, 123456789.123456789)),
    *({"at": at} for at in ("2016-07-29T12:34:56Z", "0001-01-01T00:00:00", "9999-12-31T23:59:59+00:00")),
    *({"truth": truth} for truth in (True, False, None)),
    {"list": [1, "ü", None, {"a": [True, 1.5]}], "text1": {"b": "\n\\"}},
    {},
]
REFUSED = [
    {"text0": "x" * 1025},
    {"text0": "𝄞" * 1025},
    {"text19": "x" * 65_536},
    {"count": 2**63},
    {"count": -(2**63) - 1},
    {"share": float("inf")},
    {"share": "1"},
    {"truth": 1},
    {"at": "2016-02-30T00:00:00Z"},
]


class Three:
    """A table of each of the three ways to store rows."""

    def __init__(self, maria: str, lite: str, unique: Callable[[str], str]) -> None:
        self.load, self.insert = Place(maria, unique("Load")), Place(maria, unique("Insert"), local_infile=False)
        self.lite = Place(lite, unique("Lite"))
        self.places = (self.load, self.insert, self.lite)
        self.sinks = [place.sink(SCHEMA) for place in self.places]
        self.number = 0

    def store(self, events: Sequence[dict[str, Any]]) -> None:
        """Store these; what is refused must be so by both ways of MariaDB."""
        before, self.number = self.number, self.number + len(events)
        refused = [
            stored(sink, [place.record(before + at, event) for at, event in enumerate(events)])
            for sink, place in zip(self.sinks, self.places, strict=True)
        ]
        assert refused[0] == refused[1]

    def rows(self, place: Place) -> dict[str, dict[str, Any]]:
        """By uuid what is there, as Python knows it."""
        wanted = columns({"properties": SCHEMA})
        kinds = {column.name: column.type for column in wanted}
        found = {line["uuid"]: {name: line[name] for name in kinds} for line in place.rows()}
        for line in found.values():
            for name, kind in kinds.items():
                if kind is ColumnType.BOOLEAN and line[name] is not None:
                    line[name] = bool(line[name])
                if kind is ColumnType.DATETIME and line[name] is not None:
                    line[name] = str(line[name]).removesuffix(".000000")
        return found

    def close(self) -> None:
        for place in self.places:
            place.close()


@pytest.fixture
def three(mariadb: str, tmp_path: Path, unique: Callable[[str], str]) -> Iterator[Three]:
    made = Three(mariadb, f"sqlite:///{tmp_path}/events.db", unique)
    yield made
    made.close()


def stored(sink: SqlSink, records: Sequence[Record]) -> list[tuple[str, str]]:
    """What was refused of these records: their uuids, and why."""
    sink.write(records)
    refused = [((refusal.record.event or {})["uuid"], refusal.message) for refusal in sink.flush()]
    sink.commit_transaction({})
    return refused


def exactly(rows: dict[str, dict[str, Any]]) -> dict[str, dict[str, str]]:
    """For comparison: 0.0 == -0.0 and 1 == True, but they are not written the same."""
    return {uuid: {name: repr(value) for name, value in line.items()} for uuid, line in rows.items()}


def test_tricky_values_are_the_same_in_every_way(three: Three) -> None:
    three.store(TRICKY)
    wanted = columns({"properties": SCHEMA})
    expected = {}
    for number, event in enumerate(TRICKY):
        values = row(three.load.record(number, event).event or {}, wanted)
        values["event_at"] = values["event_at"] and str(values["event_at"])
        expected[values["uuid"]] = values
    assert exactly(three.rows(three.load)) == exactly(expected)
    assert exactly(three.rows(three.insert)) == exactly(expected)
    # SQLite has no -0.0.
    assert three.rows(three.lite) == expected
    assert [place.total("rows_inserted") for place in three.places] == [len(TRICKY)] * 3


def test_tricky_values_are_loaded_without_a_warning(three: Three) -> None:
    # The table is made, and noted whose it is.
    assert stored(three.sinks[0], [three.load.record(len(TRICKY), {})]) == []
    loads, inserts = three.load.asked("Com_load"), three.load.asked("Com_insert")
    records = [three.load.record(number, event) for number, event in enumerate(TRICKY)]
    assert stored(three.sinks[0], records) == []
    assert (three.load.asked("Com_load"), three.load.asked("Com_insert")) == (loads + 1, inserts)


TEXTS = st.text(st.sampled_from("'\"\\\t\n\r\0\x1a N%,;()ж𝄞") | st.characters(exclude_categories=["Cs"]), max_size=1100)
EVENTS = st.fixed_dictionaries(
    {},
    optional={
        "truth": st.booleans(),
        "count": st.integers(-(2**63) - 1, 2**63),
        "share": st.floats(allow_nan=False) | st.integers(),
        "at": st.datetimes().map(lambda moment: moment.replace(microsecond=0).isoformat()),
        "list": st.lists(st.none() | TEXTS | st.integers() | st.booleans(), max_size=3),
        "in%side": st.fixed_dictionaries({"a%s": TEXTS}),
        "text0": TEXTS | st.integers(),
        "text19": TEXTS,
    },
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.lists(EVENTS, min_size=1, max_size=20))
def test_any_values_are_the_same_in_every_way(three: Three, events: list[dict[str, Any]]) -> None:
    before = three.number
    three.store(events)
    uuids = {f"{number:032x}" for number in range(before, three.number)}
    load, insert, lite = ({u: r for u, r in three.rows(place).items() if u in uuids} for place in three.places)
    assert exactly(load) == exactly(insert)
    assert load == {uuid: lite[uuid] for uuid in load}


def test_both_ways_refuse_the_same_and_keep_the_rest(three: Three) -> None:
    good = [{"text0": f"good {number}", "count": number} for number in range(40)]
    mixed = [*good]
    for at, event in enumerate(REFUSED):
        mixed.insert(at * 4, event)
    three.store(mixed)
    for place in (three.load, three.insert):
        assert sorted(line["event_count"] for line in place.rows()) == list(range(40))
        counted = [place.total(name) for name in ("rows_inserted", "rows_duplicate", "rows_refused")]
        assert counted == [len(good), 0, len(REFUSED)]


def test_duplicates_alone_send_nothing_the_strict_way(mariadb: str, unique: Callable[[str], str]) -> None:
    place = Place(mariadb, unique("Test"))
    sink = place.sink(SCHEMA)
    assert stored(sink, [place.record(number, {"text0": "first"}) for number in range(1500)]) == []
    inserts = place.asked("Com_insert")
    assert stored(sink, [place.record(number, {"text0": "again"}) for number in range(1000, 2500)]) == []
    assert place.asked("Com_insert") == inserts
    assert [line["event_text0"] for line in place.rows()] == ["first"] * 1500 + ["again"] * 1000
    assert (place.total("rows_inserted"), place.total("rows_duplicate")) == (2500, 500)
    place.close()


def test_what_goes_the_strict_way_counts_its_duplicates_too(maria: Place) -> None:
    sink = maria.sink(SCHEMA)
    stored(sink, [maria.record(number, {}) for number in range(10)])
    records = [maria.record(number, {}) for number in range(20)]
    (refused,) = stored(sink, [*records, maria.record(99, {"text0": "x" * 1025})])
    assert refused == (f"{99:032x}", "Data too long for column 'event_text0' at row 1")
    counted = [maria.total(name) for name in ("rows_inserted", "rows_duplicate", "rows_refused")]
    assert counted == [20, 10, 1]


def test_a_column_that_takes_no_null_refuses_in_both_ways(maria: Place) -> None:
    sink = maria.sink(SCHEMA)
    stored(sink, [maria.record(1, {"count": 1})])
    maria.do(f"ALTER TABLE {maria.name}_1 MODIFY event_count BIGINT NOT NULL")
    refused = stored(sink, [maria.record(2, {}), maria.record(3, {"count": 3})])
    assert refused == [(f"{2:032x}", "Column 'event_count' cannot be null")]
    assert [line["event_count"] for line in maria.rows()] == [1, 3]


@pytest.mark.parametrize(
    ("kind", "event", "held"),
    [("BIT(16)", {"count": 7}, "7"), ("VARCHAR(50)", {"share": 0.5}, "0.5"), ("VARCHAR(50)", {"truth": True}, "1")],
)
def test_a_column_of_another_type_holds_what_a_literal_means(
    maria: Place, kind: str, event: dict[str, Any], held: str
) -> None:
    stored(maria.sink(SCHEMA), [maria.record(1, {})])
    (name,) = event
    maria.do(f"ALTER TABLE {maria.name}_1 MODIFY event_{name} {kind}")
    assert stored(maria.sink(SCHEMA), [maria.record(2, event)]) == []
    shown = f"event_{name} + 0 AS held" if kind.startswith("BIT") else f"event_{name} AS held"
    assert [line["held"] and str(line["held"]) for line in maria.rows(shown)] == [None, held]


def test_a_row_larger_than_a_packet_is_refused_and_its_neighbours_are_stored(maria: Place) -> None:
    sink = maria.sink(SCHEMA)
    huge = maria.record(2, {"text0": "x" * (17 << 20)})
    ((uuid, why),) = stored(sink, [maria.record(1, {}), huge, maria.record(3, {})])
    assert uuid == f"{2:032x}"
    assert "max_allowed_packet" in why
    assert [line["uuid"][-1] for line in maria.rows()] == ["1", "3"]


@pytest.fixture
def forbid(mariadb: str) -> Iterator[Callable[[], None]]:
    """Has the server allow no local data from now to the end of the test."""
    host, port = parse(mariadb).endpoint(3306)
    with pymysql.connect(host=host, port=port, user="root") as connection:
        cursor = connection.cursor()
        yield lambda: cursor.execute("SET GLOBAL local_infile = OFF")
        cursor.execute("SET GLOBAL local_infile = ON")


@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_where_the_server_allows_no_local_data_rows_are_inserted(
    mariadb: str, unique: Callable[[str], str], forbid: Callable[[], None], when: str
) -> None:
    place = Place(mariadb, unique("Test"))
    if when == "before":
        forbid()
    sink = place.sink(SCHEMA)
    assert stored(sink, [place.record(1, {})]) == []
    forbid()
    loads = place.asked("Com_load")
    refused = stored(sink, [place.record(2, {}), place.record(3, {"text0": "x" * 1025}), place.record(1, {})])
    assert [uuid for uuid, _ in refused] == [f"{3:032x}"]
    assert stored(sink, [place.record(4, {})]) == []
    assert [line["uuid"][-1] for line in place.rows()] == ["1", "2", "4"]
    assert place.total("rows_duplicate") == 1
    assert place.asked("Com_load") - loads <= 1
    place.close()
