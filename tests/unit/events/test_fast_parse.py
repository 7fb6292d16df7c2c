# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Columns beside the parser that takes every line: whatever they read, it reads the same."""

from __future__ import annotations

import gzip
import json
import textwrap
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote_to_bytes

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from elworkers.core.errors import InvalidEventError
from elworkers.events import fast_parse
from elworkers.events.fast_parse import FastParser, unquote_query
from elworkers.events.json_text import orjson_is_exact
from elworkers.events.parse import compile_format

DEMO = Path(__file__).parent.parent.parent.parent / "demo"
CLIENT_SIDE = "%q %{recvFrom}s %{seqId}d %t %o %u"
FORMATS = [
    CLIENT_SIDE,
    "%q %{recvFrom}s %{seqId}d %t %o %{userAgent}i",
    "%q %{recvFrom}s %{seqId}d %D %{ip}i %u",
    "%{seqId}d EventLogging %j",
    "%j",
    "%j %{a}s",
    "%q %u %{x}d %D %h",
    "%h x %q",
    "a%%b %j",
    'x="%u" %j',
]


@cache
def readers(text: str) -> tuple[FastParser, Callable[[bytes], dict[str, Any]]]:
    """The fast and the slow parser of a format, made once as a stage makes them."""
    return FastParser(text), compile_format(text)


def same(text: str, line: bytes) -> dict[str, Any] | None:
    """What the columns read, after the slow parser has been seen to read the same where both have to."""
    columns, parse = readers(text)
    found = columns.read(line)
    if found is not None and orjson_is_exact(columns.capsule_json(line)):
        assert json.dumps(found) == json.dumps(parse(line))
    return found


@settings(max_examples=500)
@given(st.binary(max_size=30) | st.text(alphabet="%=+3Dd0aF \0_?;ж", max_size=30).map(str.encode))
@example(b"%=")
@example(b"==")
@example(b"%3")
@example(b"%")
@example(b"=")
@example(b"%3D%")
@example(b"%+0")
@example(b"%0D%0A+")
@example(b"%3d%253D")
def test_escapes_are_those_of_urllib(text: bytes) -> None:
    text = text.replace(b"\r", b"").replace(b"\n", b"").lstrip(b"?").rstrip(b";")
    hex_digits = b"0123456789abcdefABCDEF"
    bad = any(len(part) < 2 or part[0] not in hex_digits or part[1] not in hex_digits for part in text.split(b"%")[1:])
    if bad:
        with pytest.raises(ValueError, match="escape"):
            unquote_query(b"?" + text)
    else:
        assert unquote_query(b"?" + text) == unquote_to_bytes(text.replace(b"+", b" "))


TIMES = st.sampled_from(("2016-07-29T12:34:56", "2016-07-29T12:34:60", "2016-02-30T12:34:56", "2016-07-29T12:34:5"))
TEXTS = st.sampled_from(("h", "-", "x", "EventLogging", '"agent of (it)"', "a b", "", "\x1c", "\x85", "ж", "\u2028"))
WHOLE = st.sampled_from(("12", "007", "9" * 18, "9" * 19, "٣", "1_0", "-1", "+1"))
WORDS = TIMES | TEXTS | WHOLE
CAPSULES = st.sampled_from(
    [
        {},
        {"event": {"a": 1}},
        {"event": {"a": "x\ty z"}, "b": "ж𝄞\0"},
        {"seqId": 5},
        {"recvFrom": "x", "timestamp": "no time"},
        {"userAgent": 1},
        {"event": 1e300, "b": [1.0, -0.0, 2**53]},
    ]
)
ODD = (
    *("[]", "{", "NaN", '{"a":NaN}', '{"a":1e999}', '{"a":-0}', '{"a":1,"b":2,"a":3}', '{"a":"\\ud800"}', '{"a":"\t"}'),
    *('{"a":99999999999999999999}', '{"a":' + "[" * 101 + "]" * 101 + "}", '{"a":01}', '\ufeff{"a":1}', "{} {}"),
)
COMPACT = CAPSULES.map(lambda capsule: json.dumps(capsule, separators=(",", ":")))
JSON = COMPACT | COMPACT | CAPSULES.map(json.dumps) | st.sampled_from(ODD)
QUERIES = st.builds(
    lambda before, text, after: before + text + after,
    st.sampled_from(["?", "?", "??", "", "?%"]),
    JSON.map(lambda text: quote(text, safe=""))
    | JSON.map(lambda text: quote(text, safe='{}":,[]').replace("%20", "+")),
    st.sampled_from(["", ";", ";;", ";", "%", "%2", "=", "?"]),
)
BLANKS = st.just("\t") | st.just("\t") | st.sampled_from([" ", "  ", "\t\t", "\x0b", "\x1c", "\xa0"])
LINES = st.builds(
    lambda parts, blanks, before, after: (
        before + "".join(part + blank for part, blank in zip(parts, [*blanks, ""], strict=False)) + after
    ).encode(),
    st.lists(QUERIES | JSON | WORDS, min_size=1, max_size=7),
    st.lists(BLANKS, min_size=6, max_size=6),
    st.sampled_from(["", "", "", " ", "\n"]),
    st.sampled_from(["", "", "\n", "\r\n", " ", "\t"]),
)


