# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""The SQL sink on a real MariaDB and on SQLite: what a contract for all sinks cannot ask."""

from __future__ import annotations

import socket
import threading

import pytest
from databases import Place, Schema

from elworkers.config.uris import parse
from elworkers.connectors.sql.sink import SqlSink
from elworkers.core.contracts import Record
from elworkers.core.errors import InvalidEventError, RetryableError
from elworkers.core.metrics import Counters


def stored(sink: SqlSink, *records: Record) -> list[str]:
    """What the store refused of these records."""
    sink.write(records)
    refused = [refusal.message for refusal in sink.flush()]
    sink.commit_transaction({})
    return refused


@pytest.mark.parametrize("count", [100, 200, 400])
def test_a_table_of_very_many_strings_is_made_all_the_same(place: Place, count: int) -> None:
    names = [f"field{number}" for number in range(count)]
    sink = place.sink({name: {"type": "string"} for name in names})
    assert stored(sink, place.record(1, dict.fromkeys(names, "жжж")), place.record(2, {names[-1]: "last"})) == []
    first, second = place.rows()
    assert [first[f"event_{name}"] for name in names] == ["жжж"] * count
    assert second[f"event_{names[-1]}"] == "last"


def test_a_row_that_outgrows_a_page_is_refused_and_its_neighbours_are_stored(maria: Place) -> None:
    names = [f"field{number}" for number in range(400)]
    sink = maria.sink({name: {"type": "string"} for name in names})
    huge = maria.record(2, dict.fromkeys(names, "x" * 1000))
    refused = stored(sink, maria.record(1, {}), huge, maria.record(3, {}))
    assert len(refused) <= 1
    assert [row["uuid"][-1] for row in maria.rows()] == (["1", "3"] if refused else ["1", "2", "3"])


def test_names_over_64_characters_do_not_meet(place: Place) -> None:
    names = ["n" * 64 + ending for ending in "abc"]
    assert (
        stored(place.sink({name: {"type": "string"} for name in names}), place.record(1, {n: n[-1] for n in names}))
        == []
    )
    (row,) = place.rows()
    long = [name for name in row if name.startswith("event_nn")]
    assert sorted(row[name] for name in long) == ["a", "b", "c"]
    assert max(map(len, long)) <= 64


def test_names_that_differ_in_case_do_not_meet(place: Place) -> None:
    schema = {"Page": {"type": "string"}, "page": {"type": "string"}}
    assert stored(place.sink(schema), place.record(1, {"Page": "A", "page": "b"})) == []
    (row,) = place.rows()
    assert sorted(value for name, value in row.items() if name.lower().startswith("event_page")) == ["A", "b"]


def test_the_number_of_inserted_rows_goes_to_statsd_with_the_hosts_name(place: Place) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        udp.settimeout(10)
        sink = place.sink({"a": {"type": "string"}}, statsd=("localhost", udp.getsockname()[1]))
        assert stored(sink, *(place.record(number, {"a": "x"}) for number in (1, 2, 2))) == []
        host = socket.gethostname().replace(".", "_")
        assert udp.recv(1000).decode() == f"eventlogging.{host}.overall.inserted:2|c"


@pytest.mark.parametrize("option", ["", "replace=True", "replace=False"])
def test_a_uuid_that_is_there_counts_as_stored(place: Place, option: str) -> None:
    place.uri += ("&" if "?" in place.uri else "?") + option if option else ""
    sink = place.sink({"a": {"type": "string"}})
    assert stored(sink, place.record(1, {"a": "first"}), place.record(1, {"a": "again"})) == []
    assert stored(sink, place.record(1, {"a": "later"}), place.record(2, {"a": "new"})) == []
    assert [row["event_a"] for row in place.rows()] == ["first", "new"]
    assert (place.total("rows_inserted"), place.total("rows_duplicate")) == (2, 2)


