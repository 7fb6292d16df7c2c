# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Where a Kafka output sends records."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elworkers.config.templates import Template
from elworkers.connectors.kafka.route import Route
from elworkers.core.contracts import OwnTopic, Record
from elworkers.core.errors import ConfigurationError, InvalidEventError

EVENT = {"schema": "Edit", "revision": 7, "wiki": "enwiki", "event": {"action": "open", "page": {"id": 3}}}


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("eventlogging-valid-mixed", "eventlogging-valid-mixed"),
        ("eventlogging_{schema}", "eventlogging_Edit"),
        ("{schema}_{revision}.{wiki}", "Edit_7.enwiki"),
        ("{event.action}-{event.page.id}", "open-3"),
        ("{event}", "unknown"),
        ("{nothing}", "unknown"),
        ("{schema.deeper}", "unknown"),
    ],
)
def test_templates(text: str, made: str) -> None:
    assert Template(text)(EVENT) == made


@pytest.mark.parametrize("text", ["{", "}", "{}", "{schema", "{sch ema}", "{0}", "{schema!r}", "{schema:>9}", "{{x}}"])
def test_templates_that_are_none(text: str) -> None:
    with pytest.raises(ConfigurationError, match="template"):
        Template(text)


def test_a_template_shows_nothing_of_the_program() -> None:
    with pytest.raises(ConfigurationError):
        Template("{schema.__class__.__mro__}-{event[0]}")


def test_the_blacklist_matches_from_the_beginning() -> None:
    route = Route("t", None, "^(Edit|MobileWikiAppSearch)$")
    assert route(Record(b"", event={"schema": "Edit"})) is None
    assert route(Record(b"", event={"schema": "EditConflict"})) == ("t", None)
    assert Route("t", None, "Edit")(Record(b"", event={"schema": "EditConflict"})) is None
    assert Route("t", None, "Edit")(Record(b"", event={"schema": "MyEdit"})) == ("t", None)


def test_keys() -> None:
    assert Route("t", "{wiki}", None)(Record(b"", event=EVENT)) == ("t", b"enwiki")
    assert Route("t", None, None)(Record(b"", event=EVENT, key=b"kept")) == ("t", b"kept")


def test_raw_lines_have_no_fields_to_ask() -> None:
    assert Route("t", None, None, raw=True)(Record(b"line")) == ("t", None)
    for topic, key, blacklist in (("{schema}", None, None), ("t", "{wiki}", None), ("t", None, "Edit")):
        with pytest.raises(ConfigurationError, match="only parsed events"):
            Route(topic, key, blacklist, raw=True)


@given(st.text(max_size=300))
def test_every_value_gives_a_topic_that_kafka_takes(value: str) -> None:
    routed = Route("clicks_{event.action}", None, None)(Record(b"", event={"schema": "A", "event": {"action": value}}))
    assert routed is not None
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,249}", routed[0])


SCHEMAS = st.text("Ab._/-: ", min_size=1, max_size=4)


@given(st.lists(st.tuples(SCHEMAS, st.sampled_from(["x", "b_x"])), min_size=1, max_size=12))
@pytest.mark.parametrize("topic", ["eventlogging_{schema}", "{schema}_{event.action}", "{event.action}{schema}"])
def test_a_topic_that_two_schemas_lead_to_is_asked_for_as_their_own(topic: str, events: list[tuple[str, str]]) -> None:
    route = Route(topic, None, None)
    given_to: dict[str, set[str]] = {}
    for schema, action in events:
        routed = route(Record(b"", event={"schema": schema, "event": {"action": action}}))
        assert routed is not None
        if isinstance(routed[0], OwnTopic):
            assert routed[0].schema == schema
        else:
            given_to.setdefault(routed[0], set()).add(schema)
    assert all(len(schemas) == 1 for schemas in given_to.values())


def test_a_topic_of_which_no_other_name_can_be_made_is_not_asked_for() -> None:
    route = Route("event_logging_{schema}", None, None)
    assert route(Record(b"", event={"schema": "Foo.Bar"})) == ("event_logging_Foo.Bar", None)
    for schema in ("Foo/Bar", "Foo_Bar"):
        owned = OwnTopic("event_logging_Foo_Bar", schema, "Foo_Bar")
        assert route(Record(b"", event={"schema": schema})) == (owned, None)
    with pytest.raises(InvalidEventError, match="Kafka takes 249"):
        route(Record(b"", event={"schema": "x" * 240}))
