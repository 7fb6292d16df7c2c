# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""The inbox between fetching and the loop: order, limits, bounds."""

from __future__ import annotations

from elworkers.connectors.kafka.driver import RawMessage
from elworkers.connectors.kafka.pykafka.fetch_buffer import BUFFER_BYTES, TAKE_BYTES, FetchBuffer


def made(*offsets: int) -> list[RawMessage]:
    return [(offset, 0, None, b"v") for offset in offsets]


def offsets(taken: list[tuple[int, list[RawMessage]]]) -> list[tuple[int, list[int]]]:
    return [(partition, [message[0] for message in found]) for partition, found in taken]


def test_sets_come_out_in_the_order_in_which_they_came() -> None:
    buffer = FetchBuffer()
    buffer.put(1, made(5, 6), 10)
    buffer.put(0, made(1), 10)
    buffer.put(1, made(7), 10)
    assert offsets(buffer.take(10)) == [(1, [5, 6]), (0, [1]), (1, [7])]
    assert buffer.take(10) == []


def test_a_set_that_is_larger_than_the_limit_is_taken_in_parts() -> None:
    buffer = FetchBuffer()
    buffer.put(0, made(1, 2, 3), 30)
    assert offsets(buffer.take(2)) == [(0, [1, 2])]
    buffer.put(0, made(4), 10)
    assert offsets(buffer.take(2)) == [(0, [3]), (0, [4])]


def test_messages_of_a_partition_are_bounded() -> None:
    buffer = FetchBuffer()
    buffer.put(0, made(1, 2), 10)
    assert not buffer.has_room(0, 2)
    assert buffer.has_room(1, 2)
    buffer.take(1)
    assert buffer.has_room(0, 2)


def test_bytes_of_all_partitions_are_bounded() -> None:
    buffer = FetchBuffer()
    buffer.put(0, made(1, 2), BUFFER_BYTES)
    assert not buffer.has_room(1, 1000)
    buffer.take(1)
    assert buffer.has_room(1, 1000), "half of them are gone"


def test_dropping_a_partition_leaves_the_others_and_makes_room() -> None:
    buffer = FetchBuffer()
    buffer.put(0, made(1), BUFFER_BYTES)
    buffer.put(1, made(2), 1)
    buffer.drop(0)
    assert buffer.has_room(0, 1)
    assert offsets(buffer.take(10)) == [(1, [2])]


def test_bytes_that_are_taken_at_once_are_bounded() -> None:
    buffer = FetchBuffer()
    for offset in range(3):
        buffer.put(0, made(offset), TAKE_BYTES // 2)
    assert offsets(buffer.take(10)) == [(0, [0]), (0, [1])]
    assert offsets(buffer.take(10)) == [(0, [2])]
