# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""JSON text to objects and back."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elworkers.core.errors import InvalidEventError
from elworkers.events import json_text
from elworkers.events.json_text import parse_object, read_object, to_bytes

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(TEXT, JSON, max_size=5))
def test_what_is_written_is_read_again(value: dict[str, Any]) -> None:
    assert parse_object(to_bytes(value).decode("utf-8")) == value
    assert parse_object(json.dumps(value)) == value


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not JSON"),
        ("[]", "is no object but list"),
        ('"text"', "is no object but str"),
        ("{} {}", "not JSON"),
        ('{"a": NaN}', "NaN is no JSON number"),
        ('{"a": Infinity}', "Infinity is no JSON number"),
        ('{"a": "\\ud83d"}', "lone surrogate"),
        ('{"\\udc00": 1}', "lone surrogate"),
        ('{"a": ' + "9" * 10_000 + "}", "not JSON"),
        ('{"a": ' + "[" * 10_000 + "]" * 10_000 + "}", "nested too deeply|nested deeper than"),
        ('{"a": ' * 10_000 + "1" + "}" * 10_000, "nested too deeply|nested deeper than"),
    ],
)
def test_what_is_no_object_or_cannot_be_written_again(text: str, said: str) -> None:
    with pytest.raises(InvalidEventError, match=said):
        parse_object(text)


def test_a_pair_of_surrogates_is_a_character() -> None:
    assert parse_object('{"a": "\\ud834\\udd1e"}') == {"a": "𝄞"}


def test_a_number_too_large_for_a_double_is_no_number_that_can_be_written() -> None:
    with pytest.raises(InvalidEventError, match="too large for a double"):
        to_bytes(parse_object('{"a": 1e999}'))


def read_or_said(read: Any, data: Any) -> Any:
    try:
        return json.dumps(read(data))
    except InvalidEventError as error:
        return error.message


@given(
    st.dictionaries(st.text(max_size=3), JSON, max_size=4).map(json.dumps)
    | st.sampled_from(
        [
            '{"a": 18446744073709551616}',
            '{"a": -9223372036854775809}',
            '{"a": 1e999}',
            '{"a": NaN}',
            '{"a": "\\ud800"}',
            '{"a": 1, "a": 2}',
            '{"a": -0.0, "b": 1E5, "c": 1.0}',
            '{"a":' * 101 + "1" + "}" * 101,
            "[1]",
            "",
            '{"a": 1} x',
        ]
    )
)
def test_bytes_are_read_as_their_text_is(text: str) -> None:
    assert read_or_said(read_object, text.encode()) == read_or_said(parse_object, text)


def test_bytes_that_are_no_text_are_rejected() -> None:
    with pytest.raises(InvalidEventError, match="the message is not UTF-8"):
        read_object(b'{"a": "\xff"}')


@pytest.mark.parametrize(
    ("text", "is_fast"),
    [
        (b'{"a": 1}', True),
        (b'{"a": 999999999999999999}', True),
        (b'{"a": 9999999999999999999}', False),
        (b'{"a":' * 100 + b"1" + b"}" * 100, True),
        (b'{"a":' * 100 + b"[]" + b"}" * 100, False),
        (b"[1]", False),
    ],
)
def test_only_what_orjson_may_read_differently_is_parsed_again(
    text: bytes, is_fast: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed: list[str] = []

    def parse(text: str) -> dict[str, Any]:
        parsed.append(text)
        return {}

    monkeypatch.setattr(json_text, "parse_object", parse)
    read_object(text)
    assert parsed == ([] if is_fast else [text.decode()])
