# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""The functions that the original's operators had."""

from __future__ import annotations

import json
from typing import Any

import pytest

from elworkers.config.wraps import Wrap
from elworkers.core.contracts import Event
from elworkers.functions.loading import loaded

BOT, MEDIAWIKI, BROWSER = {"is_bot": True}, {"is_bot": True, "is_mediawiki": True}, {"browser_family": "Chrome"}


def call(name: str, event: Event, schemas: str | None = None, scheme: str = "map") -> Any:
    function = loaded(Wrap(scheme, name, schemas), {})
    result = function.call(event)
    return bool(result) if function.decides else result


def test_a_mysql_mapper_writes_agent_and_time_as_tables_have_them() -> None:
    assert call("mysql_mapper", {"dt": "2017-11-01T11:00:00", "userAgent": BROWSER}) == {
        "timestamp": 1509534000,
        "userAgent": '{"browser_family": "Chrome"}',
    }
    assert call("mysql_mapper", {"dt": "2017-11-01T11:00:00.123Z"}) == {"timestamp": 1509534000}


def test_a_time_that_is_there_stays() -> None:
    assert call("mysql_mapper", {"timestamp": 7}) == {"timestamp": 7}
    assert call("mysql_mapper", {})["timestamp"] > 1_700_000_000
    with pytest.raises(ValueError, match="Invalid isoformat"):
        call("mysql_mapper", {"dt": "yesterday"})


@pytest.mark.parametrize(
    ("agent", "mapper", "inserted", "no_bot"),
    [
        (BROWSER, True, True, True),
        (BOT, False, False, False),
        (MEDIAWIKI, True, True, False),
        ({"is_bot": True, "is_mediawiki": False}, False, False, False),
        ({"is_bot": False, "is_mediawiki": True}, True, True, True),
        ({}, True, True, True),
        # Of May to November 2017, as text.
        (json.dumps(BOT), True, False, False),
        (json.dumps(MEDIAWIKI), True, True, False),
        (json.dumps(BROWSER), True, True, True),
        ("Mozilla/5.0", True, False, True),
        ("7", True, False, True),
        (None, True, False, True),
    ],
)
def test_bots_are_left_out_unless_they_are_mediawiki(agent: Any, mapper: bool, inserted: bool, no_bot: bool) -> None:
    def event() -> Event:
        return {"schema": "S", "userAgent": agent, "timestamp": 1}

    assert (call("mysql_mapper", event()) is not None) is mapper
    assert call("mysql_mapper", event(), scheme="filter") is mapper
    assert call("should_insert_event", event(), scheme="filter") is inserted
    assert call("is_not_bot", event(), scheme="filter") is no_bot


@pytest.mark.parametrize("name", ["should_insert_event", "is_not_bot"])
def test_who_has_no_agent_is_no_bot(name: str) -> None:
    assert call(name, {"schema": "S"}) is True


@pytest.mark.parametrize(("schema", "listed"), [("A", True), ("B", True), ("AB", False), (None, False), (["A"], False)])
def test_a_list_of_schemas_says_who_goes_on(schema: Any, listed: bool) -> None:
    event = {} if schema is None else {"schema": schema}
    assert call("eventlogging_valid_mixed_filter", event, "A, B,") is listed
    assert call("eventlogging_schemas_disabled_filter", event, "A, B,") is not listed
