# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""EventErrors: of now, by place, and never too large for good."""

from __future__ import annotations

import json
import time

from hypothesis import given
from hypothesis import strategies as st

from elworkers.core.contracts import Assignment, Record
from elworkers.core.errors import InvalidEventError
from elworkers.events.event_error import event_error, shortened

ERROR = InvalidEventError("no", "processor")


def test_it_is_of_now_and_keeps_key_and_origin() -> None:
    far = 4_102_444_800_000
    before_ms = int(time.time() * 1000)
    made = event_error(
        Record(b"x", origin=Assignment("t", 3), offset=7, timestamp_ms=far, key=b"k"), ERROR, {"timestamp": far}
    )
    assert (made.key, made.origin, made.offset, made.valid) == (b"k", Assignment("t", 3), 7, False)
    assert before_ms <= made.timestamp_ms <= int(time.time() * 1000)
    assert json.loads(made.value)["timestamp"] == made.timestamp_ms // 1000


def test_a_topic_that_was_made_anew_gives_other_uuids() -> None:
    made = {
        json.loads(event_error(Record(b"x", origin=Assignment("t", 0, topic_id=one), offset=7), ERROR, None).value)[
            "uuid"
        ]
        for one in ("", "a" * 32, "b" * 32, "a" * 32)
    }
    assert len(made) == 3


@given(st.binary(max_size=300), st.dictionaries(st.sampled_from(["wiki", "webHost", "recvFrom", "schema"]), st.text()))
def test_shorter_ones_end_with_none_of_the_raw_event(line: bytes, event: dict[str, str]) -> None:
    one: Record | None = event_error(Record(line * 200), ERROR, dict(event))
    sizes = []
    while one is not None:
        told = json.loads(one.value)["event"]
        sizes.append(len(told["rawEvent"]))
        assert told["message"].count("rawEvent is cut") <= 1
        one = shortened(one)
    assert sizes[-1] == 0
    assert sizes == sorted(set(sizes), reverse=True)


def test_a_shorter_one_keeps_what_no_double_can_hold() -> None:
    one = shortened(event_error(Record(b"x" * 99), ERROR, {"seqId": 10**30}))
    assert one is not None
    assert json.loads(one.value)["seqId"] == 10**30


def test_names_without_end_are_cut() -> None:
    long = "n" * 100_000
    made = event_error(
        Record(b"x"), ERROR, {"schema": long, "wiki": long, "webHost": long, "recvFrom": long, "revision": 1}
    )
    assert len(made.value) < 2_000
