# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Format strings, and the lines that they parse; what is wrong with either is told in one sentence."""

from __future__ import annotations

import calendar
import json
import re
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elworkers.core.errors import ConfigurationError, InvalidEventError
from elworkers.events import user_agent
from elworkers.events.parse import compile_format, unix_seconds

TIME = "2016-07-29T12:34:56"
SECONDS = 1_469_795_696


def parsed(text: str, line: str) -> dict[str, Any]:
    return compile_format(text)(line.encode())


def error_of(text: str, line: bytes) -> str:
    with pytest.raises(InvalidEventError) as caught:
        compile_format(text)(line)
    assert caught.value.code == "processor"
    return caught.value.message


@pytest.mark.parametrize(
    ("text", "line", "event"),
    [
        ("%j", '{"a":1}', {"a": 1}),
        ("%j", '{"a": "b c"}\r\n', {"a": "b c"}),
        ("%j", "{} \t", {}),
        ("%j x", '{"a":1} x', {"a": 1}),
        ("%q", "?%7B%22a%22:%22b+c%22%7D;", {"a": "b c"}),
        ("%q", "??{};;", {}),
        ("%t %j", f"{TIME} {{}}", {"timestamp": SECONDS}),
        ("%D %j", f"{TIME} {{}}", {"dt": TIME}),
        ("%h %j", "1.2.3.4 {}", {"clientIp": "1.2.3.4"}),
        ("%l %j", "cp1\t{}", {"recvFrom": "cp1"}),
        ("%n %j", "007 {}", {"seqId": 7}),
        ("%o %j", "x {}", {}),
        ("%o %o %j", "x y {}", {}),
        ("%{a}i %j", "b c\t{}", {"a": "b c"}),
        ("%{a}s %j", "b {}", {"a": "b"}),
        ("%{a_1}d %j", "12 {}", {"a_1": 12}),
        ("%% a.b %j", "% a.b {}", {}),
        (" %j ", "{}", {}),
        ("%j\t \t%h", "{}\n 1", {"clientIp": "1"}),
        ("%j %{a}i", "{}\tb \r\n", {"a": "b "}),
        ("%j %{a}i", "{}\tbX", {"a": "bX"}),
    ],
)
def test_specifiers(text: str, line: str, event: dict[str, Any]) -> None:
    found = parsed(text, line)
    assert json.dumps(found) == json.dumps(event)


@pytest.mark.parametrize("line", ['"WikipediaApp/2.1X"', "WikipediaApp/2.1X"])
def test_a_user_agent_is_parsed_without_its_quotes(line: str) -> None:
    found = parsed("%j %u", f"{{}}\t{line}")
    assert found == {"userAgent": user_agent.parsed("WikipediaApp/2.1X")}
    assert found["userAgent"]["wmf_app_version"] == "2.1X"


def test_what_the_capsule_says_itself_holds_and_is_converted() -> None:
    assert parsed("%j %t %n %l", f'{{"timestamp":"{TIME}","seqId":"12","recvFrom":"own"}} {TIME} 7 h') == {
        "timestamp": SECONDS,
        "seqId": 12,
        "recvFrom": "own",
    }
    assert parsed("%j %t %n %u", f'{{"timestamp":5,"seqId":1.5,"userAgent":[1]}} {TIME} 7 x') == {
        "timestamp": 5,
        "seqId": 1.5,
        "userAgent": [1],
    }