def test_the_documented_code_is_what_is_generated() -> None:
    documented = textwrap.dedent((fast_parse.__doc__ or "").split("::\n\n")[1].split("\n\n")[0])
    assert documented == FastParser(CLIENT_SIDE).source


@pytest.mark.parametrize("text", FORMATS)
def test_the_usual_line_of_each_format_takes_the_fast_path(text: str) -> None:
    is_in_columns = text not in ("a%%b %j", 'x="%u" %j')
    # The capsule of the sample has a field that some of the formats set, which is unusual.
    found = same(text, compile_format(text).sample.replace(b"recvFrom", b"receiver"))
    assert (found is not None) == is_in_columns
    assert bool(FastParser(text).source) == is_in_columns


@settings(max_examples=500)
@given(st.sampled_from(FORMATS), LINES)
def test_what_columns_read_the_parser_reads_the_same(text: str, line: bytes) -> None:
    same(text, line)


@st.composite
def fitting(draw: st.DrawFn) -> tuple[str, bytes]:
    """A format and a line that often fits it."""
    text = draw(st.sampled_from(FORMATS[:8]))
    tidy = draw(st.booleans())
    usual: dict[str, tuple[st.SearchStrategy[str], st.SearchStrategy[str]]] = {
        "q": (COMPACT.map(lambda one: "?" + quote(one, safe="") + ";"), QUERIES),
        "j": (COMPACT, JSON),
        "t": (st.just("2016-07-29T12:34:56"), TIMES),
        "D": (st.just("2016-07-29T12:34:56"), TIMES),
        "d": (st.just("12"), WHOLE),
        "u": (TEXTS, WORDS),
        "i": (TEXTS, WORDS),
    }
    words = []
    for specifier in text.split():
        kind = specifier[-1] if specifier.startswith("%") else ""
        tidy_word, any_word = usual.get(kind, (st.just("h" if kind else specifier), WORDS))
        words.append(draw(tidy_word if tidy else tidy_word | any_word))
    blanks = ["\t" if tidy else draw(BLANKS) for _ in words[1:]]
    line = "".join(word + blank for word, blank in zip(words, [*blanks, ""], strict=True))
    return text, (line + draw(st.sampled_from(["", "", "\n", " ", "\t"]))).encode()


@settings(max_examples=500)
@given(fitting())
def test_what_columns_read_of_lines_that_fit_the_parser_reads_the_same(case: tuple[str, bytes]) -> None:
    same(*case)


@given(st.sampled_from(FORMATS), st.binary(max_size=200))
def test_any_bytes(text: str, line: bytes) -> None:
    same(text, line)


@pytest.mark.parametrize(
    ("file", "text", "before", "every"),
    [
        ("client-side-lines.txt.gz", CLIENT_SIDE, b"", 1),
        # Their columns are what differs, and those are alike in all lines.
        ("client-side-lines.txt.gz", FORMATS[1], b"", 8),
        ("client-side-lines.txt.gz", FORMATS[2], b"", 8),
        ("server-side-lines.txt.gz", "%{seqId}d EventLogging %j", b"7\t", 1),
    ],
)
def test_recorded_lines_are_read_by_column_but_those_that_are_cut(
    file: str, text: str, before: bytes, every: int
) -> None:
    parse = compile_format(text)
    left = 0
    for line in gzip.decompress((DEMO / file).read_bytes()).splitlines()[::every]:
        if same(text, before + line) is None:
            left += 1
            with pytest.raises(InvalidEventError):
                parse(before + line)
    assert left <= 100


@pytest.mark.parametrize("line", [b"7 EventLogging {}", b"7\tEventLogging\t {} ", b"7 \t EventLogging {}\r\n"])
def test_white_space_may_be_of_any_kind(line: bytes) -> None:
    assert same("%{seqId}d EventLogging %j", line) == {"seqId": 7}
