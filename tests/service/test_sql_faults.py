# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Whose fault it is what a database refuses: a row's, a table's, an outage; on a real MariaDB and on SQLite."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from databases import Place

from elworkers.connectors.sql.sink import SqlSink
from elworkers.connectors.sql.table_writers import MysqlTableWriter, SqliteTableWriter
from elworkers.core.contracts import Assignment, Record
from elworkers.core.errors import RetryableError

SCHEMA = {"a": {"type": "string"}, "n": {"type": "integer"}}


def stored(sink: SqlSink, records: list[Record]) -> list[str]:
    """What the store refused of these records."""
    sink.write(records)
    refused = [refusal.message for refusal in sink.flush()]
    sink.commit_transaction({})
    return refused


def other(place: Place, number: int, schema: str = "Other") -> Record:
    """A record of a neighbour's table."""
    return place.record(number, {"a": "neighbour"}, schema=f"{schema}_{place.name}")


def names(place: Place, schema: str = "Other") -> set[str]:
    """The uuids in a neighbour's table."""
    with place._engine.connect() as connection:
        found = connection.execute(sqlalchemy.text(f"SELECT uuid FROM {schema}_{place.name}_1"))  # noqa: S608
        uuids = {row[0] for row in found}
        connection.rollback()
    return uuids


MEDDLING = {
    "a column that must have a value": "ALTER TABLE {table} ADD region varchar(8) NOT NULL",
    "a trigger that refuses": "CREATE TRIGGER {name}t BEFORE INSERT ON {table} FOR EACH ROW"
    " SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'not here'",
    "a trigger with a number of its own": "CREATE TRIGGER {name}t BEFORE INSERT ON {table} FOR EACH ROW"
    " SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 31001, MESSAGE_TEXT = 'not here'",
    "a trigger that calls what is not there": "CREATE TRIGGER {name}t BEFORE INSERT ON {table} FOR EACH ROW"
    " CALL not_there()",
    "a check": "ALTER TABLE {table} ADD CHECK (event_n < 2)",
    "a foreign key": "ALTER TABLE {table} ADD CONSTRAINT {name}f FOREIGN KEY (event_n) REFERENCES {table} (id)",
    "no partition": "ALTER TABLE {table} DROP INDEX uuid, DROP PRIMARY KEY, ADD PRIMARY KEY (id, event_n)"
    " PARTITION BY RANGE (event_n) (PARTITION p0 VALUES LESS THAN (2))",
}


@pytest.mark.parametrize("count", [1, 40, 1500])
@pytest.mark.parametrize("statement", MEDDLING.values(), ids=MEDDLING.keys())
def test_what_one_table_refuses_holds_up_no_other(maria: Place, statement: str, count: int) -> None:
    sink = maria.sink(SCHEMA)
    stored(sink, [maria.record(0, {"n": 1}), other(maria, 0)])
    maria.do(statement.format(table=f"{maria.name}_1", name=maria.name))
    records = [maria.record(number, {"n": number + 100_000}) for number in range(1, count + 1)]
    refused = stored(sink, [*records, other(maria, 1)])
    assert len(refused) == count
    assert len(names(maria)) == 2
    assert maria.total("rows_refused") == count


def test_a_table_set_aside_is_named_and_comes_back(maria: Place) -> None:
    sink = maria.sink(SCHEMA)
    stored(sink, [maria.record(0, {})])
    maria.do(f"ALTER TABLE {maria.name}_1 ADD region varchar(8) NOT NULL")
    assert len(stored(sink, [maria.record(number, {}) for number in range(1, 30)])) == 29
    assert maria.metrics.aside == {f"table {maria.name}_1": "Field 'region' doesn't have a default value"}
    maria.do(f"ALTER TABLE {maria.name}_1 DROP COLUMN region")
    assert stored(sink, [maria.record(99, {})]) == []
    assert maria.metrics.aside == {}


