# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Format strings of topics and keys: what they become, and what is said of those that are none."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elworkers.config.templates import Template, field_of, template, topic_template
from elworkers.core.errors import ConfigurationError


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("", ""),
        ("all", "all"),
        ("eventlogging_{schema}", "eventlogging_{schema}"),
        ("eventlogging_%(schema)s", "eventlogging_{schema}"),
        ("%(revision)d%(recvFrom)i", "{revision}{recvFrom}"),
        ("{meta[topic]}.{event.page[id]}", "{meta.topic}.{event.page.id}"),
        ("%(meta[topic])s", "{meta.topic}"),
    ],
)
def test_both_ways_to_write_a_field_become_one(text: str, made: str) -> None:
    assert template(text) == made
    assert template(made) == made


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a{}", "a field's name such as {schema} instead of {}"),
        ("a%(1)s", "a field's name such as {schema} instead of %(1)s"),
        ("{a.}", "a field's name such as {schema} instead of {a.}"),
        ("{schema", "each brace with its partner"),
        ("schema}", "each brace with its partner"),
        ("{a}{b", "each brace with its partner"),
        ("%(schema)", "%(name)s, or {name}, for each field"),
        ("{a}%(schema", "%(name)s, or {name}, for each field"),
    ],
)
def test_what_is_no_template_is_told_what_was_expected(text: str, expected: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}$"):
        template(text)
    with pytest.raises(ConfigurationError, match=f"^{re.escape(f'template {text!r}; expected {expected}')}$"):
        Template(text)


@pytest.mark.parametrize("text", ["a", "a.b", "{schema}", "a_{x.y}-%(z)s", "...", ".a", "x" * 249, "{a}" + "x" * 246])
def test_topics(text: str) -> None:
    assert topic_template(text) == template(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a b", "a topic of letters, digits, '.', '_', '-' and fields as {schema}; the character at position 2 is ' '"),
        ("{schema}/x", "the character at position 9 is '/'"),
        ("%(schema)s:x", "the character at position 11 is ':'"),
        ("", "a topic of 1 to 249 characters other than '.' and '..'"),
        (".", "a topic of 1 to 249 characters other than '.' and '..'"),
        ("..", "a topic of 1 to 249 characters other than '.' and '..'"),
        ("x" * 250, "a topic of 1 to 249 characters other than '.' and '..'"),
        ("{schema", "each brace with its partner"),
    ],
)
def test_what_no_topic_can_be_is_told_what_was_expected(text: str, expected: str) -> None:
    with pytest.raises(ValueError, match=f"{re.escape(expected)}$"):
        topic_template(text)


@pytest.mark.parametrize(
    ("text", "constant", "required", "single"),
    [
        ("all", True, set(), None),
        ("{schema}", False, {"schema"}, "schema"),
        ("a_{schema}_b", False, {"schema"}, "schema"),
        ("{event.action}", False, {"event"}, None),
        ("{schema}{wiki}", False, {"schema", "wiki"}, None),
        ("{event.page.id}-{schema}", False, {"event", "schema"}, None),
    ],
)
def test_a_template_says_what_it_asks_an_event_for(
    text: str, constant: bool, required: set[str], single: str | None
) -> None:
    made = Template(text)
    assert (made.is_constant, made.required_fields, made.single_field) == (constant, required, single)


@pytest.mark.parametrize(
    ("event", "name", "text"),
    [
        ({"a": "x"}, "a", "x"),
        ({"a": ""}, "a", ""),
        ({"a": 0}, "a", "0"),
        ({"a": False}, "a", "False"),
        ({"a": None}, "a", "unknown"),
        ({"a": []}, "a", "unknown"),
        ({"a": {}}, "a", "unknown"),
        ({"a": {"b": {"c": 3}}}, "a.b.c", "3"),
        ({"a": "x"}, "a.b", "unknown"),
        ({}, "a", "unknown"),
        (None, "a", "unknown"),
    ],
)
def test_a_field_as_text(event: dict[str, object] | None, name: str, text: str) -> None:
    assert field_of(event, name) == text
    assert Template(f"<{{{name}}}>")(event) == f"<{text}>"


@given(st.text("{}%()sd.[]aB_1-/", max_size=12))
def test_whatever_is_taken_for_a_topic_is_taken_for_a_template(text: str) -> None:
    try:
        made = topic_template(text)
    except ValueError:
        return
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,249}", Template(made)(None))