def test_what_the_database_refuses_keeps_no_other_from_being_stored(maria: Place) -> None:
    schema = {"text": {"type": "string"}, "count": {"type": "integer"}, "at": {"type": "string", "format": "date-time"}}
    sink = maria.sink(schema)
    bad = [{"text": "x" * 1025}, {"count": 2**63}, {"at": "2016-02-30T00:00:00Z"}, {"count": "three"}]
    records = [maria.record(number, {"text": "good", "count": number}) for number in range(100)]
    for number, event in enumerate(bad):
        records.insert(number * 30, maria.record(1000 + number, event))
    refused = stored(sink, *records)
    assert len(refused) == len(bad)
    assert any("Data too long for column 'event_text'" in message for message in refused)
    assert any("Out of range value for column 'event_count'" in message for message in refused)
    assert any("column event_at" in message for message in refused)
    assert {row["event_count"] for row in maria.rows()} == set(range(100))
    assert maria.total("rows_refused") == len(bad)


def test_numbers_are_never_clamped(maria: Place) -> None:
    sink = maria.sink({"count": {"type": "integer"}})
    stored(sink, maria.record(1, {"count": 1}))
    maria.do(f"ALTER TABLE {maria.name}_1 MODIFY event_count INT")
    (message,) = stored(sink, maria.record(2, {"count": 10**12}), maria.record(3, {"count": 3}))
    assert "Out of range" in message
    assert [row["event_count"] for row in maria.rows()] == [1, 3]


def test_a_table_that_lost_a_column_is_read_back(place: Place) -> None:
    schema = {"a": {"type": "string"}, "b": {"type": "string"}}
    stored(place.sink(schema), place.record(1, {"a": "x", "b": "y"}))
    place.do(f"ALTER TABLE {place.name}_1 DROP COLUMN event_a")
    assert stored(place.sink(schema), place.record(2, {"a": "x", "b": "z"})) == []
    assert [row["event_b"] for row in place.rows()] == ["y", "z"]
    assert place.total("columns_missing") == 1


def test_two_that_make_the_same_table_at_the_same_time(place: Place) -> None:
    schema = {f"at{number}": {"type": "string", "format": "date-time"} for number in range(5)}
    both, opening = threading.Barrier(2), threading.Lock()
    failed: list[object] = []

    def work(number: int) -> None:
        # SQLite lets only one at a time make a new file its database; the other is told to try again.
        with opening:
            sink = place.sink(schema)
        both.wait(30)
        try:
            failed.extend(stored(sink, place.record(number, {})))
        except RetryableError as error:
            failed.append(error)

    workers = [threading.Thread(target=work, args=(number,)) for number in (1, 2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert failed == []
    assert len(place.rows()) == 2


def test_what_is_stored_of_a_capsule(place: Place) -> None:
    agent = {"os_family": "Linux", "is_bot": False}
    more = {"recvFrom": "h", "seqId": 7, "topic": "t", "ip": "203.0.113.7", "webHost": "en.wikipedia.org"}
    assert stored(place.sink({"a": {"type": "array"}}), place.record(1, {"a": [1, "𝄞"]}, userAgent=agent, **more)) == []
    (row,) = place.rows()
    assert set(row) == {"id", "uuid", "timestamp", "webHost", "wiki", "userAgent", "event_a"}
    assert row["timestamp"] == "20160729123456"
    assert row["userAgent"] == '{"os_family":"Linux","is_bot":false}'
    assert row["event_a"] == '[1,"𝄞"]'


def test_an_event_without_a_schema_is_refused(place: Place) -> None:
    def no_schema(name: str, revision: int) -> Schema:
        raise InvalidEventError(f"there is no schema {name} of revision {revision}")

    sink = SqlSink(parse(place.uri), schemas=no_schema, metrics=place.metrics)
    sink.write([place.record(1, {}), Record(b"", event={}), Record(b"raw")])
    messages = [refusal.message for refusal in sink.flush()]
    sink.close()
    assert messages[0].startswith("there is no schema")
    assert messages[1:] == ["the event names no schema and revision"] * 2


def test_a_database_that_cannot_be_reached_is_retryable_without_its_password(mariadb: str) -> None:
    login, _, place = mariadb.partition("@")
    scheme, _, user = login.rpartition("/")
    wrong = f"{scheme}/{user.partition(':')[0]}:hunter2@{place}"
    nobody = "mysql://user:hunter2@127.0.0.1:1/log"
    for uri in (wrong, nobody):
        with pytest.raises(RetryableError) as caught:
            SqlSink(parse(uri), schemas=lambda _name, _revision: {}, metrics=Counters())
        assert "hunter2" not in f"{caught.value}{caught.value.__cause__!r}"
        assert "***" in str(caught.value)
