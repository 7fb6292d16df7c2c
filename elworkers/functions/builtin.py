# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Implements the functions of the original's operators: for MySQL, against bots, and by lists of schemas."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from elworkers.core.contracts import Event
from elworkers.events.capsule import iso_seconds

Schemas = frozenset[str]


class Builtin(NamedTuple):
    """A function of ours.

    Attributes:
        make: gives the function itself, for the schemas that it is told.
        since: when it came into use.
        does: what it does with an event, in one line.
        changes: whether it gives another event; otherwise it only says whether an event goes on.
        list_name: of one that needs a list of schemas, what the list was called in the original's plug-in.
    """

    make: Callable[[Schemas], Callable[[Event], Any]]
    since: str
    does: str
    changes: bool = False
    list_name: str = ""


def mysql_mapper(event: Event) -> Event | None:
    """Return the event for a table: `userAgent` as text, `timestamp` instead of `dt`; None for bots but MediaWiki.

    Raises:
        ValueError: `dt` is no time.
    """
    agent = event.get("userAgent")
    if isinstance(agent, dict):
        if _is_unwanted(agent):
            return None
        event["userAgent"] = json.dumps(agent)
    if "dt" in event:
        event["timestamp"] = int(datetime.fromisoformat(iso_seconds(event)).replace(tzinfo=UTC).timestamp())
        del event["dt"]
    elif "timestamp" not in event:
        event["timestamp"] = int(time.time())
    return event


def should_insert_event(event: Event) -> bool:
    """Return whether an event has no user agent, or one that can be read and is no bot's, or is MediaWiki's."""
    if "userAgent" not in event:
        return True
    agent = _agent(event)
    return agent is not None and not _is_unwanted(agent)


def is_not_bot(event: Event) -> bool:
    """Return whether an event's user agent is no bot's, as far as it can be read."""
    agent = _agent(event)
    return agent is None or not agent.get("is_bot")


def _is_unwanted(agent: Mapping[str, Any]) -> bool:
    return bool(agent.get("is_bot")) and not agent.get("is_mediawiki")


def _agent(event: Event) -> Mapping[str, Any] | None:
    """Return a parsed user agent, also of one that is JSON text."""
    agent = event.get("userAgent")
    if isinstance(agent, str):
        try:
            agent = json.loads(agent)
        except (ValueError, RecursionError):
            return None
    return agent if isinstance(agent, dict) else None


def _among(schemas: Schemas) -> Callable[[Event], bool]:
    return lambda event: str(event.get("schema")) in schemas


def _not_among(schemas: Schemas) -> Callable[[Event], bool]:
    return lambda event: str(event.get("schema")) not in schemas


BUILTIN: Mapping[str, Builtin] = {
    "mysql_mapper": Builtin(
        lambda _: mysql_mapper,
        "November 2017",
        "leaves out events of bots that are not MediaWiki; `userAgent` becomes text, and `dt` becomes `timestamp`",
        changes=True,
    ),
    "should_insert_event": Builtin(
        lambda _: should_insert_event,
        "June 2017",
        "leaves out events of bots that are not MediaWiki, and agents that cannot be read",
    ),
    "is_not_bot": Builtin(lambda _: is_not_bot, "May 2017", "leaves out events of bots"),
    "eventlogging_schemas_disabled_filter": Builtin(
        _not_among, "October 2020", "leaves out events of these schemas", list_name="eventlogging_schemas_disabled"
    ),
    "eventlogging_valid_mixed_filter": Builtin(
        _among,
        "September 2018",
        "lets events of these schemas alone go on",
        list_name="eventlogging_valid_mixed_schema_whitelist",
    ),
}
"""By the names that were in use."""