def test_few_rows_that_a_trigger_refuses_are_found_among_many(maria: Place) -> None:
    sink = maria.sink(SCHEMA)
    stored(sink, [maria.record(0, {})])
    maria.do(
        f"CREATE TRIGGER {maria.name}t BEFORE INSERT ON {maria.name}_1 FOR EACH ROW IF NEW.event_n % 97 = 0 THEN"
        " SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 31002, MESSAGE_TEXT = 'not this one'; END IF"
    )
    refused = stored(sink, [maria.record(number, {"n": number}) for number in range(1, 1201)])
    assert refused == ["not this one"] * 12
    assert len(maria.rows()) == 1201 - 12


def test_several_tables_that_refuse_alike_for_no_known_reason_are_an_outage(maria: Place) -> None:
    sink = maria.sink(SCHEMA)
    stored(sink, [maria.record(0, {}), other(maria, 0)])
    for table in (f"{maria.name}_1", f"Other_{maria.name}_1"):
        maria.do(
            f"CREATE TRIGGER {table}t BEFORE INSERT ON {table} FOR EACH ROW"
            " SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 31003, MESSAGE_TEXT = 'closed today'"
        )
    sink.write([maria.record(1, {}), other(maria, 1)])
    with pytest.raises(RetryableError, match=r"several tables .* alike: closed today"):
        sink.flush()
    # Each in a batch of its own, it comes out with the second.
    again = maria.sink(SCHEMA)
    assert len(stored(again, [maria.record(1, {})])) == 1
    again.write([other(maria, 1)])
    with pytest.raises(RetryableError, match="closed today"):
        again.flush()


def test_several_tables_that_lack_a_value_alike_are_no_outage(maria: Place) -> None:
    sink = maria.sink(SCHEMA)
    stored(sink, [maria.record(0, {}), other(maria, 0)])
    for table in (f"{maria.name}_1", f"Other_{maria.name}_1"):
        maria.do(f"ALTER TABLE {table} ADD region varchar(8) NOT NULL")
    assert len(stored(sink, [maria.record(1, {}), other(maria, 1)])) == 2


def test_a_table_that_was_dropped_is_made_again(place: Place) -> None:
    sink = place.sink(SCHEMA)
    stored(sink, [place.record(0, {}), other(place, 0)])
    place.do(f"DROP TABLE {place.name}_1")
    assert stored(sink, [other(place, 1), place.record(1, {"a": "x"}), place.record(2, {"n": 2})]) == []
    assert [row["uuid"][-1] for row in place.rows()] == ["1", "2"]
    assert len(names(place)) == 2


def test_a_column_dropped_meanwhile_is_left_out_and_counted(place: Place) -> None:
    sink = place.sink(SCHEMA)
    stored(sink, [place.record(0, {})])
    place.do(f"ALTER TABLE {place.name}_1 DROP COLUMN event_a")
    assert stored(sink, [place.record(1, {"a": "x", "n": 1}), place.record(2, {"n": 2})]) == []
    assert [row["event_n"] for row in place.rows()] == [None, 1, 2]
    assert place.total("columns_missing") == 1


def test_a_view_in_a_tables_place_holds_up_no_other(maria: Place) -> None:
    maria.do(f"CREATE VIEW {maria.name}_1 AS SELECT 1 AS id, 'x' AS uuid, 'y' AS event_a FROM DUAL")  # noqa: S608
    sink = maria.sink(SCHEMA)
    assert len(stored(sink, [maria.record(1, {"a": "x"}), other(maria, 1)])) == 1
    assert len(names(maria)) == 1
    maria.do(f"DROP VIEW {maria.name}_1")


def test_a_generated_column_is_not_written(maria: Place) -> None:
    sink = maria.sink(SCHEMA)
    stored(sink, [maria.record(0, {})])
    maria.do(f"ALTER TABLE {maria.name}_1 DROP COLUMN event_n, ADD event_n BIGINT AS (LENGTH(event_a)) STORED")
    assert stored(maria.sink(SCHEMA), [maria.record(1, {"a": "four", "n": 9})]) == []
    assert [row["event_n"] for row in maria.rows()] == [None, 4]
    assert maria.total("columns_missing") == 1


