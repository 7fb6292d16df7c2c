# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Messages → lines by their places: what is read without making the event is what a JSON parser finds in it."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from elworkers.connectors.kafka.driver import RawMessage
from elworkers.core.metrics import Counters
from elworkers.importer import bucketed_lines
from elworkers.importer.bucketed_lines import BucketedLines, by_hour
from elworkers.importer.hour_bucketer import HourBucketer
from elworkers.importer.hours import HOUR_MS, HourPartition

NOW_MS = 1_480_000_000_000
NOW = NOW_MS // 1000
PAST_MS, FUTURE_MS = 24 * HOUR_MS + 1, HOUR_MS + 999
KAFKA_MS = NOW_MS - 5 * HOUR_MS

SECONDS = st.integers(NOW - 90_000, NOW + 4_000)
MOMENTS = SECONDS.map(lambda seconds: datetime.fromtimestamp(seconds, UTC).isoformat())
SCALARS = (
    st.none()
    | st.booleans()
    | st.text(max_size=8)
    | st.integers()
    | st.sampled_from([10**30, -(10**19), 10**400, 2**64])
    | st.floats()
    | SECONDS
    | SECONDS.map(lambda seconds: seconds + 0.9995)
    | MOMENTS
)
NAMES = st.sampled_from(["timestamp", "dt", "event", "a", '"timestamp', "timestamp\\", "é", ""])
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=6
)
MEMBERS = st.lists(st.tuples(NAMES, VALUES), max_size=5)
BYTES = st.sampled_from([*'"\\{}[],:01-.e \n\r\0', "\\u", '"timestamp":', "NaN"]).map(str.encode) | st.sampled_from(
    [b"\xff", b"\xed\xa0\x80", b"\xef\xbb\xbf"]
)


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    """Objects whose names may come twice, in one of three ways to write them; sometimes with some bytes replaced."""
    ascii_only, gap = draw(st.booleans()), draw(st.sampled_from(["", " ", "\n "]))
    written = [
        f"{json.dumps(name, ensure_ascii=ascii_only)}:{gap}{json.dumps(value, ensure_ascii=ascii_only)}"
        for name, value in draw(MEMBERS)
    ]
    message = (gap + "{" + f",{gap}".join(written) + "}" + gap).encode("utf-8", "surrogatepass")
    for at, length, other in draw(
        st.lists(st.tuples(st.integers(0, 200), st.integers(0, 2), BYTES | st.just(b"")), max_size=2)
    ):
        message = message[:at] + other + message[at + length :]
    return message


