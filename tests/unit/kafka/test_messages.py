# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Bytes as brokers send them → messages; sets are built here from the protocol's description."""

from __future__ import annotations

import contextlib
import gzip
import random
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pykafka.utils import compression

from elworkers.connectors.kafka.pykafka import decompress
from elworkers.connectors.kafka.pykafka.messages import Message, UnreadableError, messages, partition_responses
from elworkers.core.errors import RetryableError

GZIP, SNAPPY, LZ4, APPEND_TIME = 1, 2, 3, 8


def text(value: bytes | None) -> bytes:
    return struct.pack(">i", -1) if value is None else struct.pack(">i", len(value)) + value


def entry(
    offset: int, value: bytes | None, key: bytes | None = None, magic: int = 1, attributes: int = 0, time_ms: int = 7
) -> bytes:
    time = struct.pack(">q", time_ms) if magic else b""
    body = struct.pack(">bb", magic, attributes) + time + text(key) + text(value)
    message = struct.pack(">I", zlib.crc32(body)) + body
    return struct.pack(">qi", offset, len(message)) + message


def read(data: bytes) -> list[Message]:
    return messages(memoryview(data))


MAYBE = st.none() | st.binary(max_size=50)


@given(
    st.lists(
        st.tuples(st.integers(0, 2**62), MAYBE, MAYBE, st.sampled_from([0, 1]), st.integers(-1, 2**60)), max_size=5
    )
)
def test_every_message_comes_back(some: list[tuple[int, bytes | None, bytes | None, int, int]]) -> None:
    data = b"".join(entry(offset, value, key, magic, 0, time) for offset, value, key, magic, time in some)
    assert read(data) == [
        Message(offset, time if magic else -1, key, value) for offset, value, key, magic, time in some
    ]


@pytest.mark.parametrize("cut", range(1, 45))
def test_a_message_that_is_cut_off_is_left_out(cut: int) -> None:
    whole, last = entry(5, b"whole"), entry(6, b"cut off", b"key")
    assert read(whole + last[:-cut]) == [Message(5, 7, None, b"whole")]


@given(st.lists(st.tuples(MAYBE, MAYBE, st.sampled_from([0, 1])), max_size=5), st.data())
def test_of_a_set_that_is_cut_off_anywhere_the_whole_messages_come_back(
    some: list[tuple[bytes | None, bytes | None, int]], data: st.DataObject
) -> None:
    entries = [entry(offset, value, key, magic) for offset, (value, key, magic) in enumerate(some)]
    kept = data.draw(st.integers(0, sum(map(len, entries))))
    whole = sum(sum(map(len, entries[: number + 1])) <= kept for number in range(len(entries)))
    assert [one.offset for one in read(b"".join(entries)[:kept])] == list(range(whole))


@pytest.mark.parametrize(
    ("codec", "pack"), [(GZIP, gzip.compress), (SNAPPY, compression.encode_snappy), (LZ4, compression.encode_lz4)]
)
def test_compressed_sets(codec: int, pack: object) -> None:
    relative = entry(0, b"a") + entry(1, b"b", b"k") + entry(3, None)
    data = entry(4, b"before") + entry(9, pack(relative), attributes=codec)  # type: ignore[operator]
    assert read(data) == [
        Message(4, 7, None, b"before"),
        Message(6, 7, None, b"a"),
        Message(7, 7, b"k", b"b"),
        Message(9, 7, None, None),
    ]


def test_in_sets_of_the_first_format_offsets_are_absolute() -> None:
    absolute = entry(8, b"a", magic=0) + entry(9, b"b", magic=0)
    data = entry(9, gzip.compress(absolute), magic=0, attributes=GZIP)
    assert read(data) == [Message(8, -1, None, b"a"), Message(9, -1, None, b"b")]


def test_the_brokers_time_counts_for_all_of_a_set() -> None:
    inner = entry(0, b"a", time_ms=1) + entry(1, b"b", time_ms=2)
    data = entry(1, gzip.compress(inner), attributes=GZIP | APPEND_TIME, time_ms=99)
    assert [message.timestamp_ms for message in read(data)] == [99, 99]