def test_a_trigger_of_sqlite_that_ends_the_transaction_costs_only_its_row(
    tmp_path: Path, unique: Callable[..., str]
) -> None:
    place = Place(f"sqlite:///{tmp_path}/events.db", unique("Test"))
    sink = place.sink(SCHEMA, "g")
    stored(sink, [place.record(0, {})])
    place.do(
        f"CREATE TRIGGER t BEFORE INSERT ON {place.name}_1 WHEN NEW.event_n % 40 = 7"
        " BEGIN SELECT RAISE(ROLLBACK, 'not this one'); END"
    )
    refused = stored(sink, [other(place, 5), *(place.record(number, {"n": number}) for number in range(1, 101))])
    assert refused == ["not this one"] * 3
    assert len(place.rows()) == 98
    assert len(names(place)) == 1
    place.close()


@pytest.mark.parametrize("how", ["RAISE(ABORT, 'no')", "RAISE(FAIL, 'no')", "RAISE(IGNORE)"])
def test_a_trigger_of_sqlite_costs_only_its_rows(tmp_path: Path, unique: Callable[[str], str], how: str) -> None:
    place = Place(f"sqlite:///{tmp_path}/events.db", unique("Test"))
    sink = place.sink(SCHEMA)
    stored(sink, [place.record(0, {})])
    place.do(f"CREATE TRIGGER t BEFORE INSERT ON {place.name}_1 WHEN NEW.event_n % 40 = 7 BEGIN SELECT {how}; END")
    again = place.record(0, {})
    refused = stored(sink, [other(place, 5), again, *(place.record(number, {"n": number}) for number in range(1, 101))])
    assert len(refused) == 3
    assert len(place.rows()) == 98
    assert (place.total("rows_duplicate"), place.total("rows_refused")) == (1, 3)
    place.close()


def test_a_view_of_sqlite_holds_up_no_other(tmp_path: Path, unique: Callable[[str], str]) -> None:
    place = Place(f"sqlite:///{tmp_path}/events.db", unique("Test"))
    place.do(f"CREATE VIEW {place.name}_1 AS SELECT 1 AS id, 'x' AS uuid, 'y' AS event_a")
    assert len(stored(place.sink(SCHEMA), [place.record(1, {"a": "x"}), other(place, 1)])) == 1
    assert len(names(place)) == 1
    place.close()


def test_another_unique_key_that_is_there_refuses(place: Place) -> None:
    sink = place.sink(SCHEMA)
    stored(sink, [place.record(0, {"n": 0})])
    place.do(f"CREATE UNIQUE INDEX only_{place.name} ON {place.name}_1 (event_n)")
    numbers = [5, 5, 0, 6, None, None]
    refused = stored(sink, [place.record(at, {"n": number}) for at, number in enumerate(numbers, 1)])
    assert len(refused) == 2
    assert [row["event_n"] for row in place.rows()] == [0, 5, 6, None, None]
    # A repeat is still none.
    assert stored(sink, [place.record(1, {"n": 5}), place.record(9, {"n": 9})]) == []
    assert (place.total("rows_refused"), place.total("rows_duplicate")) == (2, 1)


