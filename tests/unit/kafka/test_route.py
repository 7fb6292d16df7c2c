# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Where a Kafka output sends records."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elworkers.config.templates import Template
from elworkers.connectors.kafka import route as route_module
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
        with pytest.raises(
            ConfigurationError, match=r"^kafka URI: topic, key and blacklist can ask only parsed events"
        ):
            Route(topic, key, blacklist, raw=True)
    assert Route("t", "k", None, raw=True)(Record(b"line")) == ("t", b"k")


def test_whether_all_goes_to_one_topic() -> None:
    assert Route("t", "{wiki}", "Edit").is_constant
    assert not Route("{schema}", None, None).is_constant


def test_lines_that_were_not_parsed_go_to_unknown() -> None:
    assert Route("{schema}", None, "Edit")(Record(b"line")) == ("unknown", None)


@pytest.mark.parametrize("value", [{"a": 1}, ["a"], None])
def test_what_is_no_text_is_unknown(value: Any) -> None:
    route = Route("a_{wiki}", "{wiki}", None)
    assert [route(Record(b"", event={"wiki": value})) for _ in range(2)] == [("a_unknown", b"unknown")] * 2


def test_numbers_that_are_equal_are_written_as_they_are() -> None:
    route = Route("{revision}", None, None)
    assert [route(Record(b"", event={"revision": one})) for one in (1, 1.0, True, "1")] == [
        ("1", None),
        ("1.0", None),
        ("True", None),
        ("1", None),
    ]


class Asked(dict[str, Any]):
    """An event that counts how often it is asked for a field."""

    count = 0

    def get(self, *arguments: Any) -> Any:
        self.count += 1
        return super().get(*arguments)


def test_the_topic_of_a_value_is_made_once() -> None:
    route = Route("eventlogging_{schema}", None, None)
    for schema in ("Foo_Bar", "Edit"):
        first, second = (Asked(EVENT, schema=schema) for _ in range(2))
        made = route(Record(b"", event=first))
        again = route(Record(b"", event=second))
        assert made is not None
        assert again == made
        assert (first.count > 1, second.count) == (True, 1), "the second time it is looked up by the field"


def test_a_topic_of_several_fields_is_made_once_while_it_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(route_module, "_MAX_NAMES", 3)
    route = Route("{schema}_{wiki}", None, None)

    def topic(schema: str) -> Any:
        routed = route(Record(b"", event={"schema": schema, "wiki": "w"}))
        assert routed is not None
        return routed[0]

    first = topic("A")
    for schema in "BCD":
        topic(schema)
    assert topic("A") is first
    topic("E")
    assert topic("A") == first
    assert topic("A") is not first, "no more than that are remembered"


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


def test_a_topic_that_is_too_long_for_kafka_is_the_events_fault() -> None:
    route = Route("{schema}", None, None)
    assert route(Record(b"", event={"schema": "x" * 249})) == ("x" * 249, None)
    with pytest.raises(InvalidEventError) as caught:
        route(Record(b"", event={"schema": "x" * 250}))
    assert caught.value.message == f"the topic of schema {'x' * 100} would have 250 characters; Kafka takes 249"
    assert caught.value.code == "storage"
