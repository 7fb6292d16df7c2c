# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Records → the bytes of message sets; what is read back is what was meant, also by pykafka."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pykafka.protocol.message import MessageSet

from elworkers.connectors.kafka.pykafka.message_sets import (
    MESSAGE_OVERHEAD,
    EncodedProduceRequest,
    message_set,
    parse_produce_response,
)
from elworkers.connectors.kafka.pykafka.messages import Message, messages
from elworkers.core.contracts import Record, TopicPartition

SOME = st.lists(st.tuples(st.binary(max_size=40), st.binary(max_size=9), st.integers(1, 2**60)), min_size=1, max_size=6)


def packed(some: list[tuple[bytes, bytes, int]], keyed: bool, codec: str = "none") -> memoryview:
    records = [Record(value, timestamp_ms=time) for value, _, time in some]
    return memoryview(b"".join(message_set(records, [key for _, key, _ in some] if keyed else [], 5, codec)))


@given(SOME, st.booleans(), st.sampled_from(["none", "gzip", "snappy"]))
def test_what_is_written_is_read_again(some: list[tuple[bytes, bytes, int]], keyed: bool, codec: str) -> None:
    assert messages(packed(some, keyed, codec)) == [
        Message(number, time, key if keyed else None, value) for number, (value, key, time) in enumerate(some)
    ]


@given(SOME, st.booleans())
def test_pykafka_reads_the_same(some: list[tuple[bytes, bytes, int]], keyed: bool) -> None:
    found = [(one.value, one.partition_key, one.timestamp) for one in MessageSet.decode(packed(some, keyed)).messages]
    # pykafka takes an empty value or key for none.
    assert [(value or b"", key or b"", time) for value, key, time in found] == [
        (value, key if keyed else b"", time) for value, key, time in some
    ]


def test_a_record_without_a_time_gets_that_of_now() -> None:
    assert messages(memoryview(b"".join(message_set([Record(b"v")], [], 77)))) == [Message(0, 77, None, b"v")]


def test_the_overhead_is_what_a_message_takes_besides_its_value() -> None:
    assert len(b"".join(message_set([Record(b"value")], [], 1))) == MESSAGE_OVERHEAD + 5


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy"])
def test_a_set_of_nothing_is_empty(codec: str) -> None:
    assert message_set([], [], 1, codec) == []


def test_a_request_names_its_topics_once() -> None:
    sets = [
        (TopicPartition("a", 1), [b"o", b"ne"]),
        (TopicPartition("b", 0), [b"two"]),
        (TopicPartition("a", 0), [b"three"]),
    ]
    data = bytes(EncodedProduceRequest(sets, acks=-1, timeout_ms=9).get_bytes())
    body = (
        struct.pack(">hii", -1, 9, 2)
        + b"\0\x01a"
        + struct.pack(">iii3s", 2, 1, 3, b"one")
        + struct.pack(">ii5s", 0, 5, b"three")
        + b"\0\x01b"
        + struct.pack(">iii3s", 1, 0, 3, b"two")
    )
    assert data[EncodedProduceRequest.HEADER_LEN :] == body
    assert struct.unpack_from(">ihh", data) == (len(data) - 4, 0, 1)


@given(st.dictionaries(st.tuples(st.sampled_from("abc"), st.integers(0, 9)), st.integers(-1, 99)), st.integers(0, 99))
def test_an_answer_says_the_code_of_each_place(said: dict[tuple[str, int], int], throttle_ms: int) -> None:
    by_topic = {topic: [(number, code) for (name, number), code in said.items() if name == topic] for topic, _ in said}
    answer = struct.pack(">i", len(by_topic))
    for topic, some in by_topic.items():
        answer += b"\0\x01" + topic.encode() + struct.pack(">i", len(some))
        answer += b"".join(struct.pack(">ihq", number, code, 7) for number, code in some)
    # pykafka's answers have some bytes more at their end.
    answer += struct.pack(">i", throttle_ms) + b"junk"
    assert parse_produce_response(memoryview(answer)) == (said, throttle_ms)