def test_a_deadlock_takes_back_the_whole_batch_with_its_positions(maria: Place) -> None:
    sink, origin = maria.sink(SCHEMA, "g"), Assignment(f"topic_{maria.name}", 0)
    sink.resume_at({origin: 0})
    stored(sink, [maria.record(0, {}), other(maria, 0)])
    blocker = maria._engine.connect()
    # It has changed so much that it is the other's transaction that the server ends.
    for number in range(50):
        row = f"('{number + 500:032x}')"
        blocker.exec_driver_sql(f"INSERT INTO Other_{maria.name}_1 (uuid) VALUES {row}")  # noqa: S608
    sink.write([maria.record(1, {})])
    sink.flush()
    blocked = threading.Thread(
        target=lambda: blocker.exec_driver_sql(
            f"INSERT INTO {maria.name}_1 (uuid) VALUES ('{1:032x}')"  # noqa: S608
        )
    )
    blocked.start()
    sink.write([other(maria, 500)])
    try:
        with pytest.raises(RetryableError, match="Deadlock"):
            sink.flush()
    finally:
        sink.close()
        blocked.join()
        blocker.rollback()
        blocker.close()
    assert [row["uuid"] for row in maria.rows()] == [f"{0:032x}"]
    assert maria.sink(SCHEMA, "g").resume_at({origin: 7}) == {origin: 0}


@pytest.mark.parametrize("right", ["INSERT", "CREATE"])
def test_a_right_taken_away_is_an_outage(mariadb: str, unique: Callable[[str], str], right: str) -> None:
    place = Place(mariadb, unique("Test"))
    sink = place.sink(SCHEMA)
    stored(sink, [place.record(0, {})])
    place.close()
    user, root = unique("u")[:30], Place(mariadb.replace("eventlogging:eventlogging", "root:"), place.name)
    root.do(f"CREATE USER {user}@'%' IDENTIFIED BY 'pw'")
    for one in {"SELECT", "INSERT", "CREATE", "UPDATE", "INDEX"} - {right}:
        root.do(f"GRANT {one} ON log.* TO {user}@'%'")
    poor = Place(mariadb.replace("eventlogging:eventlogging", f"{user}:pw"), place.name)
    sink = poor.sink(SCHEMA)
    if right == "CREATE":
        # Where all tables are there it is not needed.
        assert stored(sink, [poor.record(2, {})]) == []
    with pytest.raises(RetryableError, match="denied"):
        stored(sink, [poor.record(1, {}), other(poor, 1)])
    poor.close()
    root.do(f"DROP USER {user}@'%'")
    root.close()


@pytest.mark.parametrize("where", ["prepare", "rows", "insert"])
def test_a_bug_of_ours_costs_only_the_records_that_meet_it(
    place: Place, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    for kind in (MysqlTableWriter, SqliteTableWriter):
        whole = getattr(kind, where)

        def planted(self: Any, given: Any, whole: Callable[..., Any] = whole) -> Any:
            if "unlucky" in repr(given):
                raise AttributeError("'NoneType' object has no attribute 'items'")
            return whole(self, given)

        monkeypatch.setattr(kind, where, planted)
    # Rows are looked at one by one where the database refuses one.
    too_long = [place.record(999, {"n": 2**70})]
    records = [place.record(at, {"a": "unlucky" if at % 37 == 5 else "good"}) for at in range(200)]
    refused = stored(place.sink(SCHEMA), [*records, *too_long])
    assert sum("AttributeError" in message for message in refused) == 6
    assert len(refused) == 7
    assert len(place.rows()) == 194
    assert (place.total("rows_inserted"), place.total("rows_refused")) == (194, 7)


@pytest.mark.parametrize("where", ["prepare", "insert"])
def test_a_bug_that_any_record_meets_is_a_crash(place: Place, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    def broken(*_: Any) -> Any:
        raise TypeError("planted")

    sink = place.sink(SCHEMA)
    for kind in (MysqlTableWriter, SqliteTableWriter):
        monkeypatch.setattr(kind, where, broken)
    sink.write([place.record(1, {"n": 2**63})])
    with pytest.raises(TypeError, match="planted"):
        sink.flush()


def test_text_that_no_encoding_takes_costs_only_its_record(place: Place) -> None:
    records = [place.record(1, {"a": "x"}), place.record(2, {"a": "\ud83d"}), place.record(3, {"a": "z"})]
    assert len(stored(place.sink(SCHEMA), records)) == 1
    assert [row["event_a"] for row in place.rows()] == ["x", "z"]