def expected(message: bytes, field: str) -> tuple[HourPartition, dict[str, int]]:
    """The place and what is counted, by a parser of all of it."""
    event = parsed(message)
    counted = {} if isinstance(event, dict) else {"import_no_json": 1}
    first, second = ("timestamp", "dt") if field == "timestamp" else ("dt", "timestamp")
    own_ms = None
    if isinstance(event, dict):
        own_ms = milliseconds(event.get(first))
        own_ms = milliseconds(event.get(second)) if own_ms is None else own_ms
    if own_ms is None:
        counted["import_no_time"] = 1
        own_ms = KAFKA_MS
    if own_ms < NOW_MS - PAST_MS:
        return HourPartition(KAFKA_MS // HOUR_MS, "late"), {**counted, "import_late": 1}
    if own_ms > NOW_MS + FUTURE_MS:
        return HourPartition(KAFKA_MS // HOUR_MS, "future"), {**counted, "import_future": 1}
    return HourPartition(own_ms // HOUR_MS), counted


def parsed(message: bytes) -> Any:
    try:
        return orjson.loads(message)
    except ValueError:
        try:
            return json.loads(message)
        except ValueError:
            return None


def milliseconds(value: Any) -> int | None:
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value.strip().replace("Z", "+00:00").replace("z", "+00:00"))
            moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
        except (ValueError, OverflowError):
            return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return int(value * 1000) if math.isfinite(float(value) * 1000) else None
    except OverflowError:
        return None


def by_themselves(some: list[RawMessage], bucketer: HourBucketer) -> dict[HourPartition, BucketedLines]:
    """What comes out of messages that are looked at one after another."""
    found: dict[HourPartition, BucketedLines] = {}
    for one in some:
        for hour_partition, alone in by_hour(bucketer, "Test", [one], NOW_MS).items():
            before = found.setdefault(hour_partition, BucketedLines([], alone.first, 0))
            before.lines += alone.lines
            before.last = alone.last
    return found


def sorted_as(
    message: bytes | None, field: str = "timestamp"
) -> tuple[dict[HourPartition, BucketedLines], dict[str, int]]:
    metrics = Counters()
    bucketer = HourBucketer(metrics, field, PAST_MS, FUTURE_MS)
    return by_hour(bucketer, "Test", [(7, KAFKA_MS, None, message)], NOW_MS), metrics.summary()


@settings(max_examples=300)
@given(messages(), st.sampled_from(["timestamp", "dt"]))
@example(b'{"event": {"timestamp": %d}}' % NOW, "timestamp")
@example(b'{"timestamp": %d, "event": {"timestamp": 1}, "dt": "x"}' % NOW, "timestamp")
@example(b'{"a": "\\"timestamp\\": 1", "timestamp": %d}' % NOW, "timestamp")
@example(b'{"timestamp": 1, "timestamp": %d}' % NOW, "timestamp")
@example(b'{"timest\\u0061mp": %d}' % NOW, "timestamp")
@example(b'{"timestamp": %d, "a": "\xff"}' % NOW, "timestamp")
@example(b'{"timestamp": %d, "a": 01}' % NOW, "timestamp")
@example(b'{"timestamp": %d, "a": NaN}' % NOW, "timestamp")
@example(b'{"timestamp": %d.9995}' % (NOW + 4000), "timestamp")
@example(b'{"timestamp": %d}' % (NOW - 86_400), "timestamp")
@example(b'{"timestamp": %d}' % (NOW - 86_401), "timestamp")
@example(b'{"timestamp": %d}' % (NOW + 3_600), "timestamp")
@example(b'{"timestamp": %d}' % (NOW + 3_601), "timestamp")
@example(b'{"a": NaN, "timestamp": 1%s}' % (b"0" * 400), "timestamp")
def test_a_message_is_where_a_parser_of_all_of_it_finds_that_it_belongs(message: bytes, field: str) -> None:
    found, counted = sorted_as(message, field)
    line = message.strip().replace(b"\r", b" ").replace(b"\n", b" ")
    if not line:
        assert (found, counted) == ({}, {})
        return
    hour_partition, wanted = expected(line, field)
    assert (found, counted) == ({hour_partition: BucketedLines([line], 7, 7)}, wanted)


PLAIN = SECONDS.map(lambda seconds: b'{"timestamp": %d}' % seconds)


@given(st.lists(PLAIN | PLAIN | messages() | st.none(), max_size=6), st.integers(1, 4), st.integers(0, 3))
def test_messages_are_sorted_together_as_they_are_by_themselves(
    some: list[bytes | None], together: int, same: int
) -> None:
    values = [b' {"timestamp": %d}' % NOW] * same + some
    fields = [(number, KAFKA_MS, None, value) for number, value in enumerate(values)]
    one, other = Counters(), Counters()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bucketed_lines, "_TOGETHER", together)
        found = by_hour(HourBucketer(one, "timestamp", PAST_MS, FUTURE_MS), "Test", fields, NOW_MS)
    assert found == by_themselves(fields, HourBucketer(other, "timestamp", PAST_MS, FUTURE_MS))
    assert one.summary() == other.summary()


def test_lines_of_a_place_are_in_order_and_say_their_offsets() -> None:
    def event(seconds: float) -> bytes:
        return json.dumps({"timestamp": seconds}).encode()

    some = [NOW, NOW - 3600, NOW + 0.5, NOW, 1, NOW - 3600, 2]
    bucketer = HourBucketer(Counters(), "timestamp", PAST_MS, FUTURE_MS)
    fields = [(10 + number, KAFKA_MS, None, event(seconds)) for number, seconds in enumerate(some)]
    hour = NOW // 3600
    assert by_hour(bucketer, "Test", [*fields, (17, 0, None, None), (18, 0, None, b" \n")], NOW_MS) == {
        HourPartition(hour): BucketedLines([event(NOW), event(NOW + 0.5), event(NOW)], 10, 13),
        HourPartition(hour - 1): BucketedLines([event(NOW - 3600)] * 2, 11, 15),
        HourPartition(KAFKA_MS // HOUR_MS, "late"): BucketedLines([event(1), event(2)], 14, 16),
    }
    bucketer = HourBucketer(Counters(), "timestamp", PAST_MS, FUTURE_MS, keep_out_of_range=False)
    assert [hour_partition.prefix for hour_partition in by_hour(bucketer, "Test", fields, NOW_MS)] == ["", ""]