@pytest.mark.parametrize("key", [None, b"key"])
def test_damage_is_said(key: bytes | None) -> None:
    data = bytearray(entry(5, b"value", key))
    data[-1] ^= 1
    with pytest.raises(RetryableError, match="the message at offset 5 is damaged"):
        read(bytes(data))
    with pytest.raises(RetryableError, match="compressed by zstd"):
        read(entry(6, b"value", attributes=4))


def test_an_answer_names_topics_partitions_and_errors() -> None:
    def part(number: int, error: int, high: int, data: bytes) -> bytes:
        return struct.pack(">ihqi", number, error, high, len(data)) + data

    def topic(name: bytes, *some: bytes) -> bytes:
        return struct.pack(">h", len(name)) + name + struct.pack(">i", len(some)) + b"".join(some)

    one = entry(0, b"x")
    answer = (
        struct.pack(">ii", 0, 2)
        + topic(b"a", part(0, 0, 1, one), part(3, 6, -1, b""))
        + topic(b"bc", part(1, 0, 9, b""))
    )
    assert [
        (found.topic, found.partition, found.error, found.high_watermark, bytes(found.data))
        for found in partition_responses(answer)
    ] == [
        ("a", 0, 0, 1, one),
        ("a", 3, 6, -1, b""),
        ("bc", 1, 0, 9, b""),
    ]


def test_a_null_record_set_moves_nothing_behind_it() -> None:
    broken = struct.pack(">ihqi", 0, 76, -1, -1)
    sound = struct.pack(">ihqi", 1, 0, 7, 4) + b"DATA"
    answer = struct.pack(">iih", 0, 1, 1) + b"t" + struct.pack(">i", 2) + broken + sound
    found = [
        (part.partition, part.error, part.high_watermark, bytes(part.data)) for part in partition_responses(answer)
    ]
    assert found == [(0, 76, -1, b""), (1, 0, 7, b"DATA")]
    for cut in range(1, len(answer)):
        with pytest.raises(RetryableError, match="breaks off"):
            list(partition_responses(answer[:-cut]))


@pytest.mark.parametrize("size", [-(2**31), -13, -12, -1, 0, 13])
@pytest.mark.parametrize("behind", [0, 60])
def test_a_size_that_none_has_is_damage(size: int, behind: int) -> None:
    good = entry(4, b"before")
    with pytest.raises(UnreadableError, match="offset 5 is damaged") as caught:
        read(good + struct.pack(">qi", 5, size) + bytes(max(size, 0) + behind) + entry(6, b"behind"))
    assert caught.value.messages_before == [(4, 7, None, b"before")]


@pytest.mark.parametrize(("key_length", "length"), [(2**31 - 1, 0), (100, 0), (0, 100), (0, 2**31 - 1), (-1, 100)])
@pytest.mark.parametrize("magic", [0, 1])
def test_lengths_never_lead_out_of_their_message(magic: int, key_length: int, length: int) -> None:
    body = struct.pack(">bb", magic, 0) + bytes(8 * magic) + struct.pack(">ii", key_length, length)
    message = struct.pack(">I", zlib.crc32(body)) + body
    data = struct.pack(">qi", 5, len(message)) + message + entry(6, b"of another")
    try:
        found = read(data)
    except UnreadableError:
        return
    assert b"of another" not in (found[0].value or b"")


@pytest.mark.parametrize("members", [1, 2, 3])
def test_all_members_of_a_gzip_stream_are_read(members: int) -> None:
    inner = [entry(number, b"%d" % number) for number in range(members)]
    stream = b"".join(map(gzip.compress, inner))
    assert [one.value for one in read(entry(members - 1, stream, attributes=GZIP))] == [
        b"%d" % n for n in range(members)
    ]
    with pytest.raises(UnreadableError, match="damaged"):
        read(entry(5, stream + b"x", attributes=GZIP))


