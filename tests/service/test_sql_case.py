# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Schemas whose names differ in case alone, on stores that ignore it: each keeps a table of its own."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest
import sqlalchemy
from databases import Place, Schema

from elworkers.config.uris import parse
from elworkers.connectors.sql.sink import SqlSink
from elworkers.core.contracts import Record
from elworkers.core.errors import InvalidEventError
from elworkers.devstack import Stack

ENDINGS = ("Edit", "EDIT", "edit")
SCHEMA: Schema = {"properties": {"a": {"type": "string"}}}


@pytest.fixture(params=["load", "insert", "sqlite"])
def lower(request: pytest.FixtureRequest, tmp_path: Path, unique: Callable[[str], str]) -> Iterator[Place]:
    """MariaDB with lower_case_table_names=1, and SQLite."""
    if request.param == "sqlite":
        uri = f"sqlite:///{tmp_path}/events.db"
    else:
        stack: Stack = request.getfixturevalue("stack")
        stack.up("mariadb-lower")
        uri = stack.env()["MYSQL_LOWER_URL"]
    made = Place(uri, unique("Test"), local_infile=request.param == "load")
    yield made
    made.close()


def store(place: Place, names: Sequence[str], begin: int, *, batches: bool = False) -> None:
    """An event of each schema, by a consumer of its own; in one batch or in several."""

    def look(name: str, revision: int) -> Schema:
        if name not in known or revision != 1:
            raise InvalidEventError(f"there is no schema {name} of revision {revision}")
        return SCHEMA

    known = {f"{place.name}{ending}" for ending in ENDINGS}
    sink = SqlSink(parse(place.uri), schemas=look, metrics=place.metrics, local_infile=place.local_infile)
    records = [place.record(begin + number, {"a": name}, schema=name) for number, name in enumerate(names)]
    for some in [[one] for one in records] if batches else [records]:
        write(sink, some)
    sink.close()


def write(sink: SqlSink, records: Sequence[Record]) -> None:
    sink.write(records)
    assert sink.flush() == []
    sink.commit_transaction({})


def owners(place: Place) -> dict[str, str]:
    """Schema → its table, as it is noted."""
    with place._engine.connect() as connection:
        found = connection.execute(sqlalchemy.text("SELECT schema_name, table_name FROM eventlogging_tables"))
        known = {schema: table for schema, table in found if schema.startswith(place.name)}
        connection.rollback()
    return known


def held(place: Place) -> dict[str, list[str]]:
    """Table → whose events it has, in lower case as stores that ignore it may show it."""
    with place._engine.connect() as connection:
        tables = [name for name in sqlalchemy.inspect(connection).get_table_names() if is_of(place, name)]
        found: Mapping[str, list[str]] = {
            table: list(connection.execute(sqlalchemy.text(f"SELECT event_a FROM {table} ORDER BY uuid")).scalars())  # noqa: S608
            for table in tables
        }
        connection.rollback()
    return {table.lower(): some for table, some in found.items()}


def is_of(place: Place, table: str) -> bool:
    return table.lower().startswith(place.name.lower())


@pytest.mark.parametrize("batches", [False, True])
@pytest.mark.parametrize("order", list(itertools.permutations(ENDINGS))[::2])
def test_the_first_owns_the_table_and_the_others_get_one_with_a_digest(
    lower: Place, order: tuple[str, ...], batches: bool
) -> None:
    names = [f"{lower.name}{ending}" for ending in order]
    store(lower, names, 0, batches=batches)
    noted = owners(lower)
    plain = f"{names[0]}_1".lower()
    assert noted[names[0]] == plain
    assert all(noted[name].startswith(f"{plain}_") for name in names[1:])
    assert len(set(noted.values())) == len(names)
    # Whoever comes later, in whatever order, decides alike.
    store(lower, names[::-1], 10, batches=batches)
    store(lower, names[1:], 20, batches=batches)
    assert owners(lower) == noted
    counts = {names[0]: 2, names[1]: 3, names[2]: 3}
    assert held(lower) == {noted[name]: [name] * count for name, count in counts.items()}


@pytest.mark.parametrize("first", ENDINGS)
def test_a_table_without_an_owner_is_one_schemas_alone(lower: Place, first: str) -> None:
    key = "INTEGER PRIMARY KEY" if "sqlite" in lower.uri else "BIGINT AUTO_INCREMENT PRIMARY KEY"
    spelt = f"{lower.name}Edit"
    lower.do(f"CREATE TABLE {spelt}_1 (id {key}, uuid CHAR(32) UNIQUE, event_a VARCHAR(99))")
    names = sorted((f"{lower.name}{ending}" for ending in ENDINGS), key=lambda name: name != f"{lower.name}{first}")
    store(lower, names, 0)
    store(lower, names[::-1], 10)
    noted = owners(lower)
    # SQLite tells how a table's name is written, so that it tells whose the rows are; this MariaDB does not.
    owner = spelt if "sqlite" in lower.uri else names[0]
    assert noted[owner] == f"{spelt}_1".lower()
    assert held(lower) == {noted[name]: [name, name] for name in names}


def test_a_table_that_no_schema_is_spelt_like_is_the_first_ones(lower: Place) -> None:
    key = "INTEGER PRIMARY KEY" if "sqlite" in lower.uri else "BIGINT AUTO_INCREMENT PRIMARY KEY"
    lower.do(f"CREATE TABLE {lower.name}eDiT_1 (id {key}, uuid CHAR(32) UNIQUE, event_a VARCHAR(99))")
    names = [f"{lower.name}{ending}" for ending in ENDINGS]
    store(lower, names, 0)
    noted = owners(lower)
    assert noted[names[0]] == f"{names[0]}_1".lower()
    assert held(lower) == {noted[name]: [name] for name in names}
