# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Bodies of POST requests become query strings."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elworkers.connectors.http.bodies import BodyError, queries

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


def read(query: bytes) -> Any:
    assert query.startswith(b"?")
    assert query.endswith(b";")
    assert not set(query) & set(b" \t\r\n")
    return json.loads(unquote(query[1:-1].decode("ascii")))


@given(st.dictionaries(st.text(), VALUES, max_size=4), st.sampled_from([None, 0, 2]))
def test_one_event(event: dict[str, Any], indent: int | None) -> None:
    (query,) = queries(json.dumps(event, indent=indent).encode())
    assert read(query) == event


@given(st.lists(VALUES, min_size=1, max_size=5), st.sampled_from([None, 0, 2]))
def test_every_element_of_a_batch_goes_on(events: list[Any], indent: int | None) -> None:
    assert [read(query) for query in queries(json.dumps(events, indent=indent).encode())] == events


def test_numbers_keep_their_text() -> None:
    (query,) = queries(b'[{"a": 1.10, "b": 123456789012345678901234567890, "c": 1e400}]')
    assert unquote(query.decode()) == '?{"a": 1.10, "b": 123456789012345678901234567890, "c": 1e400};'


def test_escapes_are_those_of_the_browser() -> None:
    assert queries('{"é":"a b+c(d)!"}'.encode()) == [b"?%7B%22%C3%A9%22%3A%22a%20b%2Bc(d)!%22%7D;"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "not JSON"),
        (b"  ", "not JSON"),
        (b"{", "not JSON"),
        (b'{"a": 1} x', "character 10"),
        (b"[{}] 1", "character 6"),
        (b"[{}, ]", "trailing comma"),
        (b"[{} {}]", "character 5"),
        (b"[{}", "character 4"),
        (b"[]", "holds no event"),
        (b" [ ] ", "holds no event"),
        (b"a=1&b=2", "not JSON"),
        (b'{"a": "\xff"}', "not UTF-8 (byte 8)"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b"9" * 5000, "too many digits"),
    ],
)
def test_what_is_wrong_with_a_body_is_said(body: bytes, words: str) -> None:
    with pytest.raises(BodyError, match=words.replace("(", r"\(").replace(")", r"\)")):
        queries(body)