@pytest.mark.parametrize(
    ("given_id", "found"),
    [
        ("-12", -12),
        ("9" * 4000, int("9" * 4000)),
        ("9" * 4001, "9" * 4001),
        ("x", "x"),
        ("", ""),
        ("1x", "1x"),
        ("٣", "٣"),
    ],
)
def test_digits_in_a_string_are_an_integer(given_id: str, found: object) -> None:
    assert parsed("%j %n", f'{{"seqId":{json.dumps(given_id)}}} 7') == {"seqId": found}


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("%j", b"{}\xff", "the line is not UTF-8 (byte 3)"),
        ("%j", b"", "the line does not match the format '%j'"),
        ("%j a.b", b"{} axb", "the line does not match the format '%j a.b'"),
        ("%n %j", "٣ {}".encode(), "the line does not match the format '%n %j'"),
        ("%q", b"?%7B%7", "the query string breaks off in a percent escape, or has a bad one"),
        ("%q", b"?%7g", "the query string breaks off in a percent escape, or has a bad one"),
        ("%q", b"?X{}", "not JSON: Expecting value: line 1 column 1 (char 0)"),
        ("%q", b"?{}X", "not JSON: Extra data: line 1 column 3 (char 2)"),
        ("%q", b"?%ff", "the query string is not UTF-8 behind its percent escapes"),
        ("%j %D", b"{} 2016-02-30T00:00:00", "there is no such time as '2016-02-30T00:00:00'"),
        ("%D %j", b'2016-02-30T00:00:00 {"dt":"now"}', "timestamp 'now'; expected YYYY-MM-DDTHH:MM:SS"),
    ],
)
def test_what_is_wrong_with_a_line_is_told(text: str, line: bytes, message: str) -> None:
    assert error_of(text, line) == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("%h", "format '%h' has no capsule; expected %j or %q in it"),
        ("%j %q", "format '%j %q': '%q' at position 4 is a second capsule; expected one %j or %q"),
        (
            "%j %x",
            "format '%j %x': '%x' at position 4 is no specifier; "
            "expected one of %j %q %t %D %h %l %n %u %o %{name}i %{name}s %{name}d",
        ),
        ("%j %", "format '%j %': '%' at position 4 is no specifier"),
        ("%j %i", "format '%j %i': '%i' at position 4 is no specifier"),
        ("%{a}j", "format '%{a}j': '%{a}j' at position 1 is no specifier"),
        ("%j %{a}h", "format '%j %{a}h': '%{a}h' at position 4 is no specifier"),
        (
            "%j %{1}s",
            "format '%j %{1}s': '%{1}s' at position 4 has no field name; "
            "expected letters, digits and '_' in the braces",
        ),
        ("%j %{é}s", "format '%j %{é}s': '%{é}s' at position 4 has no field name"),
        ("%j %h %h", "format '%j %h %h': '%h' at position 7 sets the field clientIp a second time"),
        ("%j %{capsule}s", "format '%j %{capsule}s': '%{capsule}s' at position 4 sets the field capsule a second time"),
    ],
)
def test_what_is_wrong_with_a_format_is_told(text: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^{re.escape(message)}"):
        compile_format(text)


@pytest.mark.parametrize(
    ("text", "from_client"),
    [("%j", False), ("a%%b %j %{x}d", False), ("%q %{recvFrom}s %{seqId}d %t %o %u", True), ("%D %h %q", True)],
)
def test_a_parser_has_a_line_of_its_format(text: str, from_client: bool) -> None:
    parser = compile_format(f" {text}\n")
    assert (parser.format, parser.from_client) == (text, from_client)
    assert parser(parser.sample)["schema"] == "EventError"


def test_the_sample_has_a_word_for_each_specifier() -> None:
    sample = compile_format("%q %% a %{x}d  %t %D %h").sample.decode().split("\t")
    assert sample[0].startswith("?" + quote('{"schema":"EventError"'))
    assert sample[1:] == ["%", "a", "1", TIME, TIME, "1"]


@given(st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31)))  # noqa: DTZ001 - made of UTC below
def test_every_time_is_that_of_the_calendar(when: datetime) -> None:
    seconds = unix_seconds(when.strftime(f"{when.year:04}-%m-%dT%H:%M:%S"))
    assert seconds == calendar.timegm(when.timetuple())
    assert datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None) == when.replace(microsecond=0)


@pytest.mark.parametrize(
    ("time", "seconds"),
    [
        ("2016-12-31T23:59:60", 1_483_228_800),
        ("2016-02-29T00:00:00", 1_456_704_000),
        ("2016-01-01T00:00:00", 1_451_606_400),
        (f"{TIME}.123Z", SECONDS),
        (None, None),
        (1.5, 1.5),
    ],
)
def test_times(time: object, seconds: object) -> None:
    assert unix_seconds(time) == seconds


@pytest.mark.parametrize("day", ["00-01", "13-01", "01-00", "01-32", "04-31", "02-30"])
def test_days_that_are_none(day: str) -> None:
    for year in ("2016", "0000"):
        with pytest.raises(InvalidEventError, match=r"^there is no such time as"):
            unix_seconds(f"{year}-{day}T00:00:00")


@pytest.mark.parametrize(
    "time", ["2015-02-29T00:00:00", "2016-01-01T24:00:00", "2016-01-01T00:60:00", "2016-01-01T00:00:61"]
)
def test_times_that_are_none(time: str) -> None:
    with pytest.raises(InvalidEventError, match=f"^there is no such time as '{time}'$"):
        unix_seconds(time)
    with pytest.raises(InvalidEventError, match=f"^there is no such time as '{time}{'x' * 61}'$"):
        unix_seconds(time + "x" * 70)


@pytest.mark.parametrize("time", ["", "2016-07-29 12:34:56", "٢٠16-07-29T12:34:56", "x" * 90])
def test_what_is_no_time_is_shown_shortly(time: str) -> None:
    message = f"timestamp {time[:80]!r}; expected YYYY-MM-DDTHH:MM:SS"
    with pytest.raises(InvalidEventError, match=f"^{re.escape(message)}$"):
        unix_seconds(time)
