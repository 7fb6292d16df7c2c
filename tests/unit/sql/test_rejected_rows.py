# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""What tables refuse, and what is made of it; and what an error of a driver means."""

from __future__ import annotations

import sqlite3

import pymysql
import pytest
from sqlalchemy.exc import OperationalError, StatementError

from elworkers.connectors.sql import db_errors
from elworkers.connectors.sql.db_errors import DatabaseFault, FaultScope
from elworkers.connectors.sql.rejected_rows import RejectionPolicy
from elworkers.core.errors import RetryableError
from elworkers.core.metrics import Counters

UNKNOWN = DatabaseFault(FaultScope.UNKNOWN, 31_000, "closed")
TABLE = DatabaseFault(FaultScope.TABLE, 1364, "no default")
ROW = DatabaseFault(FaultScope.ROW, 1406, "too long")


@pytest.fixture
def metrics() -> Counters:
    return Counters()


def test_one_table_is_set_aside_until_it_takes_something(metrics: Counters) -> None:
    rejection_policy = RejectionPolicy(metrics)
    for _ in range(3):
        rejection_policy.update(set(), {"A_1": UNKNOWN})
        assert metrics.aside == {"table A_1": "closed"}
    rejection_policy.update({"A_1"}, {})
    assert metrics.aside == {}


def test_a_rows_own_fault_sets_no_table_aside(metrics: Counters) -> None:
    RejectionPolicy(metrics).update(set(), {"A_1": ROW, "B_1": ROW})
    assert metrics.aside == {}


@pytest.mark.parametrize("together", [True, False])
def test_two_tables_alike_are_an_outage_until_something_is_taken(metrics: Counters, together: bool) -> None:
    rejection_policy = RejectionPolicy(metrics)
    if not together:
        rejection_policy.update(set(), {"A_1": UNKNOWN})
    for _ in range(2):
        with pytest.raises(RetryableError, match="closed"):
            rejection_policy.update(set(), {"A_1": UNKNOWN, "B_1": UNKNOWN} if together else {"B_1": UNKNOWN})
    rejection_policy.update({"C_1"}, {"A_1": UNKNOWN, "B_1": UNKNOWN})
    assert set(metrics.aside) == {"table A_1", "table B_1"}


def test_two_tables_with_reasons_of_their_own_are_no_outage(metrics: Counters) -> None:
    rejection_policy = RejectionPolicy(metrics)
    rejection_policy.update(set(), {"A_1": UNKNOWN, "B_1": UNKNOWN._replace(code=31_001), "C_1": TABLE, "D_1": TABLE})
    assert len(metrics.aside) == 4


def test_a_table_that_cannot_be_made_is_remembered_unless_it_is_an_outage(metrics: Counters) -> None:
    rejection_policy = RejectionPolicy(metrics)
    for name in "AB":
        rejection_policy.cannot_make((name, 1), f"{name}_1", UNKNOWN)
    with pytest.raises(RetryableError):
        rejection_policy.update(set(), {})
    assert rejection_policy.unmade(("A", 1)) is None
    for name in "AB":
        rejection_policy.cannot_make((name, 1), f"{name}_1", UNKNOWN)
    rejection_policy.update({"C_1"}, {})
    assert rejection_policy.unmade(("A", 1)) == "closed"
    assert set(metrics.aside) == {"table A_1", "table B_1"}
    rejection_policy.made(("A", 1), "A_1")
    assert set(metrics.aside) == {"table B_1"}
    assert rejection_policy.unmade(("A", 1)) is None


def test_of_tables_without_end_few_are_remembered(metrics: Counters) -> None:
    rejection_policy = RejectionPolicy(metrics)
    for number in range(3_000):
        rejection_policy.cannot_make((f"S{number}", 1), f"S{number}_1", TABLE)
        rejection_policy.update(set(), {})
        rejection_policy.left_out(f"S{number}_1", 1)
    assert max(len(held) for held in vars(rejection_policy).values() if isinstance(held, dict)) <= 1_000


OUTAGES = [1205, 1213, 1290, 1836, 1040, 1203, 1226, 1021, 1114, 1041, 1053, 1927, 1317, 1044, 1045, 1142, 1143, 1227]
OUTAGES += [126, 127, 144, 145, 1194, 1195, 1047, 1969, 3024, *range(2000, 2060), 0]


@pytest.mark.parametrize("code", OUTAGES)
def test_outages_of_mysql(code: int) -> None:
    assert db_errors.fault_scope(pymysql.OperationalError(code, "words")) is FaultScope.OUTAGE
    wrapped = OperationalError("INSERT", {}, pymysql.OperationalError(code, "words"))
    assert db_errors.fault_scope(wrapped) is FaultScope.OUTAGE


@pytest.mark.parametrize("code", [1364, 1644, 1526, 4025, 1452, 1054, 1146, 1117, 1118, 1305, 4999, 31_000, 20_000])
def test_whatever_is_no_outage_of_mysql(code: int) -> None:
    assert db_errors.fault_scope(pymysql.OperationalError(code, "words")) is not FaultScope.OUTAGE


def test_a_full_and_a_locked_sqlite_are_outages_and_a_constraint_is_none() -> None:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE a (b TEXT NOT NULL)")
    with pytest.raises(sqlite3.IntegrityError) as constraint:
        connection.execute("INSERT INTO a VALUES (NULL)")
    assert db_errors.fault_scope(constraint.value) is FaultScope.ROW
    connection.execute("PRAGMA max_page_count = 3")
    with pytest.raises(sqlite3.OperationalError) as full:
        connection.execute("INSERT INTO a VALUES (?)", ["x" * 100_000])
    assert db_errors.fault_scope(full.value) is FaultScope.OUTAGE
    connection.execute("PRAGMA query_only = ON")
    with pytest.raises(sqlite3.OperationalError) as readonly:
        connection.execute("INSERT INTO a VALUES ('x')")
    assert db_errors.fault_scope(readonly.value) is FaultScope.OUTAGE
    connection.close()


@pytest.mark.parametrize("bug", [TypeError("planted"), AttributeError("planted"), KeyError("planted")])
def test_a_bug_of_ours_is_never_an_outage(bug: Exception) -> None:
    def alone() -> None:
        raise bug

    def wrapped() -> None:
        raise StatementError("while it was bound", "INSERT", {}, bug)

    with pytest.raises(type(bug)):
        db_errors.retryable("sqlite:///x", alone)
    with pytest.raises(StatementError):
        db_errors.retryable("sqlite:///x", wrapped)
