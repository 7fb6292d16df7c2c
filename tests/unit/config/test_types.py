# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Texts of options → values, or what was expected."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from elworkers.config import types
from elworkers.config.templates import Template, field_of, topic_template
from elworkers.core.errors import ConfigurationError


@pytest.mark.parametrize(
    ("convert", "text", "value"),
    [
        (types.boolean, "True", True),
        (types.boolean, "no", False),
        (types.integer(1), "1", 1),
        (types.integer(-1), "-1", -1),
        (types.seconds, "0.5", 0.5),
        (types.non_negative, "0.0", 0.0),
        (types.minutes, "55", 55.0),
        (types.choice("a", "b"), "B", "b"),
        (types.pattern, "a.*", "a.*"),
        (types.offset_reset, "Smallest", -2),
        (types.offset_reset, "latest", -1),
        (types.group, "g-1", "g-1"),
        (types.zookeeper, "z1:2181,z2:2181/kafka", "z1:2181,z2:2181/kafka"),
        (types.statsd_prefix, "eventlogging.{host}.x", "eventlogging.{host}.x"),
        (types.constant(True, "why"), "1", True),
        (types.directory, "/srv", Path("/srv")),
        (types.directory, "", None),
        (types.file, __file__, Path(__file__)),
        (types.networks, "127.0.0.1, 10.0.0.0/8,", (ip_network("127.0.0.1"), ip_network("10.0.0.0/8"))),
    ],
)
def test_what_is_meant_is_read(convert: Callable[[str], Any], text: str, value: object) -> None:
    assert convert(text) == value


@pytest.mark.parametrize(
    ("convert", "text", "expected"),
    [
        (types.boolean, "maybe", "True or False"),
        (types.integer(1), "0", "a whole number of at least 1"),
        (types.integer(1), "1.5", "a whole number of at least 1"),
        (types.integer(1), "9" * 19, "a whole number of at least 1"),
        (types.seconds, "0", "a positive number of seconds"),
        (types.seconds, "inf", "a positive number of seconds"),
        (types.non_negative, "-1", "a number of seconds, 0 or more"),
        (types.minutes, "soon", "a positive number of minutes"),
        (types.choice("a", "b"), "c", "one of a, b"),
        (types.pattern, "(", r"a regular expression \(missing \), unterminated subpattern"),
        (types.offset_reset, "middle", "earliest, latest, -2 or -1"),
        (types.group, "a group", "a name of 1 to 249 ASCII characters without blanks, as a-group"),
        (types.group, "größe", "a name of 1 to 249 ASCII characters without blanks$"),
        (types.zookeeper, "z1/a,z2/b", "HOST:PORT,HOST:PORT/CHROOT, the chroot only once at the end"),
        (types.statsd_prefix, "a..b", "letters, digits"),
        (types.constant(True, "it must be so"), "False", "True: it must be so"),
        (types.unsupported, "x", "its value is a Python object, which a URI cannot hold"),
        (types.directory, "srv", "the absolute path of a folder"),
        (types.file, "/no/such/file", "the absolute path of a readable file"),
        (types.file, "/", "the absolute path of a readable file"),
        (types.networks, "10.0.0.1/8", r"addresses or networks, as 127\.0\.0\.1,10\.0\.0\.0/8 \("),
    ],
)
def test_what_is_not_is_an_error_that_says_what_was_expected(
    convert: Callable[[str], Any], text: str, expected: str
) -> None:
    with pytest.raises(ValueError, match=expected):
        convert(text)


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("eventlogging_{schema}", "eventlogging_Edit"),
        ("%(schema)s_%(revision)d", "Edit_1"),
        ("{event[action]}-{event.action}", "save-save"),
        ("{event}.{missing}.{event.action.deeper}", "unknown.unknown.unknown"),
        ("plain", "plain"),
    ],
)
def test_a_template_names_fields_of_the_event(text: str, made: str) -> None:
    event = {"schema": "Edit", "revision": 1, "event": {"action": "save"}}
    assert Template(text)(event) == made


def test_a_template_says_what_it_needs() -> None:
    one, two, none = Template("a_{schema}"), Template("{event.action}{schema}"), Template("plain")
    assert (one.required_fields, one.single_field, one.is_constant) == ({"schema"}, "schema", False)
    assert (two.required_fields, two.single_field) == ({"event", "schema"}, None)
    assert (none.required_fields, none.is_constant) == (frozenset(), True)
    assert field_of(None, "schema") == "unknown"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a_{schema", "each brace with its partner"),
        ("a_%(schema", r"%\(name\)s, or {name}, for each field"),
        ("a_{}", "a field's name such as {schema} instead of {}"),
        ("a_{event.}", "a field's name such as {schema} instead of {event.}"),
    ],
)
def test_what_is_no_template_is_an_error(text: str, expected: str) -> None:
    with pytest.raises(ConfigurationError, match=expected):
        Template(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a b", "the character at position 2 is ' '"),
        ("{schema}/x", "the character at position 9 is '/'"),
        ("..", r"other than '\.' and '\.\.'"),
        ("", "a topic of 1 to 249 characters"),
        ("x" * 250, "a topic of 1 to 249 characters"),
    ],
)
def test_what_no_topic_can_be_called_is_an_error(text: str, expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        topic_template(text)
