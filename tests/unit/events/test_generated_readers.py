# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""The reader that is generated for a format: its code, the lines it reads, and those that it leaves to the parser."""

from __future__ import annotations

from typing import Any

import pytest

from elworkers.events.fast_parse import FastParser, unquote_query
from elworkers.events.parse import compile_format


@pytest.mark.parametrize(
    ("text", "splits", "unusual", "fields"),
    [
        (
            "%{seqId}d EventLogging %j",
            2,
            ["len(columns) != 3", "columns[1] != b'EventLogging'"],
            ["event['seqId'] = convert_0(columns[0])"],
        ),
        (
            "%j %{a}s",
            2,
            ["len(columns) != 2", "line[-1] < 33"],
            ["event['a'] = convert_1(columns[1])"],
        ),
        (
            "%{a}i %{b}i %j",
            2,
            ["len(columns) != 3", "columns != line.split(b'\\t')"],
            ["event['a'] = convert_0(columns[0])", "event['b'] = convert_1(columns[1])"],
        ),
        (
            "%u %h %j x",
            4,
            ["len(columns) != 4", "columns[3] != b'x'", "line[-1] < 33", "columns != line.split(b'\\t')"],
            ["event['userAgent'] = convert_0(columns[0])", "event['clientIp'] = convert_1(columns[1])"],
        ),
        (
            "%j %{a}i %h",
            3,
            ["len(columns) != 3", "line[-1] < 33", "columns != line.split(b'\\t')"],
            ["event['a'] = convert_1(columns[1])", "event['clientIp'] = convert_2(columns[2])"],
        ),
        (
            "%j %u %{a}i",
            2,
            ["len(columns) != 3", "9 in columns[-1]", "columns != line.split(b'\\t')"],
            ["event['userAgent'] = convert_1(columns[1])", "event['a'] = convert_2(columns[2])"],
        ),
        (
            "%j %D %{a}i",
            2,
            ["len(columns) != 3", "9 in columns[-1]"],
            ["event['dt'] = convert_1(columns[1])", "event['a'] = convert_2(columns[2])"],
        ),
    ],
)
def test_a_reader_has_only_the_tests_that_its_format_needs(
    text: str, splits: int, unusual: list[str], fields: list[str]
) -> None:
    lines = [line.strip().removeprefix("or ") for line in FastParser(text).source.splitlines()]
    usual = ["line[0] < 33", "not (line.isascii() or is_utf8(line))"]
    assert lines[2] == f"columns = line.split(None, {splits})"
    assert lines[4 : lines.index("):")] == [unusual[0], *usual, *unusual[1:]]
    at = lines.index(f"expected = len(event) + {len(fields)}")
    assert lines[at + 1 : -3] == fields


@pytest.mark.parametrize(
    ("text", "line", "event"),
    [
        ("%j", b'{"a":"\xd0\xb6"}\r\n', {"a": "ж"}),
        ("%q x", b"?%7B%7D;\tx", {}),
        ("%{a}i %{b}i %j", b'h\ti j k\t{"c":1}', None),
        ("%{a}i %{b}i %j", b'h\ti\t{"c":1}', {"c": 1, "a": "h", "b": "i"}),
        ("%j %D", b"{}\t2016-07-29T12:34:56", {"dt": "2016-07-29T12:34:56"}),
        ("%j %t", b"{}\t2016-07-29T12:34:56", {"timestamp": 1_469_795_696}),
        ("%j %t", b"{}\t2016-07-29T12:34:5", None),
        ("%j %t", b"{}\t2016-07-29T12:34:56Z", None),
        ("%j %t", b"{}\t2016-02-30T12:34:56", None),
        ("%j %{a}d", b"{}\t" + b"9" * 18, {"a": int("9" * 18)}),
        ("%j %{a}d", b"{}\t" + b"9" * 19, None),
        ("%j %{a}d", b"{}\t-1", None),
        ("%j %{a}s", b'{"a":1}\tx', None),
        ("%j %{a}s", b"[]\tx", None),
        ("%j %{a}s", b"{}\tx y", None),
        ("%j %{a}s", b"{}\t\xff", None),
        ("%j", b"\xff", None),
        ("%j %o", b"{}\t\xff", None),
        ("%j %o", "{}\tж".encode(), {}),
        ("%j", b"", None),
    ],
)
def test_lines(text: str, line: bytes, event: dict[str, Any] | None) -> None:
    assert FastParser(text).read(line) == event
    if event is not None:
        assert compile_format(text)(line) == event


@pytest.mark.parametrize(
    ("text", "line", "capsule"),
    [
        ("%j %{a}s", b'{"a":1}\tx\r\n', b'{"a":1}'),
        ("%{a}s %j", b'x\t{"a": "b c"}\r\n', b'{"a": "b c"}'),
        ("%h %q x", b"x\t?%7B%7D;\tx", b"{}"),
    ],
)
def test_the_text_of_a_capsule(text: str, line: bytes, capsule: bytes) -> None:
    assert FastParser(text).capsule_json(line) == capsule


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (b"", "no query string"),
        (b"{}", "no query string"),
        (b"x?{}", "no query string"),
        (b"?%", "a percent escape is bad or breaks off"),
        (b"?a%3", "a percent escape is bad or breaks off"),
        (b"?%3D%zz", "a percent escape is bad or breaks off"),
    ],
)
def test_what_is_no_query_string_is_told(query: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        unquote_query(query)


@pytest.mark.parametrize(
    ("query", "text"), [(b"??a;;", b"a"), (b"?;a?;", b";a?"), (b"?", b""), (b"?a+%2B%3D=", b"a +==")]
)
def test_what_a_query_string_holds(query: bytes, text: bytes) -> None:
    assert unquote_query(query) == text


@pytest.mark.parametrize("text", ["a%%b %j", 'x="%u" %j', "%j %x", "%j %{a", "%{a}j", "%j %{é}s"])
def test_what_is_no_row_of_columns_is_left_to_the_slow_parser(text: str) -> None:
    parser = FastParser(text)
    assert parser.source == ""
    assert parser.read(b"{}") is None