def test_thousands_of_gzip_members_take_no_longer_than_their_bytes() -> None:
    members, value = 40_000, bytes(32 * 1024 * 1024)
    inner = entry(0, value)
    half = len(inner) // 2
    # Whoever copies all that is left, or all that was found, for each of them does not come to an end.
    stream = gzip.compress(inner[:half], 0) + gzip.compress(b"\0") * members + gzip.compress(inner[half + members :], 0)
    (found,) = read(entry(0, stream, attributes=GZIP))
    assert found.value == value
    for damaged in (stream + b"x", stream + gzip.compress(b"")[:-1], stream[:-1]):
        with pytest.raises(UnreadableError, match="damaged"):
            read(entry(0, damaged, attributes=GZIP))


@pytest.mark.parametrize("behind", [1, 255, 256, 257, 5000])
def test_a_gzip_member_of_any_size_may_come_second(behind: int) -> None:
    value = random.Random(behind).randbytes(behind)
    inner = entry(0, value)
    for cut in (0, 1, len(inner) // 2):
        stream = gzip.compress(inner[:cut]) + gzip.compress(inner[cut:])
        assert [one.value for one in read(entry(0, stream, attributes=GZIP))] == [value]


def bomb(codec: int) -> bytes:
    size = decompress.MAX_UNCOMPRESSED_BYTES + 1
    if codec == GZIP:
        return gzip.compress(bytes(size), 1)
    if codec == LZ4:
        return bytes(compression.encode_lz4(bytes(size)))
    return b"\xff\xff\xff\xff\x0f" + b"\0" * 10


def test_what_unpacks_to_too_much_in_its_second_member_is_not_unpacked() -> None:
    with pytest.raises(UnreadableError, match=f"larger than {decompress.MAX_UNCOMPRESSED_BYTES} bytes"):
        read(entry(5, gzip.compress(b"x") + bomb(GZIP), attributes=GZIP))


@pytest.mark.parametrize("codec", [GZIP, SNAPPY, LZ4])
def test_what_unpacks_to_too_much_is_not_unpacked(codec: int) -> None:
    with pytest.raises(UnreadableError, match=f"larger than {decompress.MAX_UNCOMPRESSED_BYTES} bytes"):
        read(entry(5, bomb(codec), attributes=codec))


def test_many_blocks_of_snappy_count_together() -> None:
    block = b"\xff\xff\xff\x7f" + b"\0"
    stream = b"\x82SNAPPY\0" + struct.pack(">ii", 1, 1) + (struct.pack(">i", len(block)) + block) * 2
    with pytest.raises(UnreadableError, match=r"larger than|damaged"):
        read(entry(5, stream, attributes=SNAPPY))


def test_a_set_that_is_compressed_twice_is_not_read() -> None:
    inner = entry(0, gzip.compress(entry(0, b"x")), attributes=GZIP)
    with pytest.raises(UnreadableError, match="a second time"):
        read(entry(5, gzip.compress(inner), attributes=GZIP))


@pytest.mark.parametrize(("codec", "name"), [(4, "zstd"), (5, "codec 5"), (7, "codec 7")])
def test_a_codec_that_nobody_knows_is_named(codec: int, name: str) -> None:
    with pytest.raises(UnreadableError, match=f"compressed by {name}"):
        read(entry(5, b"x", attributes=codec))


@given(st.binary(max_size=200), st.integers(0, 7), st.binary(max_size=100), st.integers(0, 120), st.binary(max_size=4))
def test_any_bytes_are_messages_or_damage(raw: bytes, codec: int, packed: bytes, at: int, over: bytes) -> None:
    sound = entry(1, b"a") + entry(2, packed, b"k", attributes=codec) + entry(3, b"b", magic=0)
    for data in (raw, sound[:at] + over + sound[at + len(over) :], sound + raw):
        try:
            found = read(data)
        except UnreadableError as error:
            found = [Message(*one) for one in error.messages_before]
        assert all(isinstance(one, Message) for one in found)


@given(st.binary(max_size=200))
def test_any_answer_has_parts_or_breaks_off(answer: bytes) -> None:
    found = []
    with contextlib.suppress(RetryableError):
        found = list(partition_responses(answer))
    assert all(len(part.data) <= len(answer) for part in found)
